//! The weather itself: a function of place and time, the same on every machine.

use std::f64::consts::TAU;

use jiff::Timestamp;

/// Where it has no data, as a real model has none beyond its grid.
const GRID_ENDS_AT_LATITUDE: f64 = -89.0;

/// One place at one instant, in the units that the service computes in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weather {
    pub(super) temperature: f64,
    pub(super) humidity: f64,
    pub(super) precipitation: f64,
    pub(super) cloud_cover: f64,
    /// Metres per second, ten metres up.
    pub(super) wind_speed: f64,
    /// Degrees, where it comes from.
    pub(super) wind_direction: f64,
    pub(super) pressure: f64,
}

pub(super) fn is_covered(latitude: f64) -> bool {
    latitude > GRID_ENDS_AT_LATITUDE
}

/// Metres; none at every eleventh place, as at sea.
pub(super) fn elevation(latitude: f32, longitude: f32) -> Option<f64> {
    let hash = hash(
        u64::from(latitude.to_bits()),
        u64::from(longitude.to_bits()),
    );
    (!hash.is_multiple_of(11))
        .then(|| (hash >> 8) as f64 % 900.0)
        .map(f64::floor)
}

impl Weather {
    /// `revision` is how often the model ran anew since the slot was first served.
    pub(super) fn of(latitude: f64, longitude: f64, at: Timestamp, revision: u32) -> Self {
        let hours = at.as_second() as f64 / 3_600.0;
        let place = hash(latitude.to_bits(), longitude.to_bits());
        let slow = |salt: u64, period_hours: f64| wave(place ^ salt, hours / period_hours);
        let season = (TAU * (hours / 24.0 / 365.25 - 0.3)).sin() * latitude.signum();
        let day = (TAU * (hours / 24.0 + longitude / 360.0 - 0.375)).sin();
        let mildness = 27.0 - 0.45 * latitude.abs();
        let cloud_cover = (50.0 + 80.0 * slow(1, 9.0)).clamp(0.0, 100.0);
        let precipitation = if cloud_cover > 75.0 {
            (2.5 * slow(2, 4.0)).max(0.0)
        } else {
            0.0
        };
        let temperature = mildness
            + season * latitude.abs() * 0.18
            + day * (5.0 - cloud_cover / 40.0)
            + 4.0 * slow(3, 60.0)
            + f64::from(revision) * 0.1;
        Self {
            temperature,
            humidity: (65.0 - 15.0 * day + 20.0 * slow(4, 18.0) + 6.0 * precipitation)
                .clamp(12.0, 100.0),
            precipitation,
            cloud_cover,
            wind_speed: (4.0 + 5.0 * slow(5, 14.0)).max(0.1),
            wind_direction: (360.0 + 360.0 * slow(6, 40.0)) % 360.0,
            pressure: 1_013.0 + 18.0 * slow(7, 70.0),
        }
    }

    /// Magnus' formula.
    pub(super) fn dew_point(&self) -> f64 {
        let gamma =
            (self.humidity / 100.0).ln() + 17.27 * self.temperature / (237.7 + self.temperature);
        237.7 * gamma / (17.27 - gamma)
    }

    /// Open-Meteo's, without sunshine.
    pub(super) fn apparent_temperature(&self) -> f64 {
        let saturated = 6.105 * (17.27 * self.temperature / (237.7 + self.temperature)).exp();
        let vapour_pressure = self.humidity / 100.0 * saturated;
        self.temperature + 0.348 * vapour_pressure - 0.7 * 0.75 * self.wind_speed - 4.25
    }

    pub(super) fn gusts(&self) -> f64 {
        self.wind_speed * 1.7 + 1.0
    }

    /// WMO 4677, as far as rain and clouds go.
    pub(super) fn code(&self) -> f64 {
        match (self.precipitation, self.cloud_cover) {
            (rain, _) if rain >= 1.5 => 63.0,
            (rain, _) if rain >= 0.5 => 61.0,
            (rain, _) if rain >= 0.1 => 51.0,
            (_, cloud) if cloud >= 80.0 => 3.0,
            (_, cloud) if cloud >= 40.0 => 2.0,
            (_, cloud) if cloud >= 15.0 => 1.0,
            _ => 0.0,
        }
    }
}

/// Smooth noise between -1 and 1 that no two seeds share.
fn wave(seed: u64, x: f64) -> f64 {
    let whole = x.floor();
    let knot = |offset: f64| {
        (hash(seed, (whole + offset).to_bits()) >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    let between = x - whole;
    let eased = between * between * (3.0 - 2.0 * between);
    knot(0.0) * (1.0 - eased) + knot(1.0) * eased
}

/// SplitMix64 over two words.
fn hash(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(32) ^ b.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_somewhere_stays_within_what_happens_on_earth() {
        let start: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut rain = 0;
        for hour in 0..8_760_i64 {
            let at = Timestamp::from_second(start.as_second() + hour * 3_600).unwrap();
            let weather = Weather::of(52.5, 13.4, at, 0);
            assert!((-25.0..40.0).contains(&weather.temperature), "{weather:?}");
            assert!(
                (0.0..=100.0).contains(&weather.humidity)
                    && (0.0..360.0).contains(&weather.wind_direction)
            );
            assert!(
                weather.dew_point() <= weather.temperature + 0.01,
                "{weather:?}"
            );
            rain += usize::from(weather.precipitation >= 0.1);
        }
        assert!((200..3_500).contains(&rain), "{rain} hours of rain");
    }

    #[test]
    fn july_is_warmer_than_january_in_the_north_and_colder_in_the_south() {
        let mean = |latitude: f64, month: &str| {
            let start: Timestamp = format!("2026-{month}-01T00:00:00Z").parse().unwrap();
            let hours = (0..700)
                .map(|hour| Timestamp::from_second(start.as_second() + hour * 3_600).unwrap());
            hours
                .map(|at| Weather::of(latitude, 10.0, at, 0).temperature)
                .sum::<f64>()
                / 700.0
        };
        assert!(mean(52.0, "07") > mean(52.0, "01") + 10.0);
        assert!(mean(-35.0, "07") < mean(-35.0, "01") - 5.0);
    }
}
