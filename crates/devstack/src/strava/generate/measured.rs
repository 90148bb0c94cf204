//! What a session's device measures, derived once so that all of its summary agrees.

use fastrand::Rng;

use super::plan::{Purpose, Session, Sport};
use super::route;

/// Races are measured by others; the watch adds a little to them.
const HALF_MARATHON_METRES: f64 = 21_097.5;
const MARATHON_METRES: f64 = 42_195.0;

pub(super) struct Measured {
    pub(super) rng: Rng,
    /// Seconds.
    pub(super) moving: f64,
    pub(super) elapsed: f64,
    pub(super) metres: f64,
    pub(super) climbed: f64,
    /// 0 is at rest, 1 at threshold.
    pub(super) intensity: f64,
    pub(super) indoors: bool,
    pub(super) manual: bool,
    /// Latitude and longitude; none indoors.
    pub(super) points: Vec<(f64, f64)>,
}

impl Measured {
    pub(super) fn of(session: &Session) -> Self {
        let mut rng = Rng::with_seed(session.seed);
        let intensity = match session.purpose {
            Purpose::Easy | Purpose::Commute => 0.66,
            Purpose::Long => 0.72,
            Purpose::Tempo => 0.86,
            Purpose::Intervals => 0.82,
            Purpose::Race => 0.97,
        } + (rng.f64() - 0.5) * 0.08;
        let dice = rng.u32(0..100);
        let manual = match session.sport {
            Sport::WeightTraining => dice < 60,
            Sport::Run | Sport::Swim => dice < 1,
            _ => false,
        };
        let indoors = manual
            || match session.sport {
                Sport::VirtualRide | Sport::WeightTraining => true,
                Sport::Swim => dice < 80,
                Sport::Run => dice < 7 && session.purpose == Purpose::Easy,
                _ => false,
            };
        let stops = if indoors {
            0.01
        } else {
            0.03 + rng.f64() * 0.07
        };
        let growth = 1.0 + 0.018 * session.years;
        let speed = growth
            * match session.sport {
                Sport::Run => 2.05 + 1.45 * intensity,
                Sport::Ride | Sport::VirtualRide => 4.4 + 4.6 * intensity,
                Sport::Swim => 0.62 + 0.32 * intensity,
                Sport::Hike => 0.98,
                Sport::Walk => 1.42,
                Sport::NordicSki => 2.1 + 0.9 * intensity,
                Sport::WeightTraining => 0.0,
            };
        let metres = match session.purpose {
            Purpose::Race if session.minutes > 150.0 => MARATHON_METRES + rng.f64() * 300.0,
            Purpose::Race => HALF_MARATHON_METRES + rng.f64() * 200.0,
            _ => session.minutes * 60.0 * speed * (0.96 + 0.08 * rng.f64()),
        };
        let moving = match session.purpose {
            Purpose::Race => metres / speed,
            _ => session.minutes * 60.0,
        }
        .round();
        let climbed = metres / 1_000.0 * climb_per_km(session, indoors) * (0.5 + rng.f64());
        let points = if indoors {
            Vec::new()
        } else {
            route::round(&mut rng, session.place, metres)
        };
        Self {
            rng,
            moving,
            elapsed: (moving * (1.0 + stops)).round(),
            metres,
            climbed,
            intensity,
            indoors,
            manual,
            points,
        }
    }
}

/// Metres of climbing; mountains are steeper.
fn climb_per_km(session: &Session, indoors: bool) -> f64 {
    let flat_land = match session.sport {
        Sport::Hike => 68.0,
        Sport::Run if !indoors => 7.5,
        Sport::Ride => 7.0,
        Sport::VirtualRide => 9.0,
        Sport::NordicSki => 16.0,
        Sport::Walk => 5.0,
        _ => 0.0,
    };
    if session.place.elevation > 1_000.0 {
        flat_land * 1.7
    } else {
        flat_land
    }
}
