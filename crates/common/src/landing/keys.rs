//! Where everything lies below the landing URL.

use jiff::civil::Date;

use super::{RunId, Stream};

/// Everything of one stream: `source=strava/type=<stream>/`.
pub fn stream_prefix(stream: Stream) -> String {
    format!("source=strava/type={stream}/")
}

/// Everything of one athlete in one stream: `source=strava/type=<stream>/athlete=<id>/`.
pub fn athlete_prefix(stream: Stream, athlete_id: &str) -> String {
    format!("{}athlete={athlete_id}/", stream_prefix(stream))
}

/// The folder of one day's objects: `source=strava/type=<stream>/athlete=<id>/date=<YYYYMMDD>/`.
pub fn day_prefix(stream: Stream, athlete_id: &str, date: Date) -> String {
    format!(
        "{}date={}/",
        athlete_prefix(stream, athlete_id),
        date.strftime("%Y%m%d")
    )
}

/// A part, named by its content: `<day folder><run>-<first 16 hex of sha256>.ndjson.zst`.
pub fn part(stream: Stream, athlete_id: &str, run_id: &RunId, sha256: &str) -> String {
    let folder = day_prefix(stream, athlete_id, run_id.date());
    format!("{folder}{}-{}.ndjson.zst", run_id.key_form(), &sha256[..16])
}

/// Every landed reading of the weather: `source=kafka/type=weather/`.
pub fn weather_prefix() -> &'static str {
    "source=kafka/type=weather/"
}

/// Readings of one partition, named by the first of them:
/// `source=kafka/type=weather/date=<YYYYMMDD>/<topic>+<partition>+<20-digit offset>.parquet`.
pub fn weather(date: Date, topic: &str, partition: i32, first_offset: i64) -> String {
    format!(
        "{}date={}/{topic}+{partition}+{first_offset:020}.parquet",
        weather_prefix(),
        date.strftime("%Y%m%d")
    )
}

/// All state of one athlete: `state/strava/athlete=<id>/`.
pub fn athlete_state_prefix(athlete_id: &str) -> String {
    format!("state/strava/athlete={athlete_id}/")
}

/// What of an athlete is done and what is pending.
pub fn ledger(athlete_id: &str) -> String {
    format!("{}ledger.json.zst", athlete_state_prefix(athlete_id))
}

/// The lease of an athlete's run.
pub fn lease(athlete_id: &str) -> String {
    format!("{}lease.json", athlete_state_prefix(athlete_id))
}

/// What the app has used of its quota.
pub fn quota(client_id: &str) -> String {
    format!("state/strava/app={client_id}/quota.json")
}

/// The lease under which an athlete's token in SSM is refreshed.
pub fn token_lease(client_id: &str, athlete_id: &str) -> String {
    format!("state/strava/app={client_id}/token-{athlete_id}.json")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::landing::sha256_hex;

    #[test]
    fn keys_are_those_of_the_contract() {
        let run_id: RunId = "20261122T101112Z-0a1b2c3d".parse().unwrap();
        assert_eq!(
            part(Stream::ActivityDetails, "42", &run_id, &sha256_hex(b"")),
            "source=strava/type=activity_details/athlete=42/date=20261122/\
             20261122T101112Z-0a1b2c3d-e3b0c44298fc1c14.ndjson.zst"
        );
        assert_eq!(
            weather(jiff::civil::date(2026, 11, 22), "weather", 3, 17),
            "source=kafka/type=weather/date=20261122/weather+3+00000000000000000017.parquet"
        );
        assert_eq!(ledger("42"), "state/strava/athlete=42/ledger.json.zst");
        assert_eq!(lease("42"), "state/strava/athlete=42/lease.json");
        assert_eq!(quota("7"), "state/strava/app=7/quota.json");
        assert_eq!(token_lease("7", "42"), "state/strava/app=7/token-42.json");
    }
}
