//! Where and when activities were: from the warehouse, or from a CSV.

use std::{path::Path, time::Duration};

use anyhow::{Context as _, anyhow};
use common::database_tls;
use common::database_url::{self, TlsPolicy};
use common::task::Refused;
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_postgres::{Client, Config, Row, config::SslMode, error::SqlState};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::{debug, warn};

use crate::{locations::coordinate, table};

const COLUMNS: [&str; 5] = [
    "activity_id",
    "latitude",
    "longitude",
    "started_at",
    "ended_at",
];
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longer than any: a mistake in the data would ask for months of weather.
const LONGEST_ACTIVITY: SignedDuration = SignedDuration::from_hours(14 * 24 - 3);

/// One row an activity, the API's first. The columns are what the payloads had, so that any but the loader's own may be
/// missing or of another type: they are taken as JSON.
const ACTIVITIES: &str = "
    select distinct on (_athlete_id, _id)
           _id, fields ->> 'start_latlng', fields ->> 'start_date', fields ->> 'elapsed_time'
      from strava.ods_strava__activities as activity,
           lateral (select to_jsonb(activity) as fields) as json
     where _deleted is not true
       and coalesce(fields ->> 'start_latlng', '[]') not in ('', '[]')
     order by _athlete_id, _id, _origin <> 'api', _fetched_at desc";

/// One activity that happened somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Activity {
    pub id: String,
    pub latitude: f64,
    pub longitude: f64,
    pub started_at: Timestamp,
    pub ended_at: Timestamp,
}

/// Reads the CSV.
///
/// # Errors
/// [`Refused`] with the line of what is wrong in it.
pub fn from_csv(path: &Path) -> anyhow::Result<Vec<Activity>> {
    let refused = |reason: String| {
        anyhow!(Refused::new(format!(
            "--places {}, {reason}",
            path.display()
        )))
    };
    let text = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    parse(&text).map_err(refused)
}

fn parse(csv: &[u8]) -> Result<Vec<Activity>, String> {
    let mut activities = Vec::new();
    table::read(csv, COLUMNS, |row| {
        let [id, latitude, longitude, started_at, ended_at] = row.cells;
        let at = |reason: String| row.at(reason);
        let time = |text: &str, name: &str| {
            let example = "2026-10-03T12:30:00Z";
            let parsed = text.parse::<Timestamp>();
            parsed.map_err(|_| row.at(format!("{name} is no time such as {example}")))
        };
        let activity = Activity {
            id: id.to_owned(),
            latitude: coordinate(latitude, "latitude", 90.0).map_err(at)?.as_f64(),
            longitude: coordinate(longitude, "longitude", 180.0)
                .map_err(at)?
                .as_f64(),
            started_at: time(started_at, "started_at")?,
            ended_at: time(ended_at, "ended_at")?,
        };
        if activity.id.is_empty() {
            return Err(row.at("no activity_id"));
        }
        let lasted = activity.ended_at.duration_since(activity.started_at);
        if lasted.is_negative() || lasted > LONGEST_ACTIVITY {
            return Err(row.at("it ends before it starts, or two weeks after"));
        }
        activities.push(activity);
        Ok(())
    })?;
    Ok(activities)
}

/// Reads the activities that the warehouse has a start point of; none where no activity was ever loaded.
///
/// # Errors
/// No connection, or no right to read; [`Refused`] where a retry does not help.
pub async fn from_database(url: &SecretString) -> anyhow::Result<Vec<Activity>> {
    let client = connect(url).await?;
    let rows = match client.query(ACTIVITIES, &[]).await {
        Ok(rows) => rows,
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => {
            warn!("found no table strava.ods_strava__activities: no activity was loaded yet");
            return Ok(Vec::new());
        }
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
            let advice = Refused::new(
                "the user of DATABASE_URL may not read strava.ods_strava__activities: grant it",
            );
            return Err(anyhow!(error).context(advice));
        }
        Err(error) => return Err(error).context("read the activities' places"),
    };
    let activities: Vec<_> = rows.iter().filter_map(activity).collect();
    if activities.len() < rows.len() {
        warn!(
            activities.count = rows.len() - activities.len(),
            "left out activities without a usable place or time"
        );
    }
    Ok(activities)
}

