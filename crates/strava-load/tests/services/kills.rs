//! Killed with -9 at any moment and started again: the same tables as an undisturbed load.

use std::time::{Duration, Instant};

use crate::{
    faults::{program, rows},
    world::{World, at, setting_or, tombstone},
};

/// Two runs, so that a kill also meets a merge, a widening and a deletion.
async fn land(world: &World) {
    world
        .land("20261101-a", &[rows(0..1_000, 1), rows(1_000..1_600, 1)])
        .await;
}

async fn land_more(world: &World) {
    let changed = (500..900)
        .map(|n| crate::world::line(n, &at(2), &format!(r#"{{"v":{n}.5,"new":true}}"#)))
        .collect();
    world
        .land(
            "20261102-b",
            &[changed, vec![tombstone(3, &at(2))], rows(1_600..2_000, 2)],
        )
        .await;
}

#[tokio::test]
async fn killed_at_any_moment_it_ends_as_if_undisturbed() {
    let undisturbed = World::new("undisturbed").await;
    land(&undisturbed).await;
    let started = Instant::now();
    assert!(
        program(&undisturbed)
            .arg("sync")
            .output()
            .unwrap()
            .status
            .success()
    );
    land_more(&undisturbed).await;
    assert!(
        program(&undisturbed)
            .arg("sync")
            .output()
            .unwrap()
            .status
            .success()
    );
    let (expected, whole) = (undisturbed.content().await, started.elapsed());

    let kills = setting_or("KILLS", 10);
    let mut random = fastrand::Rng::with_seed(setting_or("KILL_SEED", 1));
    for n in 0..kills {
        let world = World::new("killed").await;
        land(&world).await;
        if n % 2 == 1 {
            assert!(
                program(&world)
                    .arg("sync")
                    .output()
                    .unwrap()
                    .status
                    .success()
            );
            land_more(&world).await;
        }
        let mut child = program(&world).arg("sync").spawn().unwrap();
        let moment = Duration::from_secs_f64(random.f64() * whole.as_secs_f64() / 2.0);
        tokio::time::sleep(moment).await;
        child.kill().unwrap();
        child.wait().unwrap();
        if n % 2 == 0 {
            land_more(&world).await;
        }
        let output = program(&world).arg("sync").output().unwrap();
        assert!(output.status.success(), "after a kill at {moment:?}");
        assert_eq!(
            world.content().await,
            expected,
            "after a kill at {moment:?}"
        );
        let left = world
            .value("select count(*) from pg_class where relname like 'staging%'")
            .await;
        assert_eq!(left.as_deref(), Some("0"));
    }
    eprintln!("killed {kills} times");
}
