//! What librdkafka reports: acknowledgements, records that come back, and the end of a producer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use common::kafka::Signer;
use common::task::Refused;
use common::vitals::Vitals;
use common::weather::CONTENT_HASH_HEADER;
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::RDKafkaLogLevel as Level;
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tokio::sync::Notify;
use tracing::{debug, error, info, warn};

use super::Record;
use crate::metrics;

/// So often, besides at the end, somebody who waits for room is woken.
const WAKE_EVERY: usize = 1_024;

/// A record that Kafka did not take.
#[derive(Debug)]
pub(super) struct Returned {
    pub(super) record: Record,
    pub(super) code: Option<RDKafkaErrorCode>,
}

/// What one topic's producers, one after the other, have in hand.
#[derive(Debug)]
pub(super) struct Deliveries {
    in_flight: AtomicUsize,
    acknowledged: AtomicU64,
    returned: Mutex<VecDeque<Returned>>,
    failure: Mutex<Option<String>>,
    /// Brokers do not let us in, and none has since.
    refused: AtomicBool,
    /// `/readyz` says so.
    away: AtomicBool,
    news: Notify,
    vitals: Vitals,
    signer: Option<Signer>,
}

impl Deliveries {
    pub(super) fn new(vitals: Vitals, signer: Option<Signer>) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            acknowledged: AtomicU64::new(0),
            returned: Mutex::default(),
            failure: Mutex::default(),
            refused: AtomicBool::new(false),
            // Nobody was asked yet.
            away: AtomicBool::new(true),
            news: Notify::new(),
            vitals,
            signer,
        }
    }

    pub(super) fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
    }

    pub(super) fn waiting(&self) -> usize {
        self.in_flight.load(Ordering::SeqCst) + lock(&self.returned).len()
    }

    /// Counts a record that librdkafka is about to get: its report may come before the call returns.
    pub(super) fn hand_over(&self) {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
    }

    /// librdkafka did not want it.
    pub(super) fn take_back(&self) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
    }

    /// Waits for a report, but not longer than `patience`.
    pub(super) async fn progress(&self, patience: Duration) {
        // Either way the caller looks for itself.
        _ = tokio::time::timeout(patience, self.news.notified()).await;
    }

    pub(super) fn returned_count(&self) -> usize {
        lock(&self.returned).len()
    }

    /// The one that came back first.
    pub(super) fn take_returned(&self) -> Option<Returned> {
        lock(&self.returned).pop_front()
    }

    pub(super) fn give_back(&self, record: Record) {
        lock(&self.returned).push_front(Returned { record, code: None });
    }

    pub(super) fn signs(&self) -> bool {
        self.signer.is_some()
    }

    /// The producer has failed for good.
    pub(super) fn fail(&self, reason: &str) {
        lock(&self.failure).get_or_insert_with(|| reason.to_owned());
        self.news.notify_one();
    }

    pub(super) fn has_failed(&self) -> bool {
        lock(&self.failure).is_some()
    }

    pub(super) fn take_failure(&self) -> Option<String> {
        lock(&self.failure).take()
    }

    /// A broker answers.
    pub(super) fn reached(&self) {
        self.refused.store(false, Ordering::SeqCst);
        self.away.store(false, Ordering::SeqCst);
        self.vitals.ready(metrics::READY_KAFKA);
    }

    fn lost(&self, why: &str) {
        self.away.store(true, Ordering::SeqCst);
        self.vitals.not_ready(metrics::READY_KAFKA, why);
    }

    /// No broker was reached yet, or none any more.
    pub(super) fn is_away(&self) -> bool {
        self.away.load(Ordering::SeqCst)
    }

    pub(super) fn is_refused(&self) -> bool {
        self.refused.load(Ordering::SeqCst)
    }

    /// # Errors
    /// [`Refused`] while the brokers refuse the credentials: they would again.
    pub(super) fn let_in(&self) -> anyhow::Result<()> {
        if self.is_refused() {
            return Err(anyhow!(Refused::new(
                "Kafka refused the credentials: check the KAFKA_* settings"
            )));
        }
        Ok(())
    }

    fn returned(&self, message: &BorrowedMessage<'_>, error: &KafkaError) {
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let headers = message.headers();
        let hash = headers.and_then(|headers| {
            headers
                .iter()
                .find(|header| header.key == CONTENT_HASH_HEADER)
        });
        let record = Record {
            key: text(message.key()),
            value: message.payload().unwrap_or_default().to_vec(),
            content_hash: text(hash.and_then(|header| header.value)),
        };
        let code = error.rdkafka_error_code();
        lock(&self.returned).push_back(Returned { record, code });
    }
}

