//! The stage: walk the list of all activities, land what is new or changed, bury what is gone.

use std::{collections::BTreeSet, time::Duration};

use anyhow::Context as _;
use common::{
    landing::{Envelope, Origin, Stream},
    task::{Refused, Stopped},
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    landing_run::{Change, LandingRun},
    ledger::Landed,
    quota::UsedUp,
    report::Report,
    strava_api::{Answer, Error, StravaApi},
    vanished::VanishLimit,
};

/// The streams that are fetched, in this order.
pub const STREAMS: [Stream; 2] = [Stream::Athletes, Stream::Activities];

/// How often one call may wait for the next quarter of an hour before the limit is taken for a daily one.
const MOST_WAITS: u32 = 3;

/// What to do.
#[derive(Debug, Clone)]
pub struct Plan {
    pub streams: BTreeSet<Stream>,
    pub max_vanished: VanishLimit,
    pub max_wait: Duration,
    pub retry_quarantined: bool,
}

/// A run at work.
pub(crate) struct Extract<'a> {
    pub(crate) strava: &'a StravaApi,
    pub(crate) landing: &'a mut LandingRun,
    pub(crate) plan: &'a Plan,
    pub(crate) report: Report,
    pub(crate) stop: CancellationToken,
}

/// Why a run ends before its work does.
pub(crate) enum Ended {
    /// A limit; all that was landed is usable, and a later run goes on.
    Limit(Option<Timestamp>),
    Failed(anyhow::Error),
}

impl From<anyhow::Error> for Ended {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// Extracts what `plan` names. Whatever ends it, what was landed until then is published.
///
/// `athlete` is the answer of `/athlete`, where it had to be asked for already.
pub async fn run(
    strava: &StravaApi,
    landing: &mut LandingRun,
    plan: &Plan,
    athlete: Option<Answer>,
    stop: CancellationToken,
) -> Report {
    let mut extract = Extract {
        strava,
        landing,
        plan,
        report: Report::default(),
        stop,
    };
    let ended = extract.streams(athlete).await.err();
    let Extract {
        landing,
        mut report,
        ..
    } = extract;
    match ended {
        Some(Ended::Limit(resume_at)) => (report.cut_short, report.resume_at) = (true, resume_at),
        // A failure that lets the rest of the work go on is in the report already.
        Some(Ended::Failed(failure)) => report.failure = Some(failure),
        None => report.usable = true,
    }
    if !report.cut_short && report.failure.is_none() {
        landing.ledger.completed_at = Some(Timestamp::now());
    }
    if let Err(error) = landing.finish().await {
        // The first failure is the cause; without one, this is it.
        report.failure.get_or_insert(error);
    }
    report.requests = strava.requests();
    report.quota = Some(strava.quota().summary());
    report
}

impl Extract<'_> {
    async fn streams(&mut self, athlete: Option<Answer>) -> Result<(), Ended> {
        for stream in STREAMS
            .into_iter()
            .filter(|stream| self.plan.streams.contains(stream))
        {
            self.report.of(stream);
        }
        if self.plan.streams.contains(&Stream::Athletes) {
            let answer = match athlete {
                Some(answer) => answer,
                None => self.ask(async |strava| strava.athlete().await).await?,
            };
            self.land_athlete(&answer).await?;
        }
        if self.plan.streams.contains(&Stream::Activities) {
            self.walk().await?;
        }
        Ok(())
    }

