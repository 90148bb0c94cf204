//! Progress of long work: a bar on a terminal, a log line every few seconds otherwise.

use std::{
    io,
    sync::{
        LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use tracing::info;

/// How often progress is logged where there is no terminal.
const LOG_EVERY: Duration = Duration::from_secs(5);

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static SHOW_BARS: AtomicBool = AtomicBool::new(false);

/// Progress of one piece of work, with its rate and, where the total is known, the time left.
///
/// It may be shared between threads.
#[derive(Debug)]
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    done: AtomicU64,
    started: Instant,
    logged: Mutex<Instant>,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts counting `what` (a plural noun: `activities`), of `total` where that is known.
    pub fn new(what: &'static str, total: Option<u64>) -> Self {
        let now = Instant::now();
        let bar = SHOW_BARS
            .load(Ordering::Relaxed)
            .then(|| BARS.add(bar(what, total)));
        Self {
            what,
            total,
            done: AtomicU64::new(0),
            started: now,
            logged: Mutex::new(now),
            bar,
        }
    }

    /// Counts `n` more.
    pub fn inc(&self, n: u64) {
        let done = self.done.fetch_add(n, Ordering::Relaxed) + n;
        if let Some(bar) = &self.bar {
            return bar.inc(n);
        }
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.elapsed() >= LOG_EVERY {
            *logged = Instant::now();
            info!(
                "{}",
                sentence(self.what, done, self.total, self.started.elapsed())
            );
        }
    }

    /// Ends it; a bar leaves the terminal.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
            BARS.remove(bar);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.finish();
    }
}

fn bar(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (
            ProgressBar::new(total),
            "{msg} {wide_bar} {human_pos}/{human_len} {per_sec}, {eta} left",
        ),
        None => (
            ProgressBar::new_spinner(),
            "{spinner} {msg} {human_pos} {per_sec}, {elapsed}",
        ),
    };
    let style = ProgressStyle::with_template(template).expect("the template is a valid one");
    bar.with_style(style).with_message(what)
}

fn sentence(what: &str, done: u64, total: Option<u64>, elapsed: Duration) -> String {
    let rate = done as f64 / elapsed.as_secs_f64().max(0.001);
    let of = total
        .map(|total| format!(" of {total}"))
        .unwrap_or_default();
    let left = total
        .filter(|_| rate > 0.0)
        .map(|total| format!(", {:.0} s left", total.saturating_sub(done) as f64 / rate))
        .unwrap_or_default();
    format!("{done}{of} {what}, {rate:.0}/s{left}")
}

/// Whether bars are drawn: text logs on a terminal.
pub(super) fn show_bars(show: bool) {
    SHOW_BARS.store(show, Ordering::Relaxed);
}

/// Runs `write` with the bars out of the way.
pub(super) fn above_bars(write: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    if SHOW_BARS.load(Ordering::Relaxed) {
        BARS.suspend(write)
    } else {
        write()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_progress_line_has_the_rate_and_the_time_left() {
        assert_eq!(
            sentence("rows", 50, Some(200), Duration::from_secs(5)),
            "50 of 200 rows, 10/s, 15 s left"
        );
        assert_eq!(
            sentence("rows", 0, Some(200), Duration::ZERO),
            "0 of 200 rows, 0/s"
        );
        assert_eq!(
            sentence("rows", 30, None, Duration::from_secs(10)),
            "30 rows, 3/s"
        );
    }
}
