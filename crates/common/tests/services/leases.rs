//! The promises of a lease.

use std::time::{Duration, Instant};

use common::{
    landing::{Lease, RunId},
    storage::Storage,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::places::{Place, directory, over_both};

over_both! {
    a_lease_says_who_has_it_and_until_when,
    a_waiter_gives_up_and_names_the_holder,
    a_waiter_ends_at_once_when_it_is_stopped,
    the_same_run_takes_its_lease_back_and_the_old_holder_notices,
    an_expired_lease_is_anybodys,
    a_released_lease_is_free_at_once,
    a_lease_of_a_newer_version_is_refused,
}

const KEY: &str = "state/strava/athlete=42/lease.json";

fn run(name: &str) -> RunId {
    name.parse().unwrap()
}

async fn acquire(storage: &Storage, run_id: &str, max_wait: Duration) -> anyhow::Result<Lease> {
    let stop = CancellationToken::new();
    Lease::acquire(storage, KEY, "host-1", &run(run_id), max_wait, &stop).await
}

async fn stored(storage: &Storage) -> Value {
    serde_json::from_slice(&storage.get(KEY).await.unwrap().unwrap().0).unwrap()
}

async fn store(storage: &Storage, lease: Value) {
    storage
        .put_if_absent(KEY, lease.to_string().into())
        .await
        .unwrap();
}

async fn a_lease_says_who_has_it_and_until_when(place: Place) {
    let lease = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    lease.check().unwrap();
    let stored = stored(&place.storage).await;
    let expires_at: Timestamp = stored["expires_at"].as_str().unwrap().parse().unwrap();
    let holds_for = expires_at.duration_since(Timestamp::now()).as_secs();
    assert!((100..=120).contains(&holds_for), "{holds_for}");
    assert_eq!(
        stored,
        json!({"version": 1, "owner": "host-1", "run_id": "run 1", "expires_at": expires_at})
    );
}

async fn a_waiter_gives_up_and_names_the_holder(place: Place) {
    let _held = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let started = Instant::now();
    let error = acquire(&place.storage, "run 2", Duration::from_millis(300))
        .await
        .unwrap_err();
    assert!(started.elapsed() >= Duration::from_millis(300));
    let expires_at = stored(&place.storage).await["expires_at"]
        .as_str()
        .unwrap()
        .to_owned();
    let text = format!("{error:#}");
    assert!(
        ["host-1", "run 1", KEY, &expires_at]
            .iter()
            .all(|part| text.contains(part)),
        "{text}"
    );
    assert!(!common::task::is_refused(&error));
}

async fn a_waiter_ends_at_once_when_it_is_stopped(place: Place) {
    let _held = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    let waited = Lease::acquire(
        &place.storage,
        KEY,
        "host-2",
        &run("run 2"),
        Duration::from_secs(600),
        &stop,
    )
    .await;
    assert!(waited.unwrap_err().is::<common::task::Stopped>());
}

async fn the_same_run_takes_its_lease_back_and_the_old_holder_notices(place: Place) {
    let old = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let new = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    new.check().unwrap();
    // What is stored is the new holder's: the old one's release leaves it alone.
    let before = stored(&place.storage).await;
    old.release().await.unwrap();
    assert_eq!(stored(&place.storage).await, before);
    new.check().unwrap();
}

async fn an_expired_lease_is_anybodys(place: Place) {
    store(&place.storage, json!({"version": 1, "owner": "dead", "run_id": "run 1", "expires_at": "2026-01-01T00:00:00Z"})).await;
    let lease = acquire(&place.storage, "run 2", Duration::ZERO)
        .await
        .unwrap();
    lease.check().unwrap();
    assert_eq!(stored(&place.storage).await["run_id"], "run 2");
}

async fn a_released_lease_is_free_at_once(place: Place) {
    acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    acquire(&place.storage, "run 2", Duration::ZERO)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
}

async fn a_lease_of_a_newer_version_is_refused(place: Place) {
    store(
        &place.storage,
        json!({"version": 2, "held_by": "the future"}),
    )
    .await;
    let error = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap_err();
    assert!(format!("{error:#}").contains("version 2"), "{error:#}");
}

// Time stands still but for sleepers here: a test does not wait half a minute for a renewal.

#[tokio::test(start_paused = true)]
async fn a_held_lease_renews_itself() {
    let place = directory().await;
    let lease = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let before = stored(&place.storage).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    until(|| async { stored(&place.storage).await != before }).await;
    lease.check().unwrap();
    lease.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_was_taken_over_may_not_write_any_more() {
    let place = directory().await;
    let old = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let new = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    tokio::time::sleep(Duration::from_secs(31)).await;
    until(|| async { old.check().is_err() }).await;
    let error = old.check().unwrap_err().to_string();
    assert!(error.contains("was lost") && error.contains(KEY), "{error}");
    new.check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lease_survives_a_storage_that_is_away_for_a_while() {
    let place = directory().await;
    let lease = acquire(&place.storage, "run 1", Duration::ZERO)
        .await
        .unwrap();
    let folder = place.folder.as_ref().unwrap().path();
    let away = folder.with_extension("away");
    std::fs::rename(folder, &away).unwrap();
    tokio::time::sleep(Duration::from_secs(61)).await;
    lease.check().unwrap();
    std::fs::rename(&away, folder).unwrap();
    let before = stored(&place.storage).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    until(|| async { stored(&place.storage).await != before }).await;
    lease.check().unwrap();
}

async fn until(condition: impl AsyncFn() -> bool) {
    for _ in 0..1000 {
        if condition().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("what was waited for did not come");
}
