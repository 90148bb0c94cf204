//! Patience with a far side that is away: the same attempt again, longer and longer apart.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use common::{task::is_refused, vitals::Vitals};
use tracing::{info, warn};

use crate::metrics::RETRIES;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Whoever says nothing for so long is away, although the attempt may still succeed.
const SILENCE: Duration = Duration::from_secs(15);

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
        let mut is_silent = false;
        let tried = tokio::time::timeout(limit, attempt());
        let outcome = {
            let mut tried = std::pin::pin!(tried);
            match tokio::time::timeout(SILENCE, tried.as_mut()).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    is_silent = true;
                    vitals.not_ready(what, format!("no answer for {} s", SILENCE.as_secs()));
                    tried.await
                }
            }
        };
        let error = match outcome
            .unwrap_or_else(|_| Err(anyhow!("no answer within {} s", limit.as_secs())))
        {
            Ok(done) => {
                if failures > 0 || is_silent {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{METRICS, READY_LANDING};

    #[tokio::test(start_paused = true)]
    async fn a_far_side_that_says_nothing_is_known_to_be_away_before_it_fails() {
        let vitals = Vitals::new(METRICS);
        let limit = Duration::from_secs(120);
        let slow = async || {
            tokio::time::sleep(limit / 2).await;
            Ok(())
        };
        let look = async {
            tokio::time::sleep(SILENCE / 2).await;
            assert!(vitals.is_ready());
            tokio::time::sleep(SILENCE).await;
            assert!(!vitals.is_ready());
        };
        let (done, ()) = tokio::join!(until_it_works(READY_LANDING, &vitals, limit, slow), look);
        done.unwrap();
        assert!(vitals.is_ready());
    }
}
