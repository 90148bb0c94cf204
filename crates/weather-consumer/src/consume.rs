//! The stage: store each reading, then commit its offset, never the other way round.
//!
//! One thread owns the consumer (`intake`); it hands readings to the sinks through
//! bounded channels, and commits what they report as stored. A reading that was stored and not
//! committed is stored again under the same name, so that a crash in between loses and doubles nothing.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use common::{storage::Storage, vitals::Vitals};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::{
    collection::{self, Attempted as _, Collection},
    dead_letters::{DeadLetters, Letter, Reason},
    intake::{Aside, Intake, Outlets, QUEUE_LETTERS, QUEUE_ROWS},
    landing,
    metrics::{READY_LANDING, READY_MONGODB},
    report::{Desk, Report},
    retry::until_it_works,
    topic::Topic,
    watchdog::{self, Pulse},
};

pub use crate::intake::{Counts, Ended};

/// Where readings are stored: one of them, or both.
#[derive(Debug)]
pub struct Sinks {
    pub mongodb: Option<Collection>,
    /// Age at which MongoDB deletes a reading.
    pub expire_after: Option<Duration>,
    pub landing: Option<Storage>,
}

/// When files are closed, and how long things may take.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Rows of one file.
    pub max_rows: usize,
    /// Memory of all files that are open or being written.
    pub max_bytes: usize,
    /// Age of an open file, also while nothing arrives.
    pub max_age: Duration,
    /// For finishing what is in hand when partitions are taken away, or the program is stopped.
    pub drain: Duration,
    /// Work without progress for so long ends the program.
    pub stall: Duration,
}

/// Consumes until `stop`, then finishes what it has in hand.
///
/// # Errors
/// What no waiting changes: refused credentials, a missing bucket, a landing of another topic; and a
/// stall. What was stored until then is stored, and what was committed was stored before.
pub async fn run(
    topic: Topic,
    sinks: Sinks,
    letters: DeadLetters,
    limits: Limits,
    vitals: Vitals,
    stop: CancellationToken,
) -> anyhow::Result<Ended> {
    let (desk, reports) = Desk::new(vitals.clone(), letters);
    let (asides, aside) = mpsc::channel(QUEUE_LETTERS);
    let (writes, write) = mpsc::channel(QUEUE_ROWS);
    let (files, file) = mpsc::channel(landing::WRITERS);
    let outlets = Outlets {
        writes: sinks.mongodb.is_some().then_some(writes),
        files: sinks.landing.is_some().then_some(files),
        asides,
    };
    let name = topic.name().to_owned();
    let storing = async {
        tokio::join!(
            to_mongodb(sinks.mongodb, sinks.expire_after, write, &desk),
            to_landing(sinks.landing, &name, file, &desk),
            bury(aside, &desk),
        );
        // All of them have ended: so has the thread, and how is what we wait for.
        std::future::pending::<()>().await;
    };

    let pulse = Pulse::default();
    let intake = Intake::new(
        &name,
        outlets,
        reports,
        limits.clone(),
        vitals.clone(),
        pulse.clone(),
    );
    let (ended, end) = oneshot::channel();
    // No task of the runtime: a thread that hangs must not keep the program from ending.
    let thread = std::thread::Builder::new().name("topic".to_owned());
    thread
        .spawn(move || {
            // Nobody waits any more once the watchdog has ended the program.
            ended.send(intake.run(topic, &stop)).ok();
        })
        .context("start the thread that reads the topic")?;
    tokio::select! {
        ended = end => ended.unwrap_or_else(|_| Err(anyhow!("the thread that reads the topic panicked"))),
        stalled = watchdog::watch(pulse, vitals, limits.stall) => Err(stalled),
        () = storing => unreachable!("it waits for ever"),
    }
}

async fn to_mongodb(
    collection: Option<Collection>,
    expire_after: Option<Duration>,
    writes: mpsc::Receiver<collection::Write>,
    desk: &Desk,
) {
    let Some(collection) = collection else { return };
    desk.vitals.not_ready(READY_MONGODB, "not asked yet");
    let prepare = async || {
        collection
            .prepare(expire_after)
            .await
            .attempted("make the indexes")
    };
    match until_it_works(
        READY_MONGODB,
        &desk.vitals,
        collection::COMMAND_LIMIT,
        prepare,
    )
    .await
    {
        Ok(()) => desk.vitals.ready(READY_MONGODB),
        Err(error) => return desk.report(Report::Failed(error)),
    }
    collection::write(&collection, writes, desk).await;
}

async fn to_landing(
    storage: Option<Storage>,
    topic: &str,
    files: mpsc::Receiver<landing::ClosedFile>,
    desk: &Desk,
) {
    let Some(storage) = storage else { return };
    desk.vitals.not_ready(READY_LANDING, "not asked yet");
    match until_it_works(
        READY_LANDING,
        &desk.vitals,
        collection::COMMAND_LIMIT,
        async || storage.check().await,
    )
    .await
    {
        Ok(()) => desk.vitals.ready(READY_LANDING),
        Err(error) => return desk.report(Report::Failed(error)),
    }
    landing::write(&storage, topic, files, desk).await;
}

/// Puts aside what is no message, one after the other.
async fn bury(mut asides: mpsc::Receiver<Aside>, desk: &Desk) {
    let prepare = async {
        if let Err(error) = desk.letters.prepare(&desk.vitals).await {
            desk.report(Report::Failed(error));
        }
    };
    let bury = async {
        while let Some(Aside {
            claim,
            record,
            reason,
            detail,
            sink,
        }) = asides.recv().await
        {
            let letter = Letter {
                claim,
                record: &record,
                reason,
                detail: &detail,
                sink,
            };
            match desk.letters.bury(&letter, &desk.vitals).await {
                Ok(is_new) => desk.report(Report::Buried {
                    claim,
                    offset: record.place.offset,
                    bytes: record.bytes(),
                    is_new,
                }),
                Err(error) => return desk.report(Report::Failed(error)),
            }
        }
    };
    tokio::join!(prepare, bury);
}

impl From<common::weather::Reason> for Reason {
    fn from(reason: common::weather::Reason) -> Self {
        Self::Defect(reason)
    }
}
