//! How the weather pair reaches Kafka: settings under librdkafka's names, without librdkafka.

mod iam;

use std::path::PathBuf;

use secrecy::{ExposeSecret as _, SecretString};

use crate::task::Refused;

pub use iam::{Signer, Token};

/// The mechanism that signs with the task's role instead of sending a password.
const MSK_IAM: &str = "AWS_MSK_IAM";

/// Address, encryption and credentials: flatten it into a `Config`.
#[derive(Clone, Debug, clap::Args)]
pub struct KafkaArgs {
    /// Brokers to start from, `host:port,…`
    #[arg(
        long = "kafka-bootstrap-servers",
        env = "KAFKA_BOOTSTRAP_SERVERS",
        value_name = "HOST:PORT"
    )]
    pub bootstrap_servers: String,
    /// plaintext, ssl, sasl_plaintext or sasl_ssl [default: sasl_ssl with a mechanism, else plaintext]
    #[arg(
        long = "kafka-security-protocol",
        env = "KAFKA_SECURITY_PROTOCOL",
        value_name = "PROTOCOL"
    )]
    pub security_protocol: Option<String>,
    /// PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, or AWS_MSK_IAM to sign with the task's role
    #[arg(
        long = "kafka-sasl-mechanism",
        env = "KAFKA_SASL_MECHANISM",
        value_name = "MECHANISM"
    )]
    pub sasl_mechanism: Option<String>,
    /// User for PLAIN and SCRAM
    #[arg(long = "kafka-username", env = "KAFKA_USERNAME", value_name = "NAME")]
    pub username: Option<String>,
    /// Password for PLAIN and SCRAM
    #[arg(
        long = "kafka-password",
        env = "KAFKA_PASSWORD",
        value_name = "SECRET",
        hide_env_values = true
    )]
    pub password: Option<SecretString>,
    /// Certificates of the broker's authority (PEM) [default: the system's]
    #[arg(
        long = "kafka-ssl-ca-location",
        env = "KAFKA_SSL_CA_LOCATION",
        value_name = "FILE"
    )]
    pub ssl_ca_location: Option<PathBuf>,
}

impl KafkaArgs {
    /// The connection's part of a client's configuration. Every value is fit for logs but `sasl.password`.
    ///
    /// # Errors
    /// [`Refused`], where the parts do not go together.
    pub fn settings(&self) -> Result<Vec<(&'static str, String)>, Refused> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let mechanism = given(&self.sasl_mechanism);
        let default = if mechanism.is_some() {
            "sasl_ssl"
        } else {
            "plaintext"
        };
        let protocol = given(&self.security_protocol)
            .map_or_else(|| default.to_owned(), |text| text.to_lowercase());
        let mut settings = vec![("bootstrap.servers", self.bootstrap_servers.clone())];
        match (&mechanism, protocol.starts_with("sasl")) {
            (Some(_), false) => {
                return Err(Refused::new(format!(
                    "KAFKA_SASL_MECHANISM needs KAFKA_SECURITY_PROTOCOL sasl_ssl or sasl_plaintext, not {protocol}"
                )));
            }
            (None, true) => {
                return Err(Refused::new(format!(
                    "KAFKA_SECURITY_PROTOCOL {protocol} needs KAFKA_SASL_MECHANISM"
                )));
            }
            (Some(mechanism), true) if mechanism == MSK_IAM => {
                settings.push(("sasl.mechanism", "OAUTHBEARER".into()));
            }
            (Some(mechanism), true) => {
                let (Some(username), Some(password)) = (given(&self.username), &self.password)
                else {
                    return Err(Refused::new(format!(
                        "{mechanism} needs KAFKA_USERNAME and KAFKA_PASSWORD"
                    )));
                };
                settings.push(("sasl.mechanism", mechanism.clone()));
                settings.push(("sasl.username", username));
                settings.push(("sasl.password", password.expose_secret().to_owned()));
            }
            (None, false) => {}
        }
        if let Some(path) = &self.ssl_ca_location {
            settings.push(("ssl.ca.location", path.display().to_string()));
        }
        settings.push(("security.protocol", protocol));
        Ok(settings)
    }

    /// Whether the client must answer librdkafka's call for a token.
    pub fn signs_with_iam(&self) -> bool {
        self.sasl_mechanism.as_deref() == Some(MSK_IAM)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Config {
        #[command(flatten)]
        kafka: KafkaArgs,
    }

    fn settings(options: &[&str]) -> Result<Vec<(&'static str, String)>, String> {
        let program = ["p", "--kafka-bootstrap-servers", "broker:9092"];
        let config = Config::try_parse_from(program.iter().chain(options)).unwrap();
        config
            .kafka
            .settings()
            .map_err(|refused| refused.to_string())
    }

    #[test]
    fn a_plain_broker_needs_its_address_only() {
        let expected = vec![
            ("bootstrap.servers", "broker:9092".into()),
            ("security.protocol", "plaintext".into()),
        ];
        assert_eq!(settings(&[]).unwrap(), expected);
    }

    #[test]
    fn iam_is_oauthbearer_over_tls_without_a_password() {
        let settings = settings(&["--kafka-sasl-mechanism", "AWS_MSK_IAM"]).unwrap();
        assert!(settings.contains(&("sasl.mechanism", "OAUTHBEARER".into())));
        assert!(settings.contains(&("security.protocol", "sasl_ssl".into())));
    }

    #[test]
    fn a_mechanism_without_its_credentials_is_refused() {
        let refusal = settings(&[
            "--kafka-sasl-mechanism",
            "SCRAM-SHA-512",
            "--kafka-username",
            "u",
        ])
        .unwrap_err();
        assert_eq!(
            refusal,
            "SCRAM-SHA-512 needs KAFKA_USERNAME and KAFKA_PASSWORD"
        );
    }

    #[test]
    fn a_password_never_goes_over_a_connection_that_does_not_ask_for_it() {
        let options = [
            "--kafka-security-protocol",
            "SSL",
            "--kafka-sasl-mechanism",
            "PLAIN",
        ];
        assert!(settings(&options).unwrap_err().contains("not ssl"));
    }
}
