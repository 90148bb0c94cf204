//! The context of the clients that are not the consumer: their errors come back with each call.

use std::error::Error;

use common::kafka::Signer;
use rdkafka::{
    ClientContext, Statistics, client::OAuthToken, config::RDKafkaLogLevel,
    consumer::ConsumerContext, error::KafkaError,
};
use tokio::runtime::Handle;
use tracing::debug;

/// Tells nothing by itself.
#[derive(Clone, Debug)]
pub struct Quiet {
    signer: Signer,
}

impl Quiet {
    /// To be called on the runtime, which reads the credentials that sign for Amazon MSK.
    pub fn on_this_runtime() -> Self {
        Self {
            signer: Signer::new(Handle::current()),
        }
    }
}

/// What librdkafka asks for where the mechanism is `AWS_MSK_IAM`.
pub(super) fn oauth_token(signer: &Signer) -> Result<OAuthToken, Box<dyn Error>> {
    let token = signer.token().map_err(|error| format!("{error:#}"))?;
    let lifetime_ms = token.expires_at_milliseconds;
    Ok(OAuthToken {
        token: token.text,
        principal_name: String::new(),
        lifetime_ms,
    })
}

impl ClientContext for Quiet {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _config: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        oauth_token(&self.signer)
    }

    fn log(&self, _level: RDKafkaLogLevel, facility: &str, text: &str) {
        debug!(target: "librdkafka", facility, "{text}");
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(error = error.to_string(), reason, "Kafka told of an error");
    }

    fn stats(&self, _statistics: Statistics) {}
}

impl ConsumerContext for Quiet {}