/// Opens a session.
pub async fn connect(url: &SecretString) -> anyhow::Result<Client> {
    let url = database_url::parse(url)?;
    let config = url.clean.expose_secret().parse();
    let mut config: Config = config.map_err(|_| {
        anyhow!(Refused::new(
            "DATABASE_URL has an option that this program does not know"
        ))
    })?;
    config
        .application_name(env!("CARGO_PKG_NAME"))
        .connect_timeout(CONNECT_TIMEOUT)
        .ssl_mode(match url.tls {
            TlsPolicy::Disable => SslMode::Disable,
            TlsPolicy::Prefer => SslMode::Prefer,
            TlsPolicy::Require | TlsPolicy::VerifyCa | TlsPolicy::VerifyFull => SslMode::Require,
        });
    let tls = MakeRustlsConnect::new(database_tls::client_config(
        url.tls,
        url.root_cert.as_deref(),
    )?);
    let at = format!(
        "connect to the database at {}:{} as {}",
        url.host, url.port, url.user
    );
    let (client, connection) = match config.connect(tls).await {
        Ok(connected) => connected,
        Err(error) => {
            let refusals = [
                SqlState::INVALID_PASSWORD,
                SqlState::INVALID_AUTHORIZATION_SPECIFICATION,
                SqlState::INVALID_CATALOG_NAME,
            ];
            let is_refused = error.code().is_some_and(|code| refusals.contains(code));
            let error = anyhow!(error);
            let advised = if is_refused {
                error.context(Refused::new("correct DATABASE_URL"))
            } else {
                error
            };
            return Err(advised.context(at));
        }
    };
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            debug!(error = %error, "the connection to the database ended");
        }
    });
    client
        .batch_execute("set timezone = 'UTC'; set default_transaction_read_only = on")
        .await
        .context(at)?;
    Ok(client)
}

fn activity(row: &Row) -> Option<Activity> {
    let text = |index: usize| row.try_get::<_, Option<&str>>(index).ok().flatten();
    let place: Vec<f64> = serde_json::from_str(text(1)?).ok()?;
    let &[latitude, longitude] = place.as_slice() else {
        return None;
    };
    let is_on_earth = latitude.abs() <= 90.0 && longitude.abs() <= 180.0;
    let started_at: Timestamp = text(2)?.parse().ok()?;
    let seconds = text(3)?
        .parse::<f64>()
        .ok()
        .filter(|seconds| *seconds >= 0.0)?;
    let lasted = SignedDuration::try_from_secs_f64(seconds).ok()?;
    (is_on_earth && lasted <= LONGEST_ACTIVITY).then_some(())?;
    let ended_at = started_at.checked_add(lasted).ok()?;
    Some(Activity {
        id: text(0)?.to_owned(),
        latitude,
        longitude,
        started_at,
        ended_at,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "activity_id,latitude,longitude,started_at,ended_at\n";

    #[test]
    fn a_place_is_read_with_its_times() {
        let row = "17,52.5,13.4,2026-10-03T12:00:00+02:00,2026-10-03T11:00:00Z\n";
        let activities = parse(format!("{HEADER}{row}").as_bytes()).unwrap();
        assert_eq!(activities[0].started_at.to_string(), "2026-10-03T10:00:00Z");
        assert_eq!(activities[0].latitude, 52.5);
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line_and_without_the_place() {
        for (row, reason) in [
            (
                "1,95,2,2026-10-03T10:00:00Z,2026-10-03T11:00:00Z",
                "line 2: the latitude is no number between -90 and 90",
            ),
            (
                "1,9,2,yesterday,2026-10-03T11:00:00Z",
                "line 2: started_at is no time",
            ),
            (
                "1,9,2,2026-10-03T12:00:00Z,2026-10-03T11:00:00Z",
                "line 2: it ends before it starts",
            ),
            (
                ",9,2,2026-10-03T10:00:00Z,2026-10-03T11:00:00Z",
                "line 2: no activity_id",
            ),
            ("1,9", "line 2: not 5 cells"),
        ] {
            let refused = parse(format!("{HEADER}{row}\n").as_bytes()).unwrap_err();
            assert!(refused.starts_with(reason), "{refused}");
        }
    }
}
