//! `api` and `export`, killed with -9 at seeded moments and started again.

use std::time::{Duration, Instant};

use crate::world::{Place, World, generated, over_both, shared_data, variable_or};

over_both!(
    killed_at_any_moment_api_loses_and_doubles_nothing,
    killed_at_any_moment_export_loses_and_doubles_nothing
);

const SEED: u64 = 4;

fn kills() -> u32 {
    variable_or("KILLS", "10").parse().unwrap()
}

async fn killed_at_any_moment_api_loses_and_doubles_nothing(place: Place) {
    let undisturbed = World::new(place, generated(1300)).await;
    let whole = timed(&undisturbed, &["api"]).await;
    let expected = undisturbed.rows().await;

    let mut random = fastrand::Rng::with_seed(SEED);
    for kill in 0..kills() {
        let world = World::new(place, generated(1300)).await;
        // The token is refreshed before the series: nobody can keep a token that Strava gave out to
        // a process that was killed before it could read it.
        world
            .run(&["api", "--streams", "athletes", "--dry-run"])
            .await;
        let name = format!("kill-{kill}");
        let arguments = ["api", "--run-id", &name];
        disturb(&world, &arguments, whole, &mut random).await;
        compare(&world, &expected, kill).await;
    }
}

async fn killed_at_any_moment_export_loses_and_doubles_nothing(place: Place) {
    let Some(exports) = shared_data("export") else {
        return;
    };
    let world = World::new(place, generated(20)).await;
    let folder = world.folder.path().join("archive");
    std::fs::create_dir(&folder).unwrap();
    std::fs::copy(
        exports.join("activities-1845x99.csv"),
        folder.join("activities.csv"),
    )
    .unwrap();
    let path = folder.display().to_string();
    let whole = timed(&world, &["export", &path, "--athlete-id", "11"]).await;
    let expected = world.rows().await;

    let mut random = fastrand::Rng::with_seed(SEED);
    for kill in 0..kills() {
        let world = World::new(place, generated(20)).await;
        let name = format!("kill-{kill}");
        let arguments = ["export", &path, "--athlete-id", "11", "--run-id", &name];
        disturb(&world, &arguments, whole, &mut random).await;
        compare(&world, &expected, kill).await;
    }
}

async fn timed(world: &World, arguments: &[&str]) -> Duration {
    let begun = Instant::now();
    let run = world.run(arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
    begun.elapsed()
}

/// Kills up to three runs, each somewhere in its course, then lets one end.
async fn disturb(world: &World, arguments: &[&str], whole: Duration, random: &mut fastrand::Rng) {
    for _ in 0..random.u32(1..=3) {
        let mut child = world.start(arguments);
        tokio::time::sleep(whole.mul_f64(random.f64())).await;
        child.kill().await.unwrap();
    }
    let run = world.run(arguments).await;
    assert_eq!(run.code, Some(0), "{}", run.log);
}

async fn compare(world: &World, expected: &[crate::world::Row], kill: u32) {
    let rows = world.rows().await;
    let found: Vec<_> = rows.iter().map(crate::world::Row::identity).collect();
    let expected: Vec<_> = expected.iter().map(crate::world::Row::identity).collect();
    assert!(
        found == expected,
        "kill {kill}: {} rows, {} expected",
        found.len(),
        expected.len()
    );
}
