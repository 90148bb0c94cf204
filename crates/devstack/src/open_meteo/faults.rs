//! Faults on demand: what goes wrong, on which host, how often.

use serde::{Deserialize, Serialize};

use super::limits::Window;
use super::simulator::Host;

/// One thing that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Somebody else at this address used the window up: 429 until it ends on the simulator's clock.
    Limit { window: Window },
    /// 429 that has nothing to do with a window.
    TooManyConcurrent,
    /// 503 of the whole service.
    Overloaded,
    /// 500 with a JSON body.
    InternalError,
    /// 502 with an HTML body, as a proxy sends it.
    BadGateway,
    /// 400 with this reason.
    BadRequest { reason: String },
    /// 200, half of the body, and then the error's text inside of it.
    Broken,
    /// 200, half of the body, then the connection breaks.
    Truncated,
    /// The right answer, later.
    Slow { milliseconds: u64 },
    /// The right answer of the slot before, as by a server that is late.
    Stale,
}

/// A planned fault, as `POST /control/faults` takes it: `{"kind": "overloaded", "host": "archive", "times": 2}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    #[serde(flatten)]
    pub kind: Kind,
    /// Every host where it is missing.
    #[serde(default)]
    pub host: Option<Host>,
    /// Only requests that ask for this latitude, as it is written; every one where it is missing.
    #[serde(default)]
    pub latitude: Option<String>,
    /// Requests that are answered rightly first.
    #[serde(default)]
    pub skip: u32,
    /// How many requests it hits; `None` (null): every one. One where nothing is said.
    #[serde(default = "once")]
    pub times: Option<u32>,
}

fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    /// Hits the next request, once.
    pub fn next(kind: Kind) -> Self {
        Self {
            kind,
            host: None,
            latitude: None,
            skip: 0,
            times: once(),
        }
    }

    /// Hits every request until the faults are cleared.
    pub fn always(kind: Kind) -> Self {
        Self {
            times: None,
            ..Self::next(kind)
        }
    }

    /// Hits that many.
    #[must_use]
    pub fn times(self, times: u32) -> Self {
        Self {
            times: Some(times),
            ..self
        }
    }

    /// Hits only what asks for a place at this latitude.
    #[must_use]
    pub fn at(self, latitude: impl Into<String>) -> Self {
        Self {
            latitude: Some(latitude.into()),
            ..self
        }
    }

    /// Lets that many pass first.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        Self { skip, ..self }
    }
}

/// The faults that are still to come, in the order they were planned.
#[derive(Debug, Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn plan(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn planned(&self) -> &[Fault] {
        &self.0
    }

    /// What goes wrong with a request for places at these latitudes, joined by commas.
    pub(super) fn strike(&mut self, host: Host, latitudes: &str) -> Option<Kind> {
        let is_asked_for = |wanted: &String| latitudes.split(',').any(|asked| asked == wanted);
        let hit = self.0.iter_mut().filter(|fault| {
            fault.host.is_none_or(|wanted| wanted == host)
                && fault.latitude.as_ref().is_none_or(is_asked_for)
        });
        let mut struck = None;
        for fault in hit {
            if fault.skip > 0 {
                fault.skip -= 1;
            } else if struck.is_none() && fault.times != Some(0) {
                fault.times = fault.times.map(|times| times - 1);
                struck = Some(fault.kind.clone());
            }
        }
        self.0.retain(|fault| fault.times != Some(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_waits_strikes_and_is_gone() {
        let mut faults = Faults::default();
        faults.plan(Fault::next(Kind::Overloaded).after(1).times(2));
        let struck: Vec<_> = (0..4)
            .map(|_| faults.strike(Host::Forecast, "1").is_some())
            .collect();
        assert_eq!(struck, [false, true, true, false]);
        assert!(faults.planned().is_empty());
    }

    #[test]
    fn a_fault_of_one_place_strikes_whoever_asks_for_it_among_others() {
        let mut faults = Faults::default();
        faults.plan(Fault::always(Kind::Broken).at("2.5"));
        let struck = |asked: &&str| faults.strike(Host::Forecast, asked).is_some();
        let hit: Vec<_> = ["1,2.5,3", "2.5", "1,12.5", ""]
            .iter()
            .map(struck)
            .collect();
        assert_eq!(hit, [true, true, false, false]);
    }

    #[test]
    fn a_fault_is_read_as_a_person_types_it() {
        let fault: Fault =
            serde_json::from_str(r#"{"kind":"limit","window":"hour","host":"archive"}"#).unwrap();
        assert_eq!(
            fault.kind,
            Kind::Limit {
                window: Window::Hour
            }
        );
        assert_eq!((fault.host, fault.times), (Some(Host::Archive), Some(1)));
    }
}
