//! CloudWatch Logs' reading half: GetLogEvents, DescribeLogStreams, FilterLogEvents.

use std::sync::Arc;

use serde::Deserialize;
use serde_json::{Value, json};

use super::logs::{Event, Stream};
use super::wire::{Answer, Refusal, page, read};
use super::{ACCOUNT, World};

const MOST_EVENTS: usize = 10_000;
const MOST_BYTES: usize = 1 << 20;
/// What CloudWatch adds to a message when it counts bytes.
const EVENT_OVERHEAD: usize = 26;

fn no_such_stream() -> Refusal {
    Refusal::new(
        "ResourceNotFoundException",
        "The specified log stream does not exist.",
    )
}

fn no_such_group() -> Refusal {
    Refusal::new(
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )
}

/// A group is named by `logGroupName`, or by its name or ARN in `logGroupIdentifier`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GroupName {
    log_group_name: Option<String>,
    log_group_identifier: Option<String>,
}

impl GroupName {
    fn streams(&self, world: &World) -> Result<Vec<(String, Arc<Stream>)>, Refusal> {
        let name = match (&self.log_group_name, &self.log_group_identifier) {
            (Some(name), None) => name,
            (None, Some(arn)) => arn
                .rsplit_once(":log-group:")
                .map_or(arn.as_str(), |(_, name)| name),
            _ => {
                return Err(Refusal::invalid(
                    "Exactly one of logGroupName and logGroupIdentifier is required.",
                ));
            }
        };
        world.logs.streams(name).ok_or_else(no_such_group)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct GetRequest {
    #[serde(flatten)]
    group: GroupName,
    log_stream_name: String,
    start_time: Option<i64>,
    end_time: Option<i64>,
    next_token: Option<String>,
    limit: Option<usize>,
    #[serde(default)]
    start_from_head: bool,
}

pub(super) fn get_log_events(world: &World, body: &[u8]) -> Answer {
    let request: GetRequest = read(body)?;
    let limit = limit(request.limit, MOST_EVENTS)?;
    let streams = request.group.streams(world)?;
    let (_, stream) = streams
        .into_iter()
        .find(|(name, _)| *name == request.log_stream_name)
        .ok_or_else(no_such_stream)?;
    stream.read(|events| {
        let (from, to) = match request
            .next_token
            .as_deref()
            .map(Token::parse)
            .transpose()?
        {
            Some(Token::Forward(at)) => (at, forward(events, at, limit)),
            Some(Token::Backward(at)) => (backward(events, at, limit), at),
            None if request.start_from_head => (0, forward(events, 0, limit)),
            None => (backward(events, events.len(), limit), events.len()),
        };
        let within = |event: &&Event| {
            request
                .start_time
                .is_none_or(|start| event.timestamp >= start)
                && request.end_time.is_none_or(|end| event.timestamp < end)
        };
        let chosen = events.get(from..to).unwrap_or_default();
        let shown: Vec<Value> = chosen.iter().filter(within).map(shown).collect();
        Ok(json!({
            "events": shown,
            "nextForwardToken": Token::Forward(to.max(from)).text(),
            "nextBackwardToken": Token::Backward(from).text(),
        }))
    })
}

/// A place in a stream; it repeats where nothing came after it.
enum Token {
    Forward(usize),
    Backward(usize),
}

impl Token {
    fn parse(text: &str) -> Result<Self, Refusal> {
        let invalid = || Refusal::invalid("The specified nextToken is invalid.");
        let (kind, rest) = text.split_once('/').ok_or_else(invalid)?;
        let at = rest
            .strip_suffix("/s")
            .and_then(|at| at.parse().ok())
            .ok_or_else(invalid)?;
        match kind {
            "f" => Ok(Self::Forward(at)),
            "b" => Ok(Self::Backward(at)),
            _ => Err(invalid()),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Forward(at) => format!("f/{at:056}/s"),
            Self::Backward(at) => format!("b/{at:056}/s"),
        }
    }
}

/// End of the page that begins at `from`.
fn forward(events: &[Event], from: usize, limit: usize) -> usize {
    let mut bytes = 0;
    let page = events
        .get(from..)
        .unwrap_or_default()
        .iter()
        .take(limit)
        .take_while(|event| {
            bytes += event.message.len() + EVENT_OVERHEAD;
            bytes <= MOST_BYTES
        });
    from + page.count()
}

/// Begin of the page that ends at `to`.
fn backward(events: &[Event], to: usize, limit: usize) -> usize {
    let mut bytes = 0;
    let page = events
        .get(..to)
        .unwrap_or_default()
        .iter()
        .rev()
        .take(limit)
        .take_while(|event| {
            bytes += event.message.len() + EVENT_OVERHEAD;
            bytes <= MOST_BYTES
        });
    to.saturating_sub(page.count())
}

fn limit(asked: Option<usize>, most: usize) -> Result<usize, Refusal> {
    match asked {
        None => Ok(most),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Refusal::invalid(format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: \
             Member must be between 1 and {most}"
        ))),
    }
}