    async fn land_athlete(&mut self, answer: &Answer) -> Result<(), Ended> {
        let id = athlete_id(&answer.body)?;
        let owner = self.landing.ledger.athlete_id.clone();
        if id != owner {
            return Err(anyhow::Error::new(Refused::new(format!(
                "the token is of athlete {id} and not of {owner}: compare STRAVA_ATHLETE_ID with STRAVA_TOKEN_STORE"
            )))
            .into());
        }
        let envelope = Envelope::new(
            Stream::Athletes,
            id.as_str(),
            owner.as_str(),
            answer.fetched_at,
            Origin::Api,
            &answer.body,
        );
        let landed = Landed::of(&envelope)?;
        let known = self
            .landing
            .ledger
            .others
            .get(&Stream::Athletes)
            .and_then(|athletes| athletes.get(&id))
            .copied();
        let counts = self.report.of(Stream::Athletes);
        counts.listed += 1;
        match known {
            Some(known) if known.hash == landed.hash => {
                counts.unchanged += 1;
                return Ok(());
            }
            Some(_) => counts.changed += 1,
            None => counts.new += 1,
        }
        self.push(
            &envelope,
            None,
            Change::Other {
                id: id.clone(),
                landed,
            },
        )
        .await
    }

    /// Lands one envelope.
    pub(crate) async fn push(
        &mut self,
        envelope: &Envelope<'_>,
        at: Option<Timestamp>,
        change: Change,
    ) -> Result<(), Ended> {
        self.landing.push(envelope, at, change).await?;
        if self.landing.is_writing() {
            self.report.of(envelope.stream).written += 1;
        }
        Ok(())
    }

    /// Makes a call with patience: a used-up quarter of an hour is waited out, a used-up day is not.
    pub(crate) async fn ask(
        &mut self,
        call: impl AsyncFn(&StravaApi) -> Result<Answer, Error>,
    ) -> Result<Answer, Ended> {
        self.ask_for(call)
            .await?
            .map_err(|error| Ended::Failed(failure(error)))
    }

    /// The same, where the caller has something to do about an answer that is none.
    pub(crate) async fn ask_for(
        &mut self,
        call: impl AsyncFn(&StravaApi) -> Result<Answer, Error>,
    ) -> Result<Result<Answer, Error>, Ended> {
        for waits in 0.. {
            if self.stop.is_cancelled() {
                return Err(anyhow::Error::new(Stopped).into());
            }
            match call(self.strava).await {
                Err(Error::UsedUp(used_up)) => self.wait(used_up, waits).await?,
                Err(Error::RequestsSpent) => return Err(Ended::Limit(None)),
                Err(error @ (Error::Refused(_) | Error::Stopped(_) | Error::Token(_))) => {
                    return Err(Ended::Failed(failure(error)));
                }
                outcome => return Ok(outcome),
            }
        }
        Err(anyhow::anyhow!("waited for the quota without end").into())
    }

    async fn wait(&mut self, used_up: UsedUp, waits: u32) -> Result<(), Ended> {
        let until = used_up.until();
        let wait = self
            .strava
            .quota()
            .wait_until(until, Timestamp::now())
            .unsigned_abs();
        if matches!(used_up, UsedUp::Day(_)) || wait > self.plan.max_wait || waits >= MOST_WAITS {
            info!(quota.resume_at = %until, "the quota is used up; a later run goes on");
            return Err(Ended::Limit(Some(until)));
        }
        // What is in hand is safe before a wait.
        self.landing.close_parts().await?;
        info!(
            quota.wait_seconds = wait.as_secs(),
            "waiting for the next quarter of an hour"
        );
        // Strava's clock is known to the second.
        let wait = wait + Duration::from_millis(500);
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = self.stop.cancelled() => Err(anyhow::Error::new(Stopped).context("wait for the quota").into()),
        }
    }
}

/// The id in the answer of `/athlete`.
pub fn athlete_id(athlete: &RawValue) -> anyhow::Result<String> {
    #[derive(Deserialize)]
    struct Head {
        id: u64,
    }
    let head: Head = serde_json::from_str(athlete.get())
        .ok()
        .context("find the id in the answer of /athlete")?;
    Ok(head.id.to_string())
}

/// An error of the client as one of the task: what no retry helps against is exit 2.
pub fn failure(error: Error) -> anyhow::Error {
    match error {
        Error::Refused(text) => anyhow::Error::new(Refused::new(text)),
        Error::Token(error) => error,
        Error::Stopped(stopped) => anyhow::Error::new(stopped),
        error => anyhow::Error::new(error),
    }
}
