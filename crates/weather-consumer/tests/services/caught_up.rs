//! `--until-caught-up`: what the topic holds at the start is stored, and that is the end of it.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use crate::{
    consumer::Consumer,
    proxy::Proxy,
    world::{SOON, World, eventually},
};

const OPTIONS: [&str; 3] = ["--until-caught-up", "--max-age", "1s"];

#[test]
fn it_ends_when_the_content_at_its_start_is_stored_though_more_keeps_coming() {
    let world = World::new("caught-up", 3);
    world.send_readings(0..600);
    let ended = std::thread::scope(|scope| {
        // Dropped at the latest by a panic, which ends the load as well.
        let (done, end) = mpsc::channel::<()>();
        let consumer = Consumer::start(&world, &OPTIONS);
        scope.spawn({
            let world = &world;
            move || {
                for number in (600..).step_by(20) {
                    let pause = end.recv_timeout(Duration::from_millis(50));
                    world.send_readings(number..number + 20);
                    if !matches!(pause, Err(RecvTimeoutError::Timeout)) {
                        break;
                    }
                }
            }
        });
        let ended = consumer.until_ended();
        drop(done);
        ended
    });
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.closing["complete"], true);
    let held = i64::try_from(world.records(&world.topic).len()).unwrap();
    assert!(
        (600..held).contains(&world.committed()),
        "not what came later"
    );
    // The next run stores the rest, and ends when nothing is left: at once where that was so already.
    for _ in 0..2 {
        let ended = Consumer::start(&world, &OPTIONS).until_ended();
        assert_eq!(
            (ended.code, &ended.closing["complete"]),
            (Some(0), &true.into())
        );
        assert_eq!(world.committed(), held);
    }
    world.assert_whole();
}

#[test]
fn an_empty_topic_is_caught_up_with_at_once() {
    let world = World::new("caught-up-empty", 2);
    let ended = Consumer::start(&world, &OPTIONS).until_ended();
    assert_eq!(
        (ended.code, &ended.closing["consumed"]),
        (Some(0), &0.into())
    );
}

#[test]
fn it_has_not_caught_up_while_a_sink_is_away() {
    let mut world = World::new("caught-up-away", 2);
    let proxy = Proxy::to(world.mongodb.trim_start_matches("mongodb://"));
    world.mongodb = format!("mongodb://{}/?directConnection=true", proxy.address);
    proxy.cut();
    world.send_readings(0..100);
    let consumer = Consumer::start(&world, &OPTIONS);
    eventually("both files have landed", SOON, || {
        (world.files().len() == 2).then_some(())
    });
    consumer.until_it_waits_for("mongodb");
    proxy.mend();
    let ended = consumer.until_ended();
    assert_eq!(
        (ended.code, &ended.closing["complete"]),
        (Some(0), &true.into())
    );
    assert_eq!(world.committed(), 100);
    world.assert_whole();
}