/// The callbacks of one client.
pub(super) struct Courier(Arc<Deliveries>);

impl Courier {
    pub(super) fn new(deliveries: &Arc<Deliveries>) -> Self {
        Self(Arc::clone(deliveries))
    }
}

impl ClientContext for Courier {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: Level, facility: &str, text: &str) {
        match level {
            _ if is_starting(facility, text) => debug!(target: "librdkafka", facility, "{text}"),
            Level::Emerg | Level::Alert | Level::Critical | Level::Error => {
                error!(target: "librdkafka", facility, "{text}");
            }
            Level::Warning => warn!(target: "librdkafka", facility, "{text}"),
            Level::Notice | Level::Info => info!(target: "librdkafka", facility, "{text}"),
            Level::Debug => debug!(target: "librdkafka", facility, "{text}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Fatal) => self.0.fail(reason),
            Some(RDKafkaErrorCode::AllBrokersDown) if self.0.is_refused() => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => self.0.lost("no broker answers"),
            Some(code) if is_refusal(code, reason) => {
                self.0.refused.store(true, Ordering::SeqCst);
                self.0.lost("the brokers refuse the credentials");
                self.0.news.notify_one();
            }
            _ => {}
        }
        debug!(
            error = error.to_string(),
            reason, "librdkafka reported an error"
        );
    }

    fn generate_oauth_token(
        &self,
        _: Option<&str>,
    ) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let signer = self
            .0
            .signer
            .as_ref()
            .ok_or("OAUTHBEARER is only for KAFKA_SASL_MECHANISM=AWS_MSK_IAM")?;
        let token = signer.token().map_err(|error| format!("{error:#}"))?;
        Ok(OAuthToken {
            token: token.text,
            principal_name: String::new(),
            lifetime_ms: token.expires_at_milliseconds,
        })
    }
}

impl ProducerContext for Courier {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            Err((error, message)) => self.0.returned(message, error),
        }
        let before = self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
        if before == 1 || before.is_multiple_of(WAKE_EVERY) || result.is_err() {
            self.0
                .vitals
                .set(&metrics::WAITING, &[], before as f64 - 1.0);
            self.0
                .vitals
                .set(&metrics::ACKNOWLEDGED, &[], self.0.acknowledged() as f64);
            if result.is_ok() {
                self.0.reached();
            }
            self.0.news.notify_one();
        }
    }
}

/// A broker that has just started cannot give a producer its id yet, and is asked again until it can.
/// A broker that never can is told of by the readings that wait.
fn is_starting(facility: &str, text: &str) -> bool {
    facility == "GETPID" && text.contains("Coordinator load in progress")
}

/// Whether the brokers do not let us in. A connection that broke while it introduced itself, and a token that could
/// not be made, come under the same code, and may be better the next time.
fn is_refusal(code: RDKafkaErrorCode, reason: &str) -> bool {
    let passing = [
        "Broker transport failure",
        "Timed out",
        "Failed to acquire SASL OAUTHBEARER token",
    ];
    matches!(
        code,
        RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed
    ) && !passing.iter().any(|text| reason.contains(text))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rdkafka::types::RDKafkaErrorCode;

    use super::{is_refusal, is_starting};

    #[test]
    fn only_a_broker_that_has_just_started_is_no_trouble() {
        let failed =
            |why: &str| format!("Failed to acquire idempotence PID from broker 1: {why}: retrying");
        assert!(is_starting(
            "GETPID",
            &failed("Broker: Coordinator load in progress")
        ));
        assert!(!is_starting(
            "GETPID",
            &failed("Broker: Cluster authorization failed")
        ));
        assert!(!is_starting("FAIL", "Broker: Coordinator load in progress"));
    }

    #[test]
    fn a_connection_that_breaks_while_it_introduces_itself_is_no_refusal() {
        let is = |reason: &str| is_refusal(RDKafkaErrorCode::Authentication, reason);
        assert!(is(
            "broker:9092/bootstrap: SASL authentication error: Authentication failed: Invalid username or password"
        ));
        for passing in [
            "SASL PLAIN mechanism handshake failed: Local: Broker transport failure: broker's supported mechanisms:",
            "SASL PLAIN mechanism handshake failed: Local: Timed out: broker's supported mechanisms:",
            "Failed to acquire SASL OAUTHBEARER token: no credentials",
        ] {
            assert!(!is(passing), "{passing}");
        }
        assert!(!is_refusal(
            RDKafkaErrorCode::BrokerTransportFailure,
            "Disconnected"
        ));
    }
}
