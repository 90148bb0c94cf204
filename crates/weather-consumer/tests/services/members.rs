//! Members come and go, and one comes back from the dead.

use std::time::Duration;

use crate::{
    consumer::Consumer,
    world::{SOON, World, eventually, reading, record},
};

const BOTH: &str = "weather-consumer.mongodb,landing";

#[test]
#[ignore = "times out now and then, cause not found yet: the weather issue; run by make test-weather"]
fn consumers_with_different_sinks_have_offsets_of_their_own() {
    let world = World::new("sinks", 3);
    world.send_readings(0..600);
    let mongodb = Consumer::start(&world, &["--sink", "mongodb"]);
    let landing = Consumer::start(&world, &["--sink", "landing", "--max-age", "1s"]);
    for group in ["weather-consumer.mongodb", "weather-consumer.landing"] {
        eventually(group, SOON, || {
            (world.committed(group) == 600).then_some(())
        });
    }
    assert_eq!(mongodb.stop().closing["stored"]["landing"], 0);
    assert_eq!(landing.stop().closing["stored"]["mongodb"], 0);
    world.assert_whole();
}

#[test]
#[ignore = "times out now and then on a busy machine, cause not found yet: the weather issue; run by make test-weather"]
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
    eventually("all is committed", SOON, || {
        (world.committed(BOTH) == 1_200).then_some(())
    });
    let ended = first.stop();
    assert_eq!(
        (ended.code, ended.closing["complete"].as_bool()),
        (Some(0), Some(true))
    );
    world.assert_whole();
}

#[test]
#[ignore = "times out now and then on a busy machine, cause not found yet: the weather issue; run by make test-weather"]
fn a_zombie_cannot_overwrite_what_is_newer() {
    let world = World::new("zombie", 1);
    world.send((0..300).map(|number| record(&reading(number, 0))));
    // It holds an open file when it is stopped.
    let zombie = Consumer::start(&world, &["--max-age", "1h"]);
    eventually("the first revision", SOON, || {
        (world.count() == 300).then_some(())
    });
    zombie.signal("STOP");
    let owner = Consumer::start(&world, &["--max-age", "1s"]);
    world.send((0..300).map(|number| record(&reading(number, 5))));
    eventually("the partition has moved", SOON, || {
        (world.committed(BOTH) == 600).then_some(())
    });
    let (newest, _) = world.expected();
    assert_eq!(world.documents(), newest);
    zombie.signal("CONT");
    std::thread::sleep(Duration::from_secs(2));
    // Whatever it still had in hand, it ends cleanly and leaves everything as it is.
    assert_eq!(zombie.stop().code, Some(0));
    assert_eq!(owner.stop().code, Some(0));
    assert_eq!(world.committed(BOTH), 600);
    world.assert_whole();
}

#[test]
#[ignore = "times out now and then on a busy machine, cause not found yet: the weather issue; run by make test-weather"]
fn a_static_member_that_restarts_goes_on_where_it_was() {
    let world = World::new("static", 2);
    let options = ["--group-instance-id", "weather-0", "--max-age", "1s"];
    world.send_readings(0..200);
    let before = Consumer::start(&world, &options);
    eventually("all is committed", SOON, || {
        (world.committed(BOTH) == 200).then_some(())
    });
    before.kill();
    let after = Consumer::start(&world, &options);
    world.send_readings(200..400);
    eventually("all is committed", SOON, || {
        (world.committed(BOTH) == 400).then_some(())
    });
    after.stop();
    world.assert_whole();
}
