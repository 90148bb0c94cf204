//! What the athlete does on which day: seasons, blocks of four weeks, races, camps, weeks of illness.

use fastrand::Rng;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::{Timestamp, ToSpan as _};

use super::place::{CITY, HOME, ISLAND, MOUNTAINS, Place, TREK};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sport {
    Run,
    Ride,
    VirtualRide,
    Swim,
    Hike,
    Walk,
    NordicSki,
    WeightTraining,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Easy,
    Tempo,
    Intervals,
    Long,
    Race,
    Commute,
}

/// One activity to come.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) id: i64,
    pub(super) lane: u32,
    /// Everything else about it follows from this number.
    pub(super) seed: u64,
    pub(super) start: Timestamp,
    pub(super) place: &'static Place,
    pub(super) sport: Sport,
    pub(super) purpose: Purpose,
    pub(super) minutes: f64,
    /// Years of training so far: pace and power grow a little with them.
    pub(super) years: f64,
}

impl Session {
    pub(super) fn plain(id: i64, start: Timestamp) -> Self {
        Self {
            id,
            lane: 0,
            seed: id.unsigned_abs(),
            start,
            place: &HOME,
            sport: Sport::Run,
            purpose: Purpose::Easy,
            minutes: 47.0,
            years: 3.0,
        }
    }
}

/// Sport, chance in percent, minutes, purpose: for Monday to Sunday.
type Week = [(Sport, u32, f64, Purpose); 7];

const WINTER: Week = [
    (Sport::WeightTraining, 50, 45.0, Purpose::Easy),
    (Sport::Run, 80, 50.0, Purpose::Easy),
    (Sport::VirtualRide, 75, 60.0, Purpose::Intervals),
    (Sport::Run, 80, 48.0, Purpose::Tempo),
    (Sport::Swim, 45, 45.0, Purpose::Easy),
    (Sport::VirtualRide, 55, 80.0, Purpose::Easy),
    (Sport::Run, 88, 85.0, Purpose::Long),
];
const SPRING: Week = [
    (Sport::WeightTraining, 45, 40.0, Purpose::Easy),
    (Sport::Run, 88, 55.0, Purpose::Intervals),
    (Sport::Swim, 55, 50.0, Purpose::Easy),
    (Sport::Run, 88, 58.0, Purpose::Tempo),
    (Sport::Run, 25, 32.0, Purpose::Easy),
    (Sport::Ride, 75, 115.0, Purpose::Easy),
    (Sport::Run, 92, 108.0, Purpose::Long),
];
const SUMMER: Week = [
    (Sport::Walk, 20, 50.0, Purpose::Easy),
    (Sport::Ride, 80, 80.0, Purpose::Tempo),
    (Sport::Run, 78, 46.0, Purpose::Easy),
    (Sport::Ride, 78, 85.0, Purpose::Intervals),
    (Sport::Swim, 50, 42.0, Purpose::Easy),
    (Sport::Ride, 88, 205.0, Purpose::Long),
    (Sport::Run, 72, 66.0, Purpose::Easy),
];
const AUTUMN: Week = [
    (Sport::WeightTraining, 40, 40.0, Purpose::Easy),
    (Sport::Run, 88, 60.0, Purpose::Intervals),
    (Sport::Ride, 55, 75.0, Purpose::Easy),
    (Sport::Run, 85, 65.0, Purpose::Tempo),
    (Sport::Swim, 35, 45.0, Purpose::Easy),
    (Sport::Run, 40, 40.0, Purpose::Easy),
    (Sport::Run, 94, 128.0, Purpose::Long),
];

/// Three weeks up, one to recover.
const BLOCK: [f64; 4] = [0.88, 1.0, 1.12, 0.66];

/// All sessions from `first_day` to the day before `today`, oldest first.
pub(super) fn life(seed: u64, lane: u32, first_day: Date, today: Date) -> Vec<Session> {
    let mut sessions = Vec::new();
    let mut day = first_day;
    while day < today {
        let years = day
            .since(first_day)
            .map_or(0.0, |span| f64::from(span.get_days()) / 365.25);
        let mut rng = Rng::with_seed(mix(seed, lane, day));
        sessions.extend(plan_day(&mut rng, seed, day).map(|planned| {
            let (place, hour, sport, minutes, purpose) = planned;
            let start = start(&mut rng, place, day, hour);
            Session {
                id: id(&mut rng, start),
                lane,
                seed: rng.u64(..),
                start,
                place,
                sport,
                purpose,
                minutes: minutes * (0.9 + 0.2 * rng.f64()),
                years,
            }
        }));
        day = day.saturating_add(1.day());
    }
    sessions
}

