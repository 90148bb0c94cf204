//! Patience with a far side that is away: the same attempt again, longer and longer apart.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use common::{task::is_refused, vitals::Vitals};
use tracing::{info, warn};

use crate::metrics::RETRIES;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Tries until it works. Meanwhile `/readyz` names `what`, and says what it answered last.
///
/// # Errors
/// What no waiting changes: an error that is marked as refused.
pub(crate) async fn until_it_works<T>(
    what: &'static str,
    vitals: &Vitals,
    limit: Duration,
    mut attempt: impl AsyncFnMut() -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let mut wait = FIRST_WAIT;
    let mut failures = 0_u64;
    loop {
        let outcome = tokio::time::timeout(limit, attempt()).await;
        let error = match outcome
            .unwrap_or_else(|_| Err(anyhow!("no answer within {} s", limit.as_secs())))
        {
            Ok(done) => {
                if failures > 0 {
                    vitals.ready(what);
                    let seconds = started.elapsed().as_secs();
                    info!(
                        far_side = what,
                        attempts = failures + 1,
                        seconds,
                        "{what} is there again"
                    );
                }
                return Ok(done);
            }
            Err(error) if is_refused(&error) => return Err(error),
            Err(error) => error,
        };
        failures += 1;
        vitals.add(&RETRIES, &[("sink", what)], 1.0);
        vitals.not_ready(what, format!("{error:#}"));
        if failures == 1 {
            warn!(
                far_side = what,
                error = format!("{error:#}"),
                "{what} is away, trying until it answers"
            );
        }
        // Not all at once when it comes back.
        tokio::time::sleep(wait.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
        wait = (wait * 2).min(LONGEST_WAIT);
    }
}
