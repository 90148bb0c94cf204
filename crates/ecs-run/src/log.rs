//! The task's log stream in CloudWatch.

use anyhow::Context as _;
use aws_config::SdkConfig;
use aws_sdk_cloudwatchlogs::Client;
use aws_sdk_cloudwatchlogs::error::SdkError;

use crate::tasks::Task;

/// Follows one stream from its first line.
#[derive(Debug)]
pub struct Log {
    client: Client,
    group: String,
    stream_prefix: String,
    token: Option<String>,
    /// Lines that were read and not handed out yet: a page may come and the next one fail.
    read: Vec<String>,
}

impl Log {
    #[must_use]
    pub fn new(aws: &SdkConfig, group: String, task: &Task) -> Self {
        let stream_prefix = format!("{}/{}", task.log_prefix, task.name);
        Self {
            client: Client::new(aws),
            group,
            stream_prefix,
            token: None,
            read: Vec::new(),
        }
    }

    /// The lines that came since the last call; none before the stream is there.
    pub async fn news(&mut self, arn: &str) -> anyhow::Result<Vec<String>> {
        let id = arn.rsplit('/').next().unwrap_or(arn);
        let stream = format!("{}/{id}", self.stream_prefix);
        loop {
            let request = self
                .client
                .get_log_events()
                .log_group_name(&self.group)
                .log_stream_name(&stream)
                .start_from_head(true)
                .set_next_token(self.token.clone());
            let page = match request.send().await.map_err(SdkError::into_service_error) {
                Ok(page) => page,
                Err(error) if error.is_resource_not_found_exception() => {
                    return Ok(std::mem::take(&mut self.read));
                }
                Err(error) => {
                    return Err(error).with_context(|| format!("read log {} {stream}", self.group));
                }
            };
            self.read.extend(
                page.events()
                    .iter()
                    .filter_map(|event| event.message().map(ToOwned::to_owned)),
            );
            let next = page.next_forward_token().map(ToOwned::to_owned);
            // The token repeats at the end of what is there.
            if next == self.token || page.events().is_empty() {
                self.token = next;
                return Ok(std::mem::take(&mut self.read));
            }
            self.token = next;
        }
    }
}