type Planned = (&'static Place, i8, Sport, f64, Purpose);

fn plan_day(rng: &mut Rng, seed: u64, day: Date) -> Option<Planned> {
    let dice = rng.u32(0..100);
    if let Some(race) = race(day) {
        return Some(race);
    }
    if let Some((place, sport, chance, minutes)) = trip(day) {
        let purpose = if sport == Sport::Ride {
            Purpose::Long
        } else {
            Purpose::Easy
        };
        return (dice < chance).then_some((place, 9, sport, minutes, purpose));
    }
    let week = match day.month() {
        11 | 12 | 1 => &WINTER,
        2..=5 => &SPRING,
        6..=8 => &SUMMER,
        _ => &AUTUMN,
    };
    let weekday = day.weekday().to_monday_zero_offset();
    let (mut sport, chance, minutes, purpose) = week[usize::from(weekday.unsigned_abs())];
    let (mut chance, mut volume) = (chance, BLOCK[week_of_block(day)]);
    if recovers(day) {
        (chance, volume) = (chance * 4 / 10, 0.6);
    }
    if is_ill(seed, day) {
        chance /= 12;
    }
    let workday = !matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday);
    if dice >= chance {
        // Some rest days begin on the bicycle all the same.
        let commutes = workday && (96..).contains(&dice);
        return commutes.then_some((&HOME, 7, Sport::Ride, 24.0, Purpose::Commute));
    }
    if sport == Sport::Run && purpose == Purpose::Easy && rng.u32(0..100) < 6 {
        sport = Sport::Hike;
    }
    let hour = if workday { 17 } else { 9 };
    Some((&HOME, hour, sport, minutes * volume, purpose))
}

/// The season's two goals.
fn race(day: Date) -> Option<Planned> {
    let sunday = day.weekday() == Weekday::Sunday;
    match (day.month(), day.day()) {
        (4, 22..=28) if sunday => Some((&HOME, 9, Sport::Run, 98.0, Purpose::Race)),
        (11, 1..=7) if sunday && day.year() % 2 == 1 => {
            Some((&CITY, 9, Sport::Run, 212.0, Purpose::Race))
        }
        (10, 8..=14) if sunday && day.year() % 2 == 0 => {
            Some((&HOME, 9, Sport::Run, 207.0, Purpose::Race))
        }
        _ => None,
    }
}

/// Away from home: place, sport, chance, minutes.
fn trip(day: Date) -> Option<(&'static Place, Sport, u32, f64)> {
    match (day.month(), day.day()) {
        (1, 10..=17) => Some((&MOUNTAINS, Sport::NordicSki, 80, 95.0)),
        (3, 8..=18) => Some((&ISLAND, Sport::Ride, 82, 185.0)),
        (7, 14..=25) => Some((&MOUNTAINS, Sport::Hike, 75, 260.0)),
        (10, 30..=31) | (11, 1..=8) if day.year() % 2 == 1 => Some((&CITY, Sport::Run, 45, 38.0)),
        (11, 2..=14) if day.year() % 2 == 0 => Some((&TREK, Sport::Hike, 75, 215.0)),
        _ => None,
    }
}

fn recovers(day: Date) -> bool {
    matches!(
        (day.month(), day.day()),
        (4, 29..) | (5, 1..=8) | (10, 15..=28) | (11, 15..=22) | (12, 24..)
    )
}

/// Two weeks a year, at another time each year.
fn is_ill(seed: u64, day: Date) -> bool {
    let first = Rng::with_seed(seed ^ u64::from(day.year().unsigned_abs())).i16(20..340);
    (first..first + 16).contains(&day.day_of_year())
}

fn week_of_block(day: Date) -> usize {
    let monday = jiff::civil::date(2018, 1, 1);
    let days = day.since(monday).map_or(0, |span| span.get_days());
    (days.div_euclid(7).rem_euclid(4)).unsigned_abs() as usize
}

fn start(rng: &mut Rng, place: &Place, day: Date, hour: i8) -> Timestamp {
    let local: DateTime = day.at(hour, rng.i8(0..60), rng.i8(0..60), 0);
    let local = local.saturating_add(rng.i64(-45..75).minutes());
    place
        .zone()
        .to_timestamp(local)
        .unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Grows with time, about as Strava's do: 2.1e10 in late 2026.
fn id(rng: &mut Rng, start: Timestamp) -> i64 {
    (start.as_second() - 1_500_000_000) * 71 + rng.i64(0..70)
}

fn mix(seed: u64, lane: u32, day: Date) -> u64 {
    let days = day.since(Date::ZERO).map_or(0, |span| span.get_days());
    let mut rng = Rng::with_seed(seed.rotate_left(32) ^ u64::from(lane));
    rng.u64(..) ^ Rng::with_seed(u64::from(days.unsigned_abs())).u64(..)
}