fn shown(event: &Event) -> Value {
    json!({"timestamp": event.timestamp, "message": event.message, "ingestionTime": event.timestamp})
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeRequest {
    #[serde(flatten)]
    group: GroupName,
    log_stream_name_prefix: Option<String>,
    order_by: Option<String>,
    #[serde(default)]
    descending: bool,
    next_token: Option<String>,
    limit: Option<usize>,
}

pub(super) fn describe_log_streams(world: &World, body: &[u8]) -> Answer {
    let request: DescribeRequest = read(body)?;
    let mut streams = request.group.streams(world)?;
    if let Some(prefix) = &request.log_stream_name_prefix {
        streams.retain(|(name, _)| name.starts_with(prefix));
    }
    match request.order_by.as_deref() {
        None | Some("LogStreamName") => {}
        Some("LastEventTime") if request.log_stream_name_prefix.is_some() => {
            return Err(Refusal::invalid(
                "Cannot order by LastEventTime with a logStreamNamePrefix.",
            ));
        }
        Some("LastEventTime") => {
            streams.sort_by_key(|(_, stream)| times(stream).map(|(_, last)| last));
        }
        Some(other) => return Err(Refusal::invalid(format!("orderBy cannot be '{other}'."))),
    }
    if request.descending {
        streams.reverse();
    }
    let (streams, next) = page(
        streams,
        request.next_token.as_deref(),
        limit(request.limit, 50)?,
    )?;
    let region = &world.config.region;
    let shown: Vec<Value> = streams
        .iter()
        .map(|(name, stream)| {
            let mut shown = json!({
                "logStreamName": name,
                "creationTime": stream.created,
                "arn": format!("arn:aws:logs:{region}:{ACCOUNT}:log-stream:{name}"),
                "storedBytes": 0,
            });
            if let Some((first, last)) = times(stream) {
                shown["firstEventTimestamp"] = json!(first);
                shown["lastEventTimestamp"] = json!(last);
                shown["lastIngestionTime"] = json!(last);
            }
            shown
        })
        .collect();
    Ok(with_token(json!({"logStreams": shown}), next))
}

/// First and last event's time.
fn times(stream: &Stream) -> Option<(i64, i64)> {
    stream.read(|events| Some((events.first()?.timestamp, events.last()?.timestamp)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct FilterRequest {
    #[serde(flatten)]
    group: GroupName,
    #[serde(default)]
    log_stream_names: Vec<String>,
    log_stream_name_prefix: Option<String>,
    start_time: Option<i64>,
    end_time: Option<i64>,
    filter_pattern: Option<String>,
    next_token: Option<String>,
    limit: Option<usize>,
}

pub(super) fn filter_log_events(world: &World, body: &[u8]) -> Answer {
    let request: FilterRequest = read(body)?;
    if !request.log_stream_names.is_empty() && request.log_stream_name_prefix.is_some() {
        return Err(Refusal::invalid(
            "logStreamNames and logStreamNamePrefix cannot be given together.",
        ));
    }
    let words = words(request.filter_pattern.as_deref().unwrap_or_default())?;
    let mut found = Vec::new();
    for (name, stream) in request.group.streams(world)? {
        let chosen = match &request.log_stream_name_prefix {
            Some(prefix) => name.starts_with(prefix),
            None => request.log_stream_names.is_empty() || request.log_stream_names.contains(&name),
        };
        if !chosen {
            continue;
        }
        stream.read(|events| {
            for (number, event) in events.iter().enumerate() {
                let in_time = request
                    .start_time
                    .is_none_or(|start| event.timestamp >= start)
                    && request.end_time.is_none_or(|end| event.timestamp <= end);
                if in_time && words.iter().all(|word| event.message.contains(word)) {
                    let mut shown = shown(event);
                    shown["logStreamName"] = json!(name);
                    shown["eventId"] = json!(format!("{}{number:020}", event.timestamp));
                    found.push((event.timestamp, shown));
                }
            }
        });
    }
    found.sort_by_key(|(timestamp, _)| *timestamp);
    let found: Vec<Value> = found.into_iter().map(|(_, shown)| shown).collect();
    let (events, next) = page(
        found,
        request.next_token.as_deref(),
        limit(request.limit, MOST_EVENTS)?,
    )?;
    Ok(with_token(
        json!({"events": events, "searchedLogStreams": []}),
        next,
    ))
}

/// The words that must all be there; CloudWatch's other patterns are refused rather than misread.
fn words(pattern: &str) -> Result<Vec<String>, Refusal> {
    if pattern.starts_with(['{', '[', '%'])
        || pattern.contains(['?', '-']) && !pattern.contains('"')
    {
        return Err(Refusal::invalid(
            "devstack knows filter patterns of plain words and of one quoted phrase.",
        ));
    }
    let trimmed = pattern.trim();
    if let Some(phrase) = trimmed
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
    {
        return Ok(vec![phrase.to_owned()]);
    }
    Ok(trimmed.split_whitespace().map(str::to_owned).collect())
}

fn with_token(mut answer: Value, next: Option<String>) -> Value {
    if let Some(next) = next {
        answer["nextToken"] = json!(next);
    }
    answer
}
