//! A made-up athlete: the same seed gives the same years, and a later day only adds to them.

mod measured;
mod object;
mod oddities;
mod place;
mod plan;
mod route;
mod summary;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};

use self::plan::Session;

/// The generated athlete's id.
pub const ATHLETE_ID: i64 = 94_310_077;

/// Three years and a bit.
const DAYS: i32 = 1_200;

/// Which athlete is made up.
#[derive(Debug, Clone, Default)]
pub struct Generated {
    pub seed: u64,
    /// The history begins here; by default three years and a bit before `today`.
    pub first_day: Option<Date>,
    /// The history ends with the day before; by default the clock's day in UTC.
    pub today: Option<Date>,
    /// How many activities; by default as many as such a life has, about 770. Fewer are the
    /// newest ones; for more, other lives of the same years are laid over the first.
    pub activities: Option<usize>,
}

/// Everything the athlete did, oldest first.
#[derive(Debug)]
pub struct Life {
    first_day: Date,
    sessions: Vec<Session>,
}

impl Generated {
    /// Plans every session up to `now`, without writing its summary yet.
    pub fn plan(&self, now: Timestamp) -> Life {
        let today = self
            .today
            .unwrap_or_else(|| TimeZone::UTC.to_datetime(now).date());
        let first_day = self
            .first_day
            .unwrap_or_else(|| today.saturating_sub(DAYS.days()));
        let mut sessions = plan::life(self.seed, 0, first_day, today);
        let wanted = self.activities.unwrap_or(sessions.len());
        let mut lane = 1;
        while sessions.len() < wanted && first_day < today {
            let mut more = plan::life(self.seed, lane, first_day, today);
            more.truncate(wanted - sessions.len());
            sessions.append(&mut more);
            lane += 1;
        }
        sessions.sort_by_key(|session| (session.id, session.lane));
        sessions.drain(..sessions.len().saturating_sub(wanted));
        for index in 1..sessions.len() {
            let previous = sessions[index - 1].id;
            sessions[index].id = sessions[index].id.max(previous + 1);
        }
        Life {
            first_day,
            sessions,
        }
    }
}

impl Life {
    pub fn first_day(&self) -> Date {
        self.first_day
    }

    /// The summaries as Strava would send them, oldest first, written one by one.
    pub fn summaries(&self) -> impl Iterator<Item = String> {
        self.sessions.iter().enumerate().map(|(index, session)| {
            let text = summary::write(session, ATHLETE_ID);
            let before = index.checked_sub(1).map(|before| &self.sessions[before]);
            oddities::apply(index, text, session, before)
        })
    }
}

/// One plain run that somebody uploads by hand at `start`.
pub(crate) fn single(athlete_id: i64, id: i64, start: Timestamp) -> String {
    summary::write(&Session::plain(id, start), athlete_id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::strava::payload::Payload;

    fn generated(today: &str) -> Generated {
        Generated {
            seed: 7,
            today: Some(today.parse().unwrap()),
            ..Generated::default()
        }
    }

    fn summaries(generated: &Generated) -> Vec<String> {
        generated.plan(Timestamp::UNIX_EPOCH).summaries().collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_text() {
        let one = summaries(&generated("2026-06-30"));
        assert_eq!(one, summaries(&generated("2026-06-30")));
        assert_ne!(
            one,
            summaries(&Generated {
                seed: 8,
                ..generated("2026-06-30")
            })
        );
    }

    #[test]
    fn a_later_day_adds_to_the_same_past() {
        let first_day = Some("2023-05-01".parse().unwrap());
        let early = summaries(&Generated {
            first_day,
            ..generated("2026-06-30")
        });
        let late = summaries(&Generated {
            first_day,
            ..generated("2026-07-31")
        });
        assert!(late.len() > early.len());
        assert_eq!(early[..], late[..early.len()]);
    }

    #[test]
    fn a_life_has_several_sports_places_and_rest_days() {
        let all = summaries(&generated("2026-11-24"));
        assert!((700..=850).contains(&all.len()), "{} activities", all.len());
        let (mut sports, mut zones, mut days) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for text in &all {
            let payload: Payload = text.parse().unwrap();
            sports.insert(payload.value::<String>("sport_type").unwrap());
            zones.insert(payload.value::<String>("timezone").unwrap());
            days.insert(payload.value::<String>("start_date_local").unwrap()[..10].to_owned());
        }
        assert!(sports.len() >= 8, "{sports:?}");
        assert!(zones.len() >= 5, "{zones:?}");
        assert!(days.len() < 800, "{} days of {DAYS}", days.len());
    }

    #[test]
    fn the_wanted_number_comes_with_unique_ids() {
        for wanted in [1, 300, 5_000] {
            let all = summaries(&Generated {
                activities: Some(wanted),
                ..generated("2026-11-24")
            });
            let ids: BTreeSet<i64> = all
                .iter()
                .map(|text| text.parse::<Payload>().unwrap().value("id").unwrap())
                .collect();
            assert_eq!((all.len(), ids.len()), (wanted, wanted));
        }
    }
}
