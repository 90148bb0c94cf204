//! Killed with -9 under load, over and over, while another member rebalances: nothing lost or doubled.

use std::time::Duration;

use crate::{
    consumer::Consumer,
    world::{World, number},
};

/// How often; `make test-kills` asks for more.
fn kills() -> u64 {
    number("KILLS", 5)
}

#[test]
fn killed_at_any_moment_nothing_is_lost_and_nothing_doubled() {
    let seed = number("SEED", 7);
    let mut random = fastrand::Rng::with_seed(seed);
    let world = World::new("kills", 6);
    let options = ["--max-age", "1s", "--max-rows", "97"];
    let per_kill = 250;
    let mut sent = 0;
    let mut members = [
        Consumer::start(&world, &options),
        Consumer::start(&world, &options),
    ]
    .map(Some);
    for kill in 0..kills() {
        world.send_readings(sent..sent + per_kill);
        sent += per_kill;
        // Anywhere between joining the group and being idle.
        std::thread::sleep(Duration::from_millis(random.u64(0..2_500)));
        let victim = random.usize(..2);
        members[victim].take().unwrap().kill();
        eprintln!("kill {} of {} (seed {seed})", kill + 1, kills());
        members[victim] = Some(Consumer::start(&world, &options));
    }
    world.until_committed(sent as i64);
    for member in members.into_iter().flatten() {
        assert_eq!(member.stop().code, Some(0));
    }
    world.assert_whole();
}
