//! Members come and go, and one comes back from the dead.

use std::time::{Duration, Instant};

use crate::{
    consumer::Consumer,
    proxy::Proxy,
    reading::{reading, record},
    world::{SOON, World, eventually},
};

#[test]
fn consumers_with_different_sinks_have_offsets_of_their_own() {
    let world = World::new("sinks", 3);
    world.send_readings(0..600);
    // No other test may be in these two: they are what the groups are called by default.
    let start =
        |options: &[&str]| Consumer::with_environment(&world, options, &[("KAFKA_GROUP_ID", "")]);
    let mongodb = start(&["--sink", "mongodb"]);
    let landing = start(&["--sink", "landing", "--max-age", "1s"]);
    for group in ["weather-consumer.mongodb", "weather-consumer.landing"] {
        world.until_committed_by(group, 600);
    }
    assert_eq!(mongodb.stop().closing["stored"]["landing"], 0);
    assert_eq!(landing.stop().closing["stored"]["mongodb"], 0);
    world.assert_whole();
}

#[test]
fn a_member_is_added_and_removed_and_nothing_is_lost_or_doubled() {
    let world = World::new("members", 4);
    world.send_readings(0..600);
    let first = Consumer::start(&world, &["--max-age", "1s"]);
    eventually("the first reads", SOON, || {
        first
            .metric("weather_consumer_records_total")
            .filter(|read| *read > 0.0)
    });
    let second = Consumer::start(&world, &["--max-age", "1s"]);
    let shared = |consumer: &Consumer| {
        consumer
            .metric("weather_consumer_partitions")
            .filter(|count| *count == 2.0)
    };
    eventually("they share", SOON, || shared(&first).and(shared(&second)));
    world.send_readings(600..900);
    eventually("the second reads", SOON, || {
        second
            .metric("weather_consumer_records_total")
            .filter(|read| *read > 0.0)
    });
    assert_eq!(second.stop().code, Some(0));
    world.send_readings(900..1_200);
    world.until_committed(1_200);
    let ended = first.stop();
    assert_eq!(
        (ended.code, ended.closing["complete"].as_bool()),
        (Some(0), Some(true))
    );
    world.assert_whole();
}

#[test]
fn a_zombie_cannot_overwrite_what_is_newer() {
    let world = World::new("zombie", 1);
    // MongoDB is away for it alone: it holds the first revision, and an open file, when it is stopped.
    let proxy = Proxy::to(world.mongodb.trim_start_matches("mongodb://"));
    let address = format!("mongodb://{}/?directConnection=true", proxy.address);
    let zombie =
        Consumer::with_environment(&world, &["--max-age", "5s"], &[("MONGODB_URI", &address)]);
    zombie.until_ready();
    proxy.cut();
    world.send((0..300).map(|number| record(&reading(number, 0))));
    let read = |consumer: &Consumer| consumer.metric("weather_consumer_records_total");
    eventually("the first revision is in its hands", SOON, || {
        read(&zombie).filter(|read| *read == 300.0)
    });
    zombie.signal("STOP");
    let owner = Consumer::start(&world, &["--max-age", "1s"]);
    world.send((0..300).map(|number| record(&reading(number, 5))));
    world.until_committed(600);
    let (newest, _) = world.expected();
    assert_eq!(world.documents(), newest);
    proxy.mend();
    zombie.signal("CONT");
    eventually("it wrote to MongoDB what it held, in vain", SOON, || {
        zombie
            .metric("weather_consumer_unchanged_total")
            .filter(|rows| *rows >= 300.0)
    });
    eventually("it knows that its partition is gone", SOON, || {
        zombie
            .metric("weather_consumer_partitions")
            .filter(|held| *held == 0.0)
    });
    // Whatever it still had in hand, it ends cleanly and leaves everything as it is.
    assert_eq!(zombie.stop().code, Some(0));
    assert_eq!(owner.stop().code, Some(0));
    assert_eq!(world.committed(), 600);
    world.assert_whole();
}

#[test]
fn a_static_member_that_restarts_goes_on_where_it_was_and_moves_nothing() {
    let world = World::new("static", 2);
    let start = |name| {
        let options = ["--group-instance-id", name, "--max-age", "1s"];
        Consumer::start(
            &world,
            &[&options[..], &["--session-timeout", "60s"]].concat(),
        )
    };
    let has_one = |consumer: &Consumer| {
        consumer
            .metric("weather_consumer_partitions")
            .filter(|held| *held == 1.0)
    };
    let other = start("weather-1");
    let before = start("weather-0");
    eventually("they share", SOON, || has_one(&other).and(has_one(&before)));
    world.send_readings(0..200);
    world.until_committed(200);
    before.kill();
    let killed = Instant::now();
    let after = start("weather-0");
    world.send_readings(200..400);
    world.until_committed(400);
    assert!(
        killed.elapsed() < Duration::from_secs(50),
        "the group waited for the dead member"
    );
    assert!(
        has_one(&other).is_some(),
        "the other has taken its partition"
    );
    assert!(has_one(&after).is_some());
    after.stop();
    other.stop();
    world.assert_whole();
}
