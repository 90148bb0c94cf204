//! The simulator's control address: what changes on Strava's side, told by a person or a test.
//!
//! All routes are below `DEVSTACK_STRAVA_CONTROL`; bodies and answers are JSON. [`Control`] does
//! the same in process.
//!
//! | route | does |
//! | --- | --- |
//! | `GET /state` | `{"athlete_id","now","activities","scope","inactive","refresh_token","faults",…}` |
//! | `GET /requests` | the log: `[{"at","method","path","status"}]`, without tokens |
//! | `DELETE /requests` | empties the log |
//! | `POST /activities` | adds an activity; the body's fields replace those of a made-up one (`start_date` in the past backdates it); answers `{"id"}` |
//! | `PATCH /activities/{id}` | replaces the body's fields, nothing else (also `start_date`; `kudos_count` alone is a kudo) |
//! | `DELETE /activities/{id}` | deletes it: gone from the list, 404 by id |
//! | `DELETE /activities?percent=30` | deletes that share, spread over the list; answers `{"ids"}` |
//! | `PUT /hidden` | `{"ids":[…]}`: these are left out of the list and still answer by id |
//! | `POST /faults` | plans a [`Fault`] |
//! | `DELETE /faults` | forgets the planned ones |
//! | `POST /quota` | `{"window":"quarter"\|"day"}`: uses the window up |
//! | `POST /clock` | `{"advance_seconds":N}`: moves the clock |
//! | `PUT /scope` | `{"scope":["read",…]}`: what the athlete grants from now on |
//! | `PUT /application` | `{"inactive":true\|false}`: the subscription lapsed, or not |
//! | `DELETE /tokens/refresh` | the refresh token stops working |
//! | `DELETE /tokens/access` | all access tokens stop working |

use std::sync::Arc;

use anyhow::Context as _;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::activities::set_local_start;
use super::faults::Fault;
use super::gate;
use super::generate;
use super::payload::Payload;
use super::quota::Window;
use super::simulator::Shared;

/// Ids are this far apart at least, as long as nobody names one.
const ID_STEP: i64 = 1_009;

/// One line of the request log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Request {
    pub at: Timestamp,
    pub method: String,
    /// Path below `/api/v3` with its query, or `/oauth/token`; never a token.
    pub path: String,
    /// Empty while it is being answered, and where the connection was dropped.
    pub status: Option<u16>,
}

/// A running simulator's other side.
#[derive(Debug, Clone)]
pub struct Control(Arc<Shared>);

impl Control {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self(shared)
    }

    /// Every request since the start or the last [`Control::forget_requests`].
    pub fn requests(&self) -> Vec<Request> {
        self.0.lock().requests.clone()
    }

    pub fn forget_requests(&self) {
        self.0.lock().requests.clear();
    }

    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    pub fn advance_clock(&self, by: SignedDuration) -> anyhow::Result<()> {
        self.0.clock.advance(by);
        self.0.save()
    }

    /// The summaries as they stand, newest first, hidden ones included.
    pub fn summaries(&self) -> Vec<String> {
        let account = self.0.lock();
        account
            .activities
            .oldest_first()
            .rev()
            .map(|activity| activity.text.to_string())
            .collect()
    }

    /// Adds a made-up activity of an hour ago with some fields replaced, and returns its id.
    pub fn add(&self, fields: Payload) -> anyhow::Result<i64> {
        let id = {
            let mut account = self.0.lock();
            let newest = account
                .activities
                .oldest_first()
                .map(|activity| activity.facts.id)
                .max();
            let now = self.0.clock.now();
            // Strava's times are whole seconds.
            let start = Timestamp::from_second(now.as_second()).context("time of an activity")?
                - SignedDuration::from_hours(1);
            let next_id = newest.unwrap_or_default() + ID_STEP;
            let text = generate::single(self.0.athlete_id, next_id, start);
            let mut summary: Payload = text.parse().context("made-up activity")?;
            let keeps_local = fields.text("start_date_local").is_some();
            summary.merge(fields);
            if !keeps_local {
                set_local_start(&mut summary)?;
            }
            account.activities.put(&summary)?
        };
        self.0.save()?;
        Ok(id)
    }

    /// Replaces some fields; false where there is no such activity.
    pub fn edit(&self, id: i64, fields: Payload) -> anyhow::Result<bool> {
        let found = self.0.lock().activities.edit(id, fields)?;
        self.0.save()?;
        Ok(found)
    }

    /// False where there is no such activity.
    pub fn delete(&self, id: i64) -> anyhow::Result<bool> {
        let found = self.0.lock().activities.delete(id);
        self.0.save()?;
        Ok(found)
    }

    /// Deletes that share of the list, evenly spread, and returns their ids.
    pub fn delete_share(&self, percent: u32) -> anyhow::Result<Vec<i64>> {
        let ids: Vec<i64> = {
            let mut account = self.0.lock();
            let all = account
                .activities
                .oldest_first()
                .map(|activity| activity.facts.id);
            let share = |index: usize| (index as u64 * u64::from(percent)) / 100;
            let picked = all
                .enumerate()
                .filter(|(index, _)| share(index + 1) > share(*index));
            let ids: Vec<i64> = picked.map(|(_, id)| id).collect();
            ids.into_iter()
                .filter(|id| account.activities.delete(*id))
                .collect()
        };
        self.0.save()?;
        Ok(ids)
    }

    /// Leaves these out of the list; by id they are still answered.
    pub fn hide(&self, ids: impl IntoIterator<Item = i64>) -> anyhow::Result<()> {
        self.0.lock().activities.hidden = ids.into_iter().collect();
        self.0.save()
    }

    pub fn plan_fault(&self, fault: Fault) {
        self.0.lock().faults.plan(fault);
    }

    pub fn clear_faults(&self) {
        self.0.lock().faults.clear();
    }

    /// Uses a window up, as another program of the same application would.
    pub fn exhaust(&self, window: Window) {
        gate::exhaust(&self.0, window);
    }

    pub fn set_scope<S: Into<String>>(
        &self,
        scope: impl IntoIterator<Item = S>,
    ) -> anyhow::Result<()> {
        self.0.lock().tokens.scope = scope.into_iter().map(Into::into).collect();
        self.0.save()
    }

    pub fn set_inactive(&self, inactive: bool) -> anyhow::Result<()> {
        self.0.lock().inactive = inactive;
        self.0.save()
    }

    pub fn invalidate_refresh_token(&self) -> anyhow::Result<()> {
        self.0.lock().tokens.invalidate_refresh_token();
        self.0.save()
    }

    pub fn expire_access_tokens(&self) -> anyhow::Result<()> {
        self.0.lock().tokens.expire_access_tokens();
        self.0.save()
    }

    /// The answer of `GET /state`.
    pub fn state(&self) -> Value {
        let usage = self.0.lock().quota.headers(&self.0.limits);
        let account = self.0.lock();
        json!({
            "athlete_id": self.0.athlete_id,
            "now": self.0.clock.now(),
            "activities": account.activities.len(),
            "hidden": account.activities.hidden,
            "scope": account.tokens.scope,
            "inactive": account.inactive,
            "refresh_token": account.tokens.refresh_token(),
            "quota": { "limit": usage.overall_limit, "read_limit": usage.read_limit, "usage": usage.overall_usage },
            "faults": account.faults.planned(),
        })
    }
}
