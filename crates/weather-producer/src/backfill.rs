//! The stage for what is past: ask for the hours of activities at their places, and hand them to Kafka.

mod places;
mod plan;
mod progress;

use std::{collections::HashSet, time::Duration};

use anyhow::Context as _;
use common::storage::Storage;
use common::task::{Closing, Progress as ProgressBar};
use common::weather::event_id;
use jiff::Timestamp;
use serde_json::json;
use tracing::info;

use crate::locations::Location;
use crate::open_meteo::{Call, Element, Hours, OpenMeteo, Patience, Reading, Spot, ask_all};
use crate::produce::{End, Stage, Tally};
use crate::record::record;
use plan::{Plan, Want, Window};
use progress::Progress;

pub use places::{Activity, connect, from_csv, from_database};

/// Every window adds some 70 bytes to an address, and proxies end them at 8 KiB.
const MOST_WINDOWS: usize = 75;

/// Sends the hours of all activities that no earlier run sent. What Kafka has is remembered call by call, so that a
/// run that ends early costs one call at most.
///
/// # Errors
/// When nothing could be sent. What was sent in part is a [`Closing`] with its failure.
pub async fn run(
    stage: &mut Stage,
    storage: Storage,
    configured: Vec<Location>,
    activities: &[Activity],
    max_wait: Duration,
) -> anyhow::Result<Closing> {
    stage.make_topic(stage.delivery_timeout).await?;
    let mut progress = Progress::open(storage).await?;
    let Plan {
        locations,
        wants,
        unfinished,
    } = plan::plan(activities, configured, stage.clock.now());
    let planned = wants.len();
    let pending: Vec<Want> = wants
        .into_iter()
        .filter(|want| !progress.has(want))
        .collect();
    let earlier = planned - pending.len();
    let windows = plan::windows(pending);
    info!(
        activities.count = activities.len(),
        activities.done = earlier,
        windows.count = windows.len(),
        "planned {} windows of hours",
        windows.len()
    );

    let used: HashSet<_> = windows.iter().map(|window| window.location).collect();
    let mut backfill = Backfill {
        stage,
        locations: &locations,
        sent: HashSet::new(),
        tally: Tally::new(used.len()),
    };
    let patience = Patience {
        attempts: backfill.stage.attempts,
        broken_attempts: backfill.stage.attempts,
        max_wait,
        until: None,
    };
    let bar = ProgressBar::new("activities", Some((planned - earlier) as u64));
    let (mut done, mut end) = (earlier, End::Done);
    let size = backfill.stage.batch.min(MOST_WINDOWS);
    for part in windows
        .chunk_by(|one, other| one.source == other.source)
        .flat_map(|host| host.chunks(size))
    {
        let fulfilled = match backfill.part(part, patience).await {
            Ok((fulfilled, None)) => fulfilled,
            Ok((fulfilled, Some(early))) => {
                end = early;
                fulfilled
            }
            Err(error) => {
                end = End::Failed(error);
                break;
            }
        };
        progress.add(&fulfilled).await?;
        done += fulfilled.len();
        bar.inc(fulfilled.len() as u64);
        if !matches!(end, End::Done) {
            break;
        }
    }
    bar.finish();
    let Backfill {
        stage, mut tally, ..
    } = backfill;
    tally
        .more
        .insert("activities".to_owned(), json!(activities.len()));
    tally.more.insert("activities_done".to_owned(), json!(done));
    tally
        .more
        .insert("activities_unfinished".to_owned(), json!(unfinished));
    let sent = stage.topic.acknowledged();
    info!(
        readings.count = sent,
        activities.done = done,
        "sent {sent} readings, {done} activities have their weather"
    );
    tally.close(stage, end)
}

struct Backfill<'a> {
    stage: &'a mut Stage,
    locations: &'a [Location],
    /// Event ids of this run: two activities may share an hour.
    sent: HashSet<String>,
    tally: Tally,
}

impl Backfill<'_> {
    /// One call: which wants Kafka has now, and why the rest was left where it was.
    async fn part(
        &mut self,
        windows: &[Window],
        patience: Patience,
    ) -> anyhow::Result<(Vec<Want>, Option<End>)> {
        let locations = self.locations;
        let ask = async |open_meteo: &mut OpenMeteo, part: &[Window], tries: u32| {
            let patience = Patience {
                broken_attempts: tries.min(patience.broken_attempts),
                ..patience
            };
            let hours = part.iter().map(|window| Hours {
                spot: Spot::of(&locations[window.location]),
                from: window.from,
                to: window.to,
            });
            open_meteo
                .hourly(windows[0].source, &hours.collect::<Vec<_>>(), patience)
                .await
        };
        let answers = ask_all(
            &mut self.stage.open_meteo,
            windows,
            Call::several(0..windows.len(), windows.len()),
            ask,
        )
        .await;
        for (index, reason) in answers.rejected.into_iter().chain(answers.broken) {
            let id = &locations[windows[index].location].id;
            self.tally.refuse(&self.stage.vitals, id, &reason);
        }
        let mut fulfilled = Vec::new();
        for (index, element) in &answers.elements {
            fulfilled.extend(self.send(&windows[*index], element).await?);
        }
        self.stage.deliver().await.context("hand the hours over")?;
        Ok((fulfilled, answers.end.map(|error| End::of(Some(error)))))
    }

    /// Sends the hours that are wanted of a window; the wants of which none is missing.
    async fn send(&mut self, window: &Window, element: &Element) -> anyhow::Result<Vec<Want>> {
        let location = &self.locations[window.location];
        let of_hour = |hour: Timestamp| {
            let found = element
                .readings
                .binary_search_by_key(&hour, |reading: &Reading| reading.slot);
            found
                .ok()
                .map(|index| &element.readings[index])
                .filter(|reading| !reading.is_empty())
        };
        for hour in window.hours() {
            let Some(reading) = of_hour(hour) else {
                continue;
            };
            if !self.sent.insert(event_id(
                &location.id,
                hour,
                element.slot_seconds,
                window.source,
            )) {
                self.tally.skip(&self.stage.vitals);
                continue;
            }
            let record = record(
                location,
                element,
                reading,
                window.source,
                element.fetched_at,
            );
            self.stage.topic.send(record, &self.stage.stop).await?;
        }
        let (whole, broken): (Vec<_>, Vec<_>) = window
            .wants
            .iter()
            .cloned()
            .partition(|want| want.hours().all(|hour| of_hour(hour).is_some()));
        if !broken.is_empty() {
            self.tally.refuse(
                &self.stage.vitals,
                &location.id,
                "no data for some of the hours",
            );
        }
        Ok(whole)
    }
}
