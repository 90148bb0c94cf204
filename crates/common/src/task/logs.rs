//! Logs: flat JSON lines on stdout in a container, text on stderr for a person.

use std::{
    fmt::Debug,
    io::{self, IsTerminal as _},
};

use clap::ValueEnum;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value};
use tracing::{
    Event, Level, Subscriber, error,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    fmt,
    layer::{Context, SubscriberExt as _},
    registry::{LookupSpan, Scope},
    util::SubscriberInitExt as _,
};

use super::{output, progress};

/// How to log: flatten it into a task's `Config`.
#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// Text on stderr or JSON lines on stdout [default: text on a terminal, json otherwise]
    #[arg(long, env = "LOG_FORMAT", global = true)]
    pub log_format: Option<LogFormat>,
    /// The least that is logged of the task itself; libraries log warnings only
    #[arg(long, env = "LOG_LEVEL", global = true, default_value = "info")]
    pub log_level: LogLevel,
}

/// Where logs go and what they look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One flat JSON object a line, on stdout.
    Json,
    /// Lines for a person, on stderr.
    Text,
}

/// The least that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[expect(missing_docs, reason = "the levels of every logger")]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
}

impl From<LogLevel> for LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
        }
    }
}

/// Starts the logs of this process, panics included.
pub(super) fn init(task: &'static str, args: &LogArgs) {
    // Libraries stay at warnings whatever is asked for: below that, some log requests with their secrets.
    let ours = Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("common", args.log_level)
        .with_target(task.replace('-', "_"), args.log_level);
    let to_terminal = io::stderr().is_terminal();
    let format = args.log_format.unwrap_or(if to_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let registry = tracing_subscriber::registry().with(ours);
    let started = match format {
        LogFormat::Json => registry.with(JsonLines { task }).try_init(),
        LogFormat::Text => {
            progress::show_bars(to_terminal);
            let text = fmt::layer()
                .with_ansi(to_terminal)
                .with_target(false)
                .with_writer(|| Stderr);
            registry.with(text).try_init()
        }
    };
    started.expect("a process starts its logs once");
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let text = panic.payload_as_str().unwrap_or("no message");
        error!(panic.place = place, "panicked: {text}");
    }));
}

/// Stderr, with the progress bars out of the way while a line is written.
struct Stderr;

impl io::Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        progress::above_bars(|| io::stderr().lock().write_all(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Writes each event as one flat object: fields of the spans around it, its own fields over them.
struct JsonLines {
    task: &'static str,
}

#[derive(Serialize)]
struct Line<'a> {
    timestamp: Timestamp,
    level: &'a str,
    message: String,
    task: &'a str,
    target: &'a str,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

/// Names that the line has itself: a field of that name would double the key.
const OWN_NAMES: [&str; 4] = ["timestamp", "level", "task", "target"];

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for JsonLines {
    fn on_new_span(
        &self,
        attributes: &span::Attributes<'_>,
        id: &span::Id,
        context: Context<'_, S>,
    ) {
        let Some(span) = context.span(id) else { return };
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        span.extensions_mut().insert(fields);
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(fields) = span.extensions_mut().get_mut::<Fields>() {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut fields = Fields::default();
        for span in context
            .event_scope(event)
            .into_iter()
            .flat_map(Scope::from_root)
        {
            if let Some(outer) = span.extensions().get::<Fields>() {
                fields.0.extend(outer.0.clone());
            }
        }
        event.record(&mut fields);
        output::write_line(&line(
            self.task,
            event.metadata().level(),
            event.metadata().target(),
            fields.0,
        ));
    }
}

fn line(task: &str, level: &Level, target: &str, mut fields: Map<String, Value>) -> String {
    let message = match fields.remove("message") {
        Some(Value::String(message)) => message,
        other => other.map(|value| value.to_string()).unwrap_or_default(),
    };
    fields.retain(|name, _| !OWN_NAMES.contains(&name.as_str()));
    let line = Line {
        timestamp: Timestamp::now(),
        level: level.as_str(),
        message,
        task,
        target,
        fields,
    };
    serde_json::to_string(&line).expect("a log line has string keys only")
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_is_flat_and_has_each_name_once() {
        let fields = json!({"message": "landed 3", "task": "other", "activities.count": 3, "run.day": "2026-11-24"});
        let line = line(
            "strava-extract",
            &Level::INFO,
            "strava_extract::extract",
            fields.as_object().unwrap().clone(),
        );
        assert_eq!(line.matches("\"task\"").count(), 1);
        let line: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "landed 3");
        assert_eq!(line["task"], "strava-extract");
        assert_eq!(line["activities.count"], 3);
        assert_eq!(line["run.day"], "2026-11-24");
        assert!(
            line["timestamp"]
                .as_str()
                .unwrap()
                .parse::<Timestamp>()
                .is_ok()
        );
    }
}
