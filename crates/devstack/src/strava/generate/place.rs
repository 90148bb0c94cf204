//! Where the athlete trains: places with their clocks, so that labels and offsets disagree as Strava's do.

use jiff::tz::TimeZone;

/// A place; routes begin within a kilometre or two of it.
#[derive(Debug, PartialEq)]
pub(super) struct Place {
    pub(super) latitude: f64,
    pub(super) longitude: f64,
    /// Metres above the sea.
    pub(super) elevation: f64,
    /// Strava's label: always the zone's standard offset, also in summer.
    pub(super) label: &'static str,
    /// The rules of the clock, as POSIX writes them.
    posix: &'static str,
}

pub(super) static HOME: Place = Place {
    latitude: 52.512,
    longitude: 13.274,
    elevation: 38.0,
    label: "(GMT+01:00) Europe/Berlin",
    posix: "CET-1CEST,M3.5.0,M10.5.0/3",
};

pub(super) static MOUNTAINS: Place = Place {
    latitude: 46.482,
    longitude: 9.835,
    elevation: 1_780.0,
    label: "(GMT+01:00) Europe/Zurich",
    posix: "CET-1CEST,M3.5.0,M10.5.0/3",
};

pub(super) static ISLAND: Place = Place {
    latitude: 29.047,
    longitude: -13.589,
    elevation: 22.0,
    label: "(GMT+00:00) Atlantic/Canary",
    posix: "WET0WEST,M3.5.0/1,M10.5.0",
};

pub(super) static CITY: Place = Place {
    latitude: 40.782,
    longitude: -73.966,
    elevation: 31.0,
    label: "(GMT-05:00) America/New_York",
    posix: "EST5EDT,M3.2.0,M11.1.0",
};

pub(super) static TREK: Place = Place {
    latitude: 27.805,
    longitude: 86.714,
    elevation: 3_430.0,
    label: "(GMT+05:45) Asia/Kathmandu",
    posix: "<+0545>-5:45",
};

impl Place {
    pub(super) fn zone(&self) -> TimeZone {
        TimeZone::posix(self.posix).expect("the rules above are POSIX time zones")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_has_a_clock() {
        for place in [&HOME, &MOUNTAINS, &ISLAND, &CITY, &TREK] {
            place.zone();
        }
    }
}
