//! `api` and `export`, killed with -9 at seeded moments and started again.

use std::time::{Duration, Instant};

use crate::world::{Place, Row, World, generated, over_both, shared_data, variable_or};

over_both!(
    killed_at_any_moment_api_loses_and_doubles_nothing,
    killed_at_any_moment_export_loses_and_doubles_nothing,
);

const SEED: u64 = 4;

/// Picks the moments. How long a run takes is learned on the way, as this machine is shared with
/// all the other tests: a run that had ended before its kill was no kill.
struct Killer {
    random: fastrand::Rng,
    whole: Duration,
    wanted: u32,
    hits: u32,
    misses: u32,
}

impl Killer {
    async fn new(world: &World, arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let run = world.run(arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
        let wanted = variable_or("KILLS", "10").parse().unwrap();
        let random = fastrand::Rng::with_seed(SEED);
        Self {
            random,
            whole: begun.elapsed(),
            wanted,
            hits: 0,
            misses: 0,
        }
    }

    fn is_done(&self) -> bool {
        assert!(
            self.misses <= 50 + 4 * self.wanted,
            "only {} of {} hit",
            self.hits,
            self.wanted
        );
        self.hits >= self.wanted
    }

    /// Kills one to three runs, each somewhere in its course, then lets one end.
    async fn disturb(&mut self, world: &World, arguments: &[&str]) {
        for _ in 0..self.random.u32(1..=3) {
            let mut child = world.start(arguments);
            tokio::time::sleep(self.whole.mul_f64(self.random.f64())).await;
            if child.try_wait().unwrap().is_some() {
                self.misses += 1;
                self.whole = self.whole.mul_f64(0.8);
                break;
            }
            child.kill().await.unwrap();
            self.hits += 1;
            self.whole = self.whole.mul_f64(1.05);
        }
        let run = world.run(arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
    }

    async fn compare(&self, world: &World, expected: &[Row]) {
        let rows = world.rows().await;
        let found: Vec<_> = rows.iter().map(Row::identity).collect();
        let expected: Vec<_> = expected.iter().map(Row::identity).collect();
        let (hits, there, wanted) = (self.hits, found.len(), expected.len());
        assert!(
            found == expected,
            "after {hits} kills: {there} rows, {wanted} expected"
        );
    }
}

async fn killed_at_any_moment_api_loses_and_doubles_nothing(place: Place) {
    let undisturbed = World::new(place, generated(1300)).await;
    let mut killer = Killer::new(&undisturbed, &["api"]).await;
    let expected = undisturbed.rows().await;
    while !killer.is_done() {
        let world = World::new(place, generated(1300)).await;
        // The token is refreshed before: nobody can keep a token that Strava gave to a process
        // which was killed before it could read it.
        world
            .run(&["api", "--streams", "athletes", "--dry-run"])
            .await;
        killer.disturb(&world, &["api", "--run-id", "killed"]).await;
        killer.compare(&world, &expected).await;
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
    let arguments = ["export", &path, "--athlete-id", "11", "--run-id", "killed"];
    let mut killer = Killer::new(&world, &arguments).await;
    let expected = world.rows().await;
    while !killer.is_done() {
        let world = World::new(place, generated(20)).await;
        killer.disturb(&world, &arguments).await;
        killer.compare(&world, &expected).await;
    }
}
