//! Killed with -9 under load, over and over, while the other rebalances: nothing lost or doubled.

use std::{
    sync::mpsc::{self, RecvTimeoutError},
    time::Duration,
};

use crate::{
    consumer::Consumer,
    world::{SOON, World, eventually, number},
};

/// So many readings come this often, as long as members are killed.
const LOAD: u64 = 20;
const LOAD_EVERY: Duration = Duration::from_millis(100);

/// How often; `make test-kills` asks for more.
fn kills() -> u64 {
    number("KILLS", 5)
}

/// How many of two lives have a name that stays, by chance.
fn named() -> u64 {
    number("NAMED", 0)
}

/// Small files, so that each life lands some and leaves one open.
const FILES: [&str; 4] = ["--max-age", "1s", "--max-rows", "97"];

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_doubled() {
    let seed = number("SEED", 7);
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new("kills", 6);
    let sent = std::thread::scope(|scope| {
        // Dropped at the latest by a panic, which ends the load as well.
        let (done, end) = mpsc::channel::<()>();
        let world = &world;
        let load = scope.spawn(move || load(world, &end));
        let start = |random: &mut fastrand::Rng, place: usize| {
            let name = ["--group-instance-id", ["weather-0", "weather-1"][place]];
            let named = named() > 0 && random.u64(..2) < named();
            let options = [&FILES[..], if named { &name } else { &[] }].concat();
            Consumer::start(world, &options)
        };
        let mut members = [0, 1].map(|place| start(&mut random, place));
        for kill in 1..=kills() {
            let place = random.usize(..2);
            // The group waits for its dead member until the session ends; a series that is quicker
            // than that kills only members that have nothing in hand.
            if random.u8(..4) > 0 {
                eventually("the next victim reads", SOON, || {
                    members[place]
                        .metric("weather_consumer_records_total")
                        .filter(|read| *read > 0.0)
                });
            }
            std::thread::sleep(Duration::from_millis(random.u64(0..1_000)));
            members[place].signal("KILL");
            members[place] = start(&mut random, place);
            eprintln!("kill {kill} of {} (seed {seed})", kills());
        }
        drop(done);
        let sent = load.join().unwrap();
        world.until_committed(sent);
        for member in members {
            assert_eq!(member.stop().code, Some(0));
        }
        sent
    });
    assert_eq!(world.committed(), sent);
    world.assert_whole();
}

/// Sends readings until the end; gives how many.
fn load(world: &World, end: &mpsc::Receiver<()>) -> i64 {
    let mut sent = 0;
    loop {
        world.send_readings(sent..sent + LOAD);
        sent += LOAD;
        if !matches!(end.recv_timeout(LOAD_EVERY), Err(RecvTimeoutError::Timeout)) {
            return i64::try_from(sent).unwrap();
        }
    }
}
