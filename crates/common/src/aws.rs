//! AWS settings for every client: the SDK's own meaning, TLS by rustls on ring, bounded retries.

use std::{error::Error, fmt::Debug, net::IpAddr, time::Duration};

use anyhow::bail;
use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use tokio::sync::OnceCell;

use crate::task::Refused;

const ATTEMPTS: u32 = 5;
const FIRST_BACKOFF: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The time until an answer begins, an upload included.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(120);

static CONFIG: OnceCell<SdkConfig> = OnceCell::const_new();

/// The settings of this process, read once: environment, profile, role of the task.
///
/// # Errors
/// [`Refused`] where no region is set.
pub(crate) async fn config() -> anyhow::Result<&'static SdkConfig> {
    let config = CONFIG.get_or_init(load).await;
    if config.region().is_none() {
        bail!(Refused::new("AWS has no region to go to: set AWS_REGION"));
    }
    Ok(config)
}

async fn load() -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .build();
    let retries = RetryConfig::standard()
        .with_max_attempts(ATTEMPTS)
        .with_initial_backoff(FIRST_BACKOFF);
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await
}

/// Whether S3's endpoint is on this machine: buckets have no host names of their own there.
#[expect(
    clippy::disallowed_methods,
    reason = "the SDK reads this variable too and does not tell what it found"
)]
pub(crate) fn s3_is_local(config: &SdkConfig) -> bool {
    let endpoint = std::env::var("AWS_ENDPOINT_URL_S3")
        .ok()
        .or_else(|| config.endpoint_url().map(ToOwned::to_owned));
    endpoint.is_some_and(|endpoint| is_loopback(&endpoint))
}

fn is_loopback(endpoint: &str) -> bool {
    let url = url::Url::parse(endpoint).ok();
    let host = url
        .as_ref()
        .and_then(url::Url::host_str)
        .unwrap_or_default();
    host == "localhost"
        || host.ends_with(".localhost")
        || host
            .trim_matches(['[', ']'])
            .parse()
            .is_ok_and(|address: IpAddr| address.is_loopback())
}

/// Codes by which AWS refuses who asks, or where: no retry helps.
const REFUSALS: [&str; 16] = [
    "AccessDenied",
    "AccessDeniedException",
    "AllAccessDisabled",
    "AuthorizationHeaderMalformed",
    "ExpiredToken",
    "ExpiredTokenException",
    "IncompleteSignature",
    "InvalidAccessKeyId",
    "InvalidBucketName",
    "InvalidClientTokenId",
    "InvalidToken",
    "NoSuchBucket",
    "PermanentRedirect",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
    "InvalidSignatureException",
];

/// The error of a request, with what was attempted before it; [`Refused`] where no retry helps.
pub(crate) fn failed<E, R>(attempt: String, error: SdkError<E, R>) -> anyhow::Error
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
{
    let refused = match &error {
        _ if error.code().is_some_and(|code| REFUSALS.contains(&code)) => Some("AWS refused it"),
        _ if has_no_credentials(&error) => Some("no usable AWS credentials"),
        _ => None,
    };
    let error = anyhow::Error::new(error);
    match refused {
        Some(what) => error.context(Refused::new(format!("{attempt}: {what}"))),
        None => error.context(attempt),
    }
}

fn has_no_credentials(error: &(dyn Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .filter_map(|cause| cause.downcast_ref())
        .any(|error| {
            matches!(
                error,
                CredentialsError::CredentialsNotLoaded(_)
                    | CredentialsError::InvalidConfiguration(_)
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        for local in [
            "http://127.0.0.1:5000",
            "http://localhost:9000/",
            "http://[::1]:9",
            "http://127.8.8.8",
        ] {
            assert!(is_loopback(local), "{local}");
        }
        for far in [
            "https://s3.eu-west-1.amazonaws.com",
            "http://127.0.0.1.example",
            "http://10.0.0.1:9000",
            "",
        ] {
            assert!(!is_loopback(far), "{far}");
        }
    }
}
