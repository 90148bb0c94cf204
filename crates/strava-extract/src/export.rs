//! The stage: read a bulk archive and land each activity that its ledger does not have like that.

use std::{collections::HashSet, io::Read};

use anyhow::{Context as _, anyhow};
use common::{
    landing::{Envelope, Origin, Stream},
    task::{Progress, Refused, Stopped},
};
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    activities_csv::{self, ActivitiesCsv, Unreadable},
    archive::Archive,
    cells,
    export_activity::ExportActivity,
    landing_run::{Change, LandingRun},
    ledger::{Exported, Quarantined},
    report::Report,
};

const ACTIVITIES: &str = "activities.csv";
const STREAM: Stream = Stream::Activities;
/// The reasons of that many records are kept; what goes wrong that often has one cause.
const MOST_KEPT: usize = 1_000;

/// Whose archive it is: the id in `profile.csv`, `None` where there is none.
pub fn athlete_id(archive: &mut Archive) -> anyhow::Result<Option<String>> {
    let Some(profile) = archive.read("profile.csv")? else {
        return Ok(None);
    };
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(profile);
    let mut rows = reader.records();
    let (Some(header), Some(row)) = (rows.next().transpose()?, rows.next().transpose()?) else {
        return Ok(None);
    };
    // The first column in every language that was seen.
    let place = header
        .iter()
        .position(|name| name.trim_start_matches('\u{feff}') == "Athlete ID")
        .unwrap_or(0);
    let id = row
        .get(place)
        .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(id.map(str::to_owned))
}

/// What a first look at an archive tells, before anything is landed.
pub struct Survey {
    /// How many records there are.
    pub records: u64,
    /// The moment that the archive is of: `fetched_at` of all that comes out of it.
    pub as_of: Timestamp,
}

/// Reads the archive's dates once.
///
/// Its moment is the newest time stamp inside: of the zip's members where they can be true, and of
/// the activities and log-ins in the data, so that the same archive unpacked, zipped again or cloned
/// is never taken for a newer one than it is.
pub fn survey(archive: &mut Archive) -> anyhow::Result<Survey> {
    let mut records = 0;
    let mut newest: Option<Timestamp> = None;
    let tomorrow = Timestamp::now() + SignedDuration::from_hours(24);
    let mut csv = open(archive)?;
    while let Some((_, record)) = csv.read_next()? {
        records += 1;
        // A date in the future is a typing error, and would outdate every archive to come.
        if let Ok(activity) = record.and_then(|record| ExportActivity::read(&record))
            && activity.end_date <= tomorrow
        {
            newest = newest.max(Some(activity.end_date));
        }
    }
    drop(csv);
    // Whoever asks for an archive has logged in for it.
    if let Some(log_ins) = archive.read("logins.csv")? {
        newest = newest.max(newest_date(log_ins));
    }
    let can_be_true = |at: &Timestamp| newest.is_none_or(|newest| *at >= newest) && *at <= tomorrow;
    let as_of = archive
        .newest_member()
        .filter(can_be_true)
        .or(newest)
        .unwrap_or_else(Timestamp::now);
    Ok(Survey { records, as_of })
}

/// Lands the records of `activities.csv`. What cannot be read is set aside with its reason; whatever
/// ends it, what was landed until then is published.
pub async fn run(
    archive: &mut Archive,
    landing: &mut LandingRun,
    survey: &Survey,
    stop: &CancellationToken,
) -> Report {
    let mut report = Report::default();
    report.of(STREAM);
    match land(archive, landing, survey, &mut report, stop).await {
        Ok(()) => report.usable = true,
        Err(error) => report.failure = Some(error),
    }
    let counts = *report.of(STREAM);
    if report.failure.is_none() && counts.quarantined > 0 && counts.quarantined == counts.listed {
        let reason = landing
            .ledger
            .quarantine
            .iter()
            .find(|it| it.origin == Origin::Export)
            .map(|it| it.reason.as_str());
        report.failure = Some(anyhow!(
            "none of the {} records in {ACTIVITIES} can be read: the first one {}",
            counts.listed,
            reason.unwrap_or_default()
        ));
        report.usable = false;
    }
    if let Err(error) = landing.finish().await {
        report.failure.get_or_insert(error);
    }
    report
}

