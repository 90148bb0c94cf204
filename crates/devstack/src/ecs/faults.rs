//! Failures on demand: the next calls or starts that match go wrong as AWS lets them.

use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

/// What goes wrong, how often, and for whom.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: Kind,
    /// How many calls or starts it hits.
    #[serde(default = "once")]
    pub times: u32,
    /// Only tasks of this family.
    #[serde(default)]
    pub family: Option<String>,
    /// Only this operation (`throttle`, `server_error`).
    #[serde(default)]
    pub operation: Option<String>,
    /// How long (`slow_start`).
    #[serde(default)]
    pub seconds: f64,
}

fn once() -> u32 {
    1
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// RunTask answers 200 with a failure and no task.
    Capacity,
    /// RunTask takes the task, which stops before it runs.
    CapacityAtStart,
    ImagePull,
    MissingSecret,
    SlowStart,
    /// `ThrottlingException`, which SDKs retry.
    Throttle,
    /// `ServerException` with status 500.
    ServerError,
}

#[derive(Default)]
pub(super) struct Faults(Mutex<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(fault);
    }

    pub(super) fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// The fault that hits a start of this family now, used up by one.
    pub(super) fn hits_start(&self, kind: Kind, family: &str) -> Option<Fault> {
        self.take(|fault| {
            fault.kind == kind && fault.family.as_deref().is_none_or(|only| only == family)
        })
    }

    /// The same for a call.
    pub(super) fn hits_call(&self, kind: Kind, operation: &str) -> Option<Fault> {
        self.take(|fault| {
            fault.kind == kind
                && fault
                    .operation
                    .as_deref()
                    .is_none_or(|only| only == operation)
        })
    }

    fn take(&self, matches: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let mut faults = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|fault| fault.times > 0);
        let fault = faults.iter_mut().find(|fault| matches(fault))?;
        fault.times -= 1;
        Some(fault.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_hits_as_often_as_it_says_and_only_whom_it_names() {
        let faults = Faults::default();
        faults
            .add(serde_json::from_str(r#"{"kind":"image_pull","times":2,"family":"f"}"#).unwrap());
        assert!(faults.hits_start(Kind::ImagePull, "g").is_none());
        assert!(faults.hits_start(Kind::Capacity, "f").is_none());
        assert!(faults.hits_start(Kind::ImagePull, "f").is_some());
        assert!(faults.hits_start(Kind::ImagePull, "f").is_some());
        assert!(faults.hits_start(Kind::ImagePull, "f").is_none());
    }

    #[test]
    fn a_misspelt_fault_is_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"throttle","tiems":2}"#).is_err());
    }
}
