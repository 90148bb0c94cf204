//! The walk through the list of all activities, newest first, until a page is empty.

use std::collections::HashSet;

use anyhow::{Context as _, anyhow};
use common::{
    landing::{Envelope, Origin, Stream},
    task::Progress,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tracing::{info, warn};

use crate::{
    extract::{Ended, Extract},
    landing_run::Change,
    ledger::{Landed, Quarantined, Walk},
    strava_api::Answer,
};

/// Strava has 56 sports and no athlete with that many pages; a list without end is a fault.
const MOST_PAGES: u32 = 10_000;
/// Names a place in the list in quarantine.
const PLACE: &str = "list, page ";

/// What a listed activity is to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum News {
    New,
    Changed,
    Unchanged,
    /// Met before in this walk: the list has moved while it was walked.
    Again,
    Unreadable,
}

/// How far a walk came.
struct Walked {
    /// Every activity that it met.
    met: HashSet<u64>,
    /// The earliest start that it met, in seconds: the place to go on from.
    earliest: Option<i64>,
    /// Whether the list has to be looked at once more from the top.
    has_news: bool,
    reached_the_end: bool,
}

#[derive(Deserialize)]
struct Head {
    id: u64,
    start_date: Option<Timestamp>,
}

impl Extract<'_> {
    /// Walks the whole list. A walk that a limit cuts short goes on in the next run where it ended.
    pub(crate) async fn walk(&mut self) -> Result<(), Ended> {
        let resumed = self.landing.ledger.walk.take();
        let mut walked = Walked {
            met: HashSet::new(),
            earliest: None,
            has_news: resumed.is_some(),
            reached_the_end: false,
        };
        let ledger = &mut self.landing.ledger;
        if resumed.is_some() {
            walked.met.extend(
                ledger
                    .activities
                    .iter()
                    .filter(|(_, activity)| activity.met)
                    .map(|(&id, _)| id),
            );
            info!("going on with the walk that a limit cut short");
        }
        ledger
            .activities
            .values_mut()
            .for_each(|activity| activity.met = false);
        ledger.quarantine.retain(|it| !it.what.starts_with(PLACE));

        let before = resumed.map(|walk| walk.before);
        let ended = self.walk_from(before, &mut walked).await;
        if let Err(Ended::Limit(_)) = ended {
            self.remember(&walked, before).await?;
        }
        ended
    }

    async fn walk_from(&mut self, before: Option<i64>, walked: &mut Walked) -> Result<(), Ended> {
        let known = self.landing.ledger.living().count() as u64;
        let total = (known > 0 && before.is_none()).then_some(known);
        self.pages(before, walked, &Progress::new("activities", total))
            .await?;
        walked.reached_the_end = true;
        if walked.has_news {
            self.look_at_the_top_again(walked).await?;
        }
        self.bury_vanished(&walked.met).await
    }

    /// Page by page until one is empty: a short page is no end, as Strava filters after paging.
    async fn pages(
        &mut self,
        before: Option<i64>,
        walked: &mut Walked,
        progress: &Progress,
    ) -> Result<(), Ended> {
        for page in 1..=MOST_PAGES {
            let answer = self
                .ask(async |strava| strava.activities(page, before).await)
                .await?;
            let items = items(&answer, page)?;
            if items.is_empty() {
                return Ok(());
            }
            progress.inc(items.len() as u64);
            for (place, item) in items.into_iter().enumerate() {
                let news = self
                    .consider(item, answer.fetched_at, walked, Place { page, place })
                    .await?;
                walked.has_news |= news != News::Unchanged;
            }
        }
        Err(anyhow!("the list of activities has no end: page {MOST_PAGES} is not empty").into())
    }

    /// What was added while the list was walked stands at its top, and moved the rest down.
    async fn look_at_the_top_again(&mut self, walked: &mut Walked) -> Result<(), Ended> {
        // The ledger knows what is in a part only once that is stored.
        self.landing.close_parts().await?;
        for page in 1..=MOST_PAGES {
            let answer = self
                .ask(async |strava| strava.activities(page, None).await)
                .await?;
            let mut has_news = false;
            for (place, item) in items(&answer, page)?.into_iter().enumerate() {
                if let Ok(head) = serde_json::from_str::<Head>(item.get()) {
                    // What is new since; an edit of what was met is found by the next walk.
                    if !walked.met.contains(&head.id) {
                        has_news = true;
                        self.consider(item, answer.fetched_at, walked, Place { page, place })
                            .await?;
                    }
                }
            }
            if !has_news {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lands a listed activity where the ledger does not have it like that.
    async fn consider(
        &mut self,
        item: &RawValue,
        fetched_at: Timestamp,
        walked: &mut Walked,
        place: Place,
    ) -> Result<News, Ended> {
        let Ok(head) = serde_json::from_str::<Head>(item.get()) else {
            self.set_aside_place(place);
            return Ok(News::Unreadable);
        };
        if let Some(start) = head.start_date {
            let second = start.as_second();
            walked.earliest = Some(
                walked
                    .earliest
                    .map_or(second, |earliest| earliest.min(second)),
            );
        }
        if !walked.met.insert(head.id) {
            return Ok(News::Again);
        }
        let athlete_id = self.landing.ledger.athlete_id.clone();
        let id = head.id.to_string();
        let envelope = Envelope::new(
            Stream::Activities,
            id,
            athlete_id,
            fetched_at,
            Origin::Api,
            item,
        );
        let landed = Landed::of(&envelope)?;
        let known = self.landing.ledger.activities.get(&head.id);
        let news = match known
            .filter(|known| known.deleted_at.is_none())
            .and_then(|known| known.api)
        {
            None => News::New,
            Some(known) if known.hash == landed.hash => News::Unchanged,
            Some(_) => News::Changed,
        };
        let counts = self.report.of(Stream::Activities);
        counts.listed += 1;
        match news {
            News::New => counts.new += 1,
            News::Changed => counts.changed += 1,
            _ => counts.unchanged += 1,
        }
        if news != News::Unchanged {
            self.push(
                &envelope,
                head.start_date,
                Change::Summary {
                    id: head.id,
                    landed,
                },
            )
            .await?;
        }
        Ok(news)
    }

    /// Without an id there is nothing to land it under.
    fn set_aside_place(&mut self, Place { page, place }: Place) {
        let what = format!("{PLACE}{page}, place {}", place + 1);
        warn!("set {what} aside: it has no id that can be read");
        self.report.of(Stream::Activities).quarantined += 1;
        self.landing.ledger.set_aside(Quarantined {
            stream: Stream::Activities,
            origin: Origin::Api,
            what,
            reason: "has no id that can be read".to_owned(),
            attempts: 1,
            since: Timestamp::now(),
        });
    }

    /// Keeps in the ledger how far the walk came.
    async fn remember(&mut self, walked: &Walked, before: Option<i64>) -> Result<(), Ended> {
        // What is in hand is not in the ledger yet, and must be to be marked as met.
        self.landing.close_parts().await?;
        let ledger = &mut self.landing.ledger;
        // Before the end of the list, others may have started in the same second.
        let ties = i64::from(!walked.reached_the_end);
        let earliest = walked.earliest.map(|second| second + ties).or(before);
        ledger.walk = earliest.map(|before| Walk { before });
        let mut pending = 0;
        for (id, activity) in &mut ledger.activities {
            activity.met = ledger.walk.is_some() && walked.met.contains(id);
            pending += u64::from(!activity.met && activity.is_living());
        }
        // The rest of the list is of unknown length, and at least something.
        self.report.of(Stream::Activities).pending = pending.max(1);
        Ok(())
    }
}

#[derive(Clone, Copy)]
struct Place {
    page: u32,
    place: usize,
}

fn items(answer: &Answer, page: u32) -> anyhow::Result<Vec<&RawValue>> {
    serde_json::from_str(answer.body.get())
        .ok()
        .with_context(|| format!("page {page} of the activities is no list"))
}
