//! Secrets of a task, read from SSM as the execution role reads them.

use std::collections::BTreeMap;

use anyhow::Context as _;
use aws_credential_types::Credentials;
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::{BehaviorVersion, Region};
use aws_sdk_ssm::error::DisplayErrorContext;
use aws_sdk_ssm::types::ParameterType;

use super::Config;
use super::definition::Secret;

/// What precedes every reason why a task could not be given its secrets.
const FAILED: &str = "ResourceInitializationError: unable to pull secrets or registry auth: execution resource \
                      retrieval failed: unable to retrieve secrets from ssm: service call has been retried 1 time(s): ";
/// GetParameters takes no more at once.
const BATCH: usize = 10;

pub(super) struct Secrets(Option<Client>);

impl Secrets {
    pub(super) fn new(config: &Config) -> Self {
        Self(config.ssm_endpoint.as_ref().map(|endpoint| {
            let settings = aws_sdk_ssm::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(config.region.clone()))
                .credentials_provider(Credentials::new(
                    "execution-role",
                    "devstack",
                    None,
                    None,
                    "devstack",
                ))
                .endpoint_url(endpoint)
                .http_client(aws_smithy_http_client::Builder::new().build_http())
                .build();
            Client::from_conf(settings)
        }))
    }

    /// Stores secrets as a person does; without SSM there is nowhere to.
    pub(super) async fn store(&self, secrets: Vec<(String, String)>) -> anyhow::Result<()> {
        let Some(client) = &self.0 else { return Ok(()) };
        for (name, value) in secrets {
            let kind = ParameterType::SecureString;
            let put = client
                .put_parameter()
                .name(&name)
                .value(value)
                .r#type(kind)
                .overwrite(true);
            put.send()
                .await
                .with_context(|| format!("put parameter {name}"))?;
        }
        Ok(())
    }

    /// Variable and value of each secret, or ECS's reason why the task cannot start.
    pub(super) async fn resolve(
        &self,
        secrets: &[Secret],
    ) -> Result<BTreeMap<String, String>, String> {
        if secrets.is_empty() {
            return Ok(BTreeMap::new());
        }
        let Some(client) = &self.0 else {
            return Err(format!("{FAILED}no SSM endpoint was given to devstack"));
        };
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for batch in secrets.chunks(BATCH) {
            let names = batch
                .iter()
                .map(|secret| parameter(secret).to_owned())
                .collect();
            let answer = client
                .get_parameters()
                .set_names(Some(names))
                .with_decryption(true)
                .send()
                .await
                .map_err(|error| format!("{FAILED}{}", DisplayErrorContext(error)))?;
            missing.extend(answer.invalid_parameters().iter().cloned());
            for found in answer.parameters() {
                let users = batch
                    .iter()
                    .filter(|secret| Some(parameter(secret)) == found.name());
                for secret in users {
                    values.insert(
                        secret.name.clone(),
                        found.value().unwrap_or_default().to_owned(),
                    );
                }
            }
        }
        if missing.is_empty() {
            Ok(values)
        } else {
            Err(invalid(&missing.join(",")))
        }
    }
}

pub(super) fn invalid(names: &str) -> String {
    format!("{FAILED}invalid ssm parameters: {names}")
}

/// The parameter's name: an ARN's end, or the name itself.
pub(super) fn parameter(secret: &Secret) -> &str {
    match secret.value_from.split_once(":parameter/") {
        Some((arn, _)) => &secret.value_from[arn.len() + ":parameter".len()..],
        None => &secret.value_from,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_and_a_name_mean_the_same_parameter() {
        for from in [
            "/a/b/c",
            "arn:aws:ssm:eu-central-1:123456789012:parameter/a/b/c",
        ] {
            let secret = Secret {
                name: "N".to_owned(),
                value_from: from.to_owned(),
            };
            assert_eq!(parameter(&secret), "/a/b/c");
        }
    }
}
