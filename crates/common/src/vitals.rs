//! What a long-running program shows of itself: `/metrics` for Prometheus, `/healthz` and `/readyz`.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use tracing::debug;

/// A request is three lines; whoever sends more, or slower, is cut off.
const MAX_REQUEST_BYTES: usize = 8 * 1024;
const MAX_REQUEST_TIME: Duration = Duration::from_secs(5);

/// One metric by its name, with units in the name as Prometheus has it.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Sum and count of what was observed.
    Summary,
}

/// A handle on the program's metrics and readiness; clones share them.
#[derive(Debug, Clone)]
pub struct Vitals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metrics: &'static [Metric],
    series: Mutex<BTreeMap<(&'static str, Vec<Label>), Value>>,
    /// What the program waits for, by the far side's name.
    waits: Mutex<BTreeMap<&'static str, String>>,
}

/// Name and value.
pub type Label = (&'static str, String);

#[derive(Debug, Clone, Copy, Default)]
struct Value {
    sum: f64,
    count: u64,
}

impl Vitals {
    /// Shows these metrics; a series appears with its first value.
    pub fn new(metrics: &'static [Metric]) -> Self {
        Self(Arc::new(Inner {
            metrics,
            series: Mutex::default(),
            waits: Mutex::default(),
        }))
    }

    /// Adds to a counter, or observes a summary's value.
    pub fn add(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64) {
        self.change(metric, labels, |held| held.sum += value);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: &Metric, labels: &[(&'static str, &str)], value: f64) {
        self.change(metric, labels, |held| held.sum = value);
    }

    /// Forgets a series whose subject is gone, such as a partition that moved away.
    pub fn forget(&self, metric: &Metric, labels: &[(&'static str, &str)]) {
        lock(&self.0.series).remove(&(metric.name, owned(labels)));
    }

    /// The sum of all series of a metric.
    pub fn total(&self, metric: &Metric) -> f64 {
        let series = lock(&self.0.series);
        series
            .iter()
            .filter(|((name, _), _)| *name == metric.name)
            .map(|(_, value)| value.sum)
            .sum()
    }

    /// `/readyz` answers 503 with this text until [`Vitals::ready`] of the same `what`.
    pub fn not_ready(&self, what: &'static str, why: impl Into<String>) {
        lock(&self.0.waits).insert(what, why.into());
    }

    /// `what` is there again.
    pub fn ready(&self, what: &'static str) {
        lock(&self.0.waits).remove(what);
    }

    pub fn is_ready(&self) -> bool {
        lock(&self.0.waits).is_empty()
    }

    fn change(
        &self,
        metric: &Metric,
        labels: &[(&'static str, &str)],
        change: impl FnOnce(&mut Value),
    ) {
        let mut series = lock(&self.0.series);
        let value = series.entry((metric.name, owned(labels))).or_default();
        change(value);
        value.count += 1;
    }

    /// Listens until `stop`; the address is taken before this returns.
    ///
    /// # Errors
    /// The address is taken, or not this machine's.
    pub async fn serve(
        &self,
        address: SocketAddr,
        stop: CancellationToken,
    ) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let vitals = self.clone();
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stop.cancelled() => return,
                };
                // Out of file handles, for one: the next one may find some.
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                };
                let vitals = vitals.clone();
                tokio::spawn(async move {
                    let answered =
                        tokio::time::timeout(MAX_REQUEST_TIME, vitals.answer(stream)).await;
                    if !matches!(answered, Ok(Ok(()))) {
                        debug!("left a request for metrics or health without an answer");
                    }
                });
            }
        });
        Ok(address)
    }

    async fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut request = Vec::new();
        while !request.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            if request.len() > MAX_REQUEST_BYTES || stream.read_buf(&mut request).await? == 0 {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
        let line = request
            .split(|&byte| byte == b'\r')
            .next()
            .unwrap_or_default();
        let (status, body) = match line.split(|&byte| byte == b' ').nth(1) {
            Some(b"/metrics") => ("200 OK", self.metrics()),
            Some(b"/healthz") => ("200 OK", "ok\n".to_owned()),
            Some(b"/readyz") => self.readiness(),
            _ => (
                "404 Not Found",
                "try /metrics, /healthz or /readyz\n".to_owned(),
            ),
        };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        if !line.starts_with(b"HEAD ") {
            stream.write_all(body.as_bytes()).await?;
        }
        stream.shutdown().await
    }

    fn readiness(&self) -> (&'static str, String) {
        let waits = lock(&self.0.waits);
        if waits.is_empty() {
            return ("200 OK", "ready\n".to_owned());
        }
        let lines = waits.iter().map(|(what, why)| format!("{what}: {why}\n"));
        ("503 Service Unavailable", lines.collect())
    }

    /// In the text format of <https://prometheus.io/docs/instrumenting/exposition_formats/>.
    fn metrics(&self) -> String {
        let series = lock(&self.0.series);
        let mut text = String::new();
        for Metric { name, kind, help } in self.0.metrics {
            text += &format!("# HELP {name} {help}\n# TYPE {name} {}\n", kind.as_str());
            let of_this = series.iter().filter(|((known, _), _)| known == name);
            for ((_, labels), Value { sum, count }) in of_this {
                let labels = written(labels);
                text += &match kind {
                    Kind::Counter | Kind::Gauge => format!("{name}{labels} {sum}\n"),
                    Kind::Summary => {
                        format!("{name}_sum{labels} {sum}\n{name}_count{labels} {count}\n")
                    }
                };
            }
        }
        text
    }
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Summary => "summary",
        }
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<Label> {
    let owned = |&(name, value): &(&'static str, &str)| (name, value.to_owned());
    labels.iter().map(owned).collect()
}

fn written(labels: &[Label]) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| {
        value
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
            .replace('\n', "\\n")
    };
    let pairs = labels
        .iter()
        .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: Metric = Metric {
        name: "sent_total",
        kind: Kind::Counter,
        help: "Readings sent.",
    };
    const LAG: Metric = Metric {
        name: "lag",
        kind: Kind::Gauge,
        help: "Behind.",
    };
    const BATCH: Metric = Metric {
        name: "batch_size",
        kind: Kind::Summary,
        help: "Rows.",
    };
    static METRICS: [Metric; 3] = [SENT, LAG, BATCH];

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream
            .write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes())
            .await
            .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn metrics_are_served_in_the_text_format() {
        let vitals = Vitals::new(&METRICS);
        let stop = CancellationToken::new();
        let address = vitals
            .serve("127.0.0.1:0".parse().unwrap(), stop.clone())
            .await
            .unwrap();
        vitals.add(&SENT, &[], 3.0);
        vitals.add(&SENT, &[], 1.0);
        vitals.set(&LAG, &[("partition", "0"), ("topic", "a\"b")], 7.5);
        vitals.set(&LAG, &[("partition", "1"), ("topic", "t")], 1.0);
        vitals.forget(&LAG, &[("partition", "1"), ("topic", "t")]);
        vitals.add(&BATCH, &[], 10.0);
        vitals.add(&BATCH, &[], 20.0);
        let answer = get(address, "/metrics").await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        assert_eq!(
            body,
            "# HELP sent_total Readings sent.\n# TYPE sent_total counter\nsent_total 4\n\
             # HELP lag Behind.\n# TYPE lag gauge\nlag{partition=\"0\",topic=\"a\\\"b\"} 7.5\n\
             # HELP batch_size Rows.\n# TYPE batch_size summary\nbatch_size_sum 30\nbatch_size_count 2\n"
        );
        stop.cancel();
    }

    #[tokio::test]
    async fn readiness_names_what_is_waited_for_and_health_stays_good() {
        let vitals = Vitals::new(&METRICS);
        let stop = CancellationToken::new();
        let address = vitals
            .serve("127.0.0.1:0".parse().unwrap(), stop.clone())
            .await
            .unwrap();
        vitals.not_ready("mongodb", "away for 3 s");
        vitals.not_ready("kafka", "no broker answered");
        vitals.ready("kafka");
        let answer = get(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        assert!(
            answer.ends_with("\r\n\r\nmongodb: away for 3 s\n"),
            "{answer}"
        );
        assert!(get(address, "/healthz").await.starts_with("HTTP/1.1 200 "));
        vitals.ready("mongodb");
        assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
        stop.cancel();
    }
}
