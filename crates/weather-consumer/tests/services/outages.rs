//! A far side goes away and comes back: nothing is lost, nothing put aside, and `/readyz` said so.

use std::time::Duration;

use devstack::kafka::Kafka;

use crate::{
    consumer::Consumer,
    proxy::Proxy,
    world::{SOON, World, eventually, number, variable},
};

/// How long a far side stays away; the 40 s by `OUTAGE_SECONDS=40`.
fn outage() -> Duration {
    Duration::from_secs(number("OUTAGE_SECONDS", 8))
}

/// Load before, during and after; `away` takes it away, `back` brings it back.
fn survives(
    world: &World,
    consumer: Consumer,
    what: &str,
    away: impl FnOnce(),
    back: impl FnOnce(),
) {
    world.send_readings(0..500);
    consumer.until_ready();
    eventually("some is committed", SOON, || {
        (world.committed() > 0).then_some(())
    });
    away();
    world.send_readings(500..1_500);
    consumer.until_it_waits_for(what);
    assert!(consumer.is_healthy());
    std::thread::sleep(outage());
    assert!(consumer.is_healthy());
    back();
    consumer.until_ready();
    world.until_committed(1_500);
    let ended = consumer.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.closing["dead_lettered"], 0);
    assert!(
        world.records(&world.dead_letters()).is_empty(),
        "an outage is no defect of the data"
    );
    world.assert_whole();
}

/// The watchdog is impatient: an outage that is known must not wake it.
const OPTIONS: [&str; 4] = ["--max-age", "1s", "--stall-timeout", "6s"];

#[test]
fn mongodb_goes_away_and_comes_back() {
    let mut world = World::new("mongodb-away", 3);
    let proxy = Proxy::to(world.mongodb.trim_start_matches("mongodb://"));
    world.mongodb = format!("mongodb://{}/?directConnection=true", proxy.address);
    let consumer = Consumer::start(&world, &OPTIONS);
    survives(&world, consumer, "mongodb", || proxy.cut(), || proxy.mend());
}

#[test]
fn the_landing_goes_away_and_comes_back() {
    let world = World::new("landing-away", 3).in_bucket();
    let proxy = Proxy::to(variable("AWS_ENDPOINT_URL").trim_start_matches("http://"));
    let endpoint = format!("http://{}", proxy.address);
    let consumer = Consumer::with_environment(&world, &OPTIONS, &[("AWS_ENDPOINT_URL", &endpoint)]);
    survives(&world, consumer, "landing", || proxy.cut(), || proxy.mend());
}

#[test]
fn every_far_side_is_away_when_it_starts() {
    let mut world = World::new("start-away", 2).in_bucket();
    let mongodb = Proxy::to(world.mongodb.trim_start_matches("mongodb://"));
    let s3 = Proxy::to(variable("AWS_ENDPOINT_URL").trim_start_matches("http://"));
    world.mongodb = format!("mongodb://{}/?directConnection=true", mongodb.address);
    let endpoint = format!("http://{}", s3.address);
    mongodb.cut();
    s3.cut();
    world.send_readings(0..200);
    let consumer = Consumer::with_environment(&world, &OPTIONS, &[("AWS_ENDPOINT_URL", &endpoint)]);
    consumer.until_it_waits_for("mongodb");
    consumer.until_it_waits_for("landing");
    assert!(consumer.is_healthy());
    mongodb.mend();
    s3.mend();
    world.until_committed(200);
    assert_eq!(consumer.stop().code, Some(0));
    world.assert_whole();
}

#[tokio::test]
async fn the_broker_goes_away_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut broker = Kafka::start_in(folder.path()).await.unwrap();
    let address = broker.address();
    let pid = broker.server().pid().unwrap().to_string();
    let signal = move |signal: &str| {
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(sent.unwrap().success());
    };
    tokio::task::spawn_blocking(move || {
        let world = World::at("broker-away", 3, &address, &[]);
        let consumer = Consumer::start(&world, &OPTIONS);
        world.send_readings(0..500);
        consumer.until_ready();
        eventually("some is committed", SOON, || {
            (world.committed() > 0).then_some(())
        });
        signal("-STOP");
        consumer.until_it_waits_for("kafka");
        std::thread::sleep(outage());
        assert!(consumer.is_healthy());
        signal("-CONT");
        consumer.until_ready();
        world.send_readings(500..1_500);
        world.until_committed(1_500);
        let ended = consumer.stop();
        assert_eq!(
            (ended.code, ended.closing["dead_lettered"].as_u64()),
            (Some(0), Some(0))
        );
        world.assert_whole();
    })
    .await
    .unwrap();
    broker.stop().await.unwrap();
}
