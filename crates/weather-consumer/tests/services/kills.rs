//! Killed with -9 under load, over and over, while others rebalance: nothing lost or doubled.

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

/// The victims are static members: the group takes them back at once. A dead member of another kind
/// would hold up every rebalance until its session ends, and nobody would have anything in hand.
fn victim(world: &World, place: usize) -> Consumer {
    let name = ["weather-0", "weather-1"][place];
    Consumer::start(
        world,
        &[&["--group-instance-id", name], &FILES[..]].concat(),
    )
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
        let load = scope.spawn(|| load(&world, end));
        let mut members = [victim(&world, 0), victim(&world, 1)];
        let mut guest = None;
        for kill in 1..=kills() {
            let place = random.usize(..2);
            if random.u8(..4) > 0 {
                eventually("the next victim reads", SOON, || {
                    members[place]
                        .metric("weather_consumer_records_total")
                        .filter(|read| *read > 0.0)
                });
            }
            // With something in hand, or still on its way into the group.
            std::thread::sleep(Duration::from_millis(random.u64(0..1_000)));
            members[place].signal("KILL");
            members[place] = victim(&world, place);
            eprintln!("kill {kill} of {} (seed {seed})", kills());
            // Partitions move to a third member and back.
            if kill % 3 == 0 {
                guest = match guest.take().map(Consumer::stop) {
                    None => Some(Consumer::start(&world, &FILES)),
                    Some(left) => {
                        assert_eq!(left.code, Some(0));
                        None
                    }
                };
            }
        }
        drop(done);
        let sent = load.join().unwrap();
        world.until_committed(sent);
        for member in members.into_iter().chain(guest) {
            assert_eq!(member.stop().code, Some(0));
        }
        sent
    });
    assert_eq!(world.committed(), sent);
    world.assert_whole();
}

/// Sends readings until the end; gives how many.
fn load(world: &World, end: mpsc::Receiver<()>) -> i64 {
    let mut sent = 0;
    loop {
        world.send_readings(sent..sent + LOAD);
        sent += LOAD;
        if !matches!(end.recv_timeout(LOAD_EVERY), Err(RecvTimeoutError::Timeout)) {
            return i64::try_from(sent).unwrap();
        }
    }
}
