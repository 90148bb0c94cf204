//! The token as a SecureString of SSM Parameter Store.

use anyhow::{Context as _, bail};
use aws_config::retry::RetryConfig;
use aws_sdk_ssm::{Client, error::ProvideErrorMetadata as _, types::ParameterType};
use secrecy::{ExposeSecret as _, SecretString};

use super::TokenVersion;
use crate::{aws, task};

const WRITE_ATTEMPTS: usize = 3;

pub(super) async fn read(name: &str) -> anyhow::Result<Option<(SecretString, i64)>> {
    let read = client()
        .await?
        .get_parameter()
        .name(name)
        .with_decryption(true)
        .send()
        .await;
    let parameter = match read {
        Ok(read) => read
            .parameter
            .with_context(|| format!("read parameter {name}: the answer has none"))?,
        Err(error) if error.code() == Some("ParameterNotFound") => return Ok(None),
        Err(error) => return Err(aws::failed(format!("read parameter {name}"), error)),
    };
    let text = parameter
        .value
        .with_context(|| format!("read parameter {name}: it has no value"))?;
    Ok(Some((text.into(), parameter.version)))
}

/// Writes what must become the version behind `read`; 0 where there was none.
pub(super) async fn write(
    name: &str,
    text: &SecretString,
    read: i64,
) -> anyhow::Result<TokenVersion> {
    let mut attempt = 1;
    let version = loop {
        match put(name, text, read > 0).await {
            Ok(version) => break version,
            Err(error) if attempt == WRITE_ATTEMPTS || task::is_refused(&error) => {
                return Err(error);
            }
            Err(_) => attempt += 1,
        }
        // The answer may be what failed: a second write then would look like another process's.
        match self::read(name).await? {
            Some((stored, version)) if stored.expose_secret() == text.expose_secret() => {
                break version;
            }
            _ => {}
        }
    };
    if version != read + 1 {
        bail!(
            "write parameter {name}: it became version {version} where {} was due, so another process wrote it \
             too: see that one program alone refreshes this token",
            read + 1
        );
    }
    Ok(TokenVersion::Ssm(version))
}

async fn put(name: &str, text: &SecretString, overwrite: bool) -> anyhow::Result<i64> {
    let put = client()
        .await?
        .put_parameter()
        .name(name)
        .r#type(ParameterType::SecureString);
    let once = aws_sdk_ssm::config::Config::builder().retry_config(RetryConfig::disabled());
    let put = put
        .value(text.expose_secret())
        .overwrite(overwrite)
        .customize()
        .config_override(once)
        .send()
        .await;
    Ok(put
        .map_err(|error| aws::failed(format!("write parameter {name}"), error))?
        .version)
}

pub(super) async fn delete(name: &str) -> anyhow::Result<()> {
    match client().await?.delete_parameter().name(name).send().await {
        Err(error) if error.code() == Some("ParameterNotFound") => Ok(()),
        deleted => deleted
            .map(drop)
            .map_err(|error| aws::failed(format!("remove parameter {name}"), error)),
    }
}

async fn client() -> anyhow::Result<Client> {
    Ok(Client::new(aws::config().await?))
}
