//! A static member that is killed while it gives a partition up, and comes back before its session ends:
//! nobody has that partition, and the group takes all for well.

use std::collections::BTreeSet;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use weather_consumer::orphans::assigned;

use crate::{
    consumer::Consumer,
    proxy::Proxy,
    world::{SOON, World, eventually, variable},
};

const PARTITIONS: i32 = 2;

/// What the broker says of the group.
struct Group {
    settled: bool,
    members: usize,
    unread: BTreeSet<i32>,
}

impl Group {
    fn look(world: &World, asking: &BaseConsumer) -> Option<Self> {
        let groups = asking.fetch_group_list(Some(world.group()), SOON).ok()?;
        let group = groups.groups().first()?;
        let mut unread: BTreeSet<i32> = (0..PARTITIONS).collect();
        for member in group.members() {
            let bytes = member.assignment().unwrap_or_default();
            let assigned = assigned(bytes, &world.topic).unwrap();
            unread.retain(|number| !assigned.contains(number));
        }
        Some(Self {
            settled: group.state() == "Stable",
            members: group.members().len(),
            unread,
        })
    }

    fn is_shared(&self) -> bool {
        self.settled && self.members == 2
    }
}

/// Two static members, both content, and a partition that none of them has. None: the first was too
/// quick to be killed in between.
fn orphaned(world: &World, asking: &BaseConsumer) -> Option<[Consumer; 2]> {
    let options = |name| {
        [
            "--group-instance-id",
            name,
            "--drain-timeout",
            "5s",
            "--max-age",
        ]
    };
    let proxy = Proxy::to(variable("AWS_ENDPOINT_URL").trim_start_matches("http://"));
    let endpoint = format!("http://{}", proxy.address);
    let start = |name, max_age| {
        let options = [&options(name)[..], &[max_age]].concat();
        Consumer::with_environment(world, &options, &[("AWS_ENDPOINT_URL", &endpoint)])
    };
    // What it has in hand cannot be stored: to give a partition up takes a while.
    let first = start("weather-0", "1h");
    eventually("the first reads", SOON, || {
        first
            .metric("weather_consumer_records_total")
            .filter(|read| *read == 100.0)
    });
    proxy.cut();
    let second = start("weather-1", "1s");
    let group = eventually("both are in the group", SOON, || {
        Group::look(world, asking).filter(Group::is_shared)
    });
    first.kill();
    proxy.mend();
    let again = start("weather-0", "1s");
    if group.unread.is_empty() {
        return None;
    }
    eventually("it has its old assignment", SOON, || {
        again
            .metric("weather_consumer_partitions")
            .filter(|count| *count > 0.0)
    });
    let group = Group::look(world, asking)?;
    (group.is_shared() && group.unread.len() == 1).then_some([again, second])
}

#[test]
fn a_partition_that_a_killed_static_member_gave_up_finds_a_reader_by_itself() {
    let attempts = std::iter::repeat_with(|| {
        let world = World::new("orphans", PARTITIONS).in_bucket();
        world.send_readings(0..100);
        let asking = world.member(world.group());
        orphaned(&world, &asking).map(|members| (world, asking, members))
    });
    let (world, asking, members) = attempts.take(5).flatten().next().unwrap();
    world.send_readings(100..300);
    world.until_committed(300);
    let group = Group::look(&world, &asking).unwrap();
    assert!(group.unread.is_empty());
    for member in members {
        assert_eq!(member.stop().code, Some(0));
    }
    world.assert_whole();
}