async fn land(
    archive: &mut Archive,
    landing: &mut LandingRun,
    survey: &Survey,
    report: &mut Report,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let athlete_id = landing.ledger.athlete_id.clone();
    let progress = Progress::new("records", Some(survey.records));
    // Said anew by every import.
    landing
        .ledger
        .quarantine
        .retain(|it| (it.stream, it.origin) != (STREAM, Origin::Export));
    let mut met = HashSet::new();
    let mut older = 0_u64;
    let mut csv = open(archive)?;
    while let Some((number, record)) = csv.read_next()? {
        if stop.is_cancelled() {
            return Err(Stopped.into());
        }
        progress.inc(1);
        report.of(STREAM).listed += 1;
        let activity = record
            .and_then(|record| ExportActivity::read(&record))
            .and_then(|activity| {
                if met.insert(activity.id) {
                    Ok(activity)
                } else {
                    Err(Unreadable::Repeated)
                }
            });
        let activity = match activity {
            Ok(activity) => activity,
            Err(reason) => {
                set_aside(landing, report, number, &reason);
                continue;
            }
        };
        let id = activity.id.to_string();
        let envelope = Envelope::new(
            STREAM,
            id,
            athlete_id.as_str(),
            survey.as_of,
            Origin::Export,
            &activity.payload,
        );
        let exported = Exported {
            hash: envelope.hash.parse()?,
            as_of: survey.as_of.as_second(),
        };
        let known = landing.ledger.activities.get(&activity.id);
        let counts = report.of(STREAM);
        match known.and_then(|known| known.export) {
            Some(known) if known.hash == exported.hash => {
                counts.unchanged += 1;
                continue;
            }
            // An older archive than the one that this record is landed from.
            Some(known) if known.as_of > exported.as_of => {
                counts.unchanged += 1;
                older += 1;
                continue;
            }
            Some(_) => counts.changed += 1,
            None => counts.new += 1,
        }
        landing
            .push(
                &envelope,
                Some(activity.start_date),
                Change::Export {
                    id: activity.id,
                    exported,
                },
            )
            .await?;
        if landing.is_writing() {
            report.of(STREAM).written += 1;
        }
    }
    progress.finish();
    if older > 0 {
        info!(
            records.count = older,
            "left out records of which a newer archive is landed"
        );
    }
    Ok(())
}

fn set_aside(landing: &mut LandingRun, report: &mut Report, number: u64, reason: &Unreadable) {
    let what = format!("{ACTIVITIES} record {number}");
    warn!("set {what} aside: it {reason}");
    report.of(STREAM).quarantined += 1;
    if landing.ledger.quarantine.len() < MOST_KEPT {
        landing.ledger.quarantine.push(Quarantined {
            stream: STREAM,
            origin: Origin::Export,
            what,
            reason: reason.to_string(),
            attempts: 1,
            since: Timestamp::now(),
        });
    }
}

fn open(archive: &mut Archive) -> anyhow::Result<ActivitiesCsv<Box<dyn Read + '_>>> {
    let file = archive
        .read(ACTIVITIES)?
        .with_context(|| format!("find {ACTIVITIES} again"))?;
    ActivitiesCsv::open(file).map_err(|error| match error {
        activities_csv::Error::Read(error) => {
            anyhow::Error::new(error).context(format!("read {ACTIVITIES}"))
        }
        // Another archive would help, another try would not.
        error => anyhow::Error::new(Refused::new(error.to_string())),
    })
}

fn newest_date(file: impl Read) -> Option<Timestamp> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(file);
    let rows = reader.records().map_while(Result::ok);
    rows.filter_map(|row| row.iter().filter_map(cells::instant).max())
        .max()
}
