//! The token that Amazon MSK takes for a password: an address that is signed with the task's role.

use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow};
use aws_credential_types::{Credentials, provider::ProvideCredentials as _};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign},
    sign::v4,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use url::Url;

use crate::{aws, task::Refused};

/// The most that MSK takes.
const LIFETIME: Duration = Duration::from_secs(900);
const SERVICE: &str = "kafka-cluster";
const USER_AGENT: &str = "data-voyager";

/// What a client answers when librdkafka calls for a token.
pub struct Token {
    pub text: String,
    /// Milliseconds since 1970; librdkafka calls again after four fifths of the time.
    pub expires_at_milliseconds: i64,
}

/// Makes tokens; librdkafka calls from threads of its own.
#[derive(Debug, Clone)]
pub struct Signer(tokio::runtime::Handle);

impl Signer {
    /// Credentials are read on that runtime.
    pub fn new(runtime: tokio::runtime::Handle) -> Self {
        Self(runtime)
    }

    /// A new token, from the thread of a client and never from one of the runtime's: it blocks.
    ///
    /// # Errors
    /// No region, or no credentials.
    pub fn token(&self) -> anyhow::Result<Token> {
        self.0.block_on(async {
            let config = aws::config().await?;
            let region = config
                .region()
                .ok_or_else(|| Refused::new("AWS_MSK_IAM needs AWS_REGION"))?;
            let provider = config
                .credentials_provider()
                .ok_or_else(|| Refused::new("AWS_MSK_IAM needs AWS credentials"))?;
            let credentials = provider.provide_credentials().await;
            let credentials = credentials.context("read the AWS credentials for Kafka")?;
            token(region.as_ref(), credentials, SystemTime::now())
        })
    }
}

/// As in <https://github.com/aws/aws-msk-iam-sasl-signer-python>.
fn token(region: &str, credentials: Credentials, now: SystemTime) -> anyhow::Result<Token> {
    let address = format!("https://kafka.{region}.amazonaws.com/?Action=kafka-cluster%3AConnect");
    let mut settings = SigningSettings::default();
    settings.signature_location = SignatureLocation::QueryParams;
    settings.expires_in = Some(LIFETIME);
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(SERVICE)
        .time(now)
        .settings(settings)
        .build()
        .context("prepare a signature for Kafka")?
        .into();
    let request = SignableRequest::new(
        "GET",
        address.as_str(),
        std::iter::empty(),
        SignableBody::Bytes(&[]),
    );
    let signed = sign(request.context("sign for Kafka")?, &parameters).context("sign for Kafka")?;
    let mut url: Url = address.parse().context("make Kafka's address")?;
    for (name, value) in signed.output().params() {
        url.query_pairs_mut().append_pair(name, value);
    }
    // Not a part of what is signed.
    url.query_pairs_mut().append_pair("User-Agent", USER_AGENT);
    let expires = now
        .checked_add(LIFETIME)
        .and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok())
        .and_then(|since| i64::try_from(since.as_millis()).ok())
        .ok_or_else(|| anyhow!("the clock is beyond all calendars"))?;
    Ok(Token {
        text: URL_SAFE_NO_PAD.encode(url.as_str()),
        expires_at_milliseconds: expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The signature is botocore's for the same moment and keys.
    #[test]
    fn the_token_is_the_one_that_awss_own_signer_makes() {
        let credentials = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("session/token+with=signs".to_owned()),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_790_000_000);
        let token = token("eu-central-1", credentials, now).unwrap();
        assert_eq!(token.expires_at_milliseconds, 1_790_000_900_000);
        let decoded = URL_SAFE_NO_PAD.decode(&token.text).unwrap();
        let url: Url = std::str::from_utf8(&decoded).unwrap().parse().unwrap();
        let value = |name: &str| {
            let mut pairs = url.query_pairs();
            pairs
                .find(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
        };
        assert_eq!(value("Action").as_deref(), Some("kafka-cluster:Connect"));
        assert_eq!(value("X-Amz-Expires").as_deref(), Some("900"));
        assert_eq!(
            value("X-Amz-Security-Token").as_deref(),
            Some("session/token+with=signs")
        );
        assert_eq!(
            value("X-Amz-Signature").as_deref(),
            Some("bd2ffdc32614a0b479e827fa962b43c5931c48fb73cd506b8955196b2d1ca9fb")
        );
    }
}
