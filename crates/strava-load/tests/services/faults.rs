//! Damage in the landing place, a database that goes away, two loaders at once, signals, wrong settings.

use std::process::{Command, Output, Stdio};

use bytes::Bytes;
use common::storage::Storage;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::world::{TABLE, World, at, connect, line};

pub(crate) fn rows(range: std::ops::Range<u64>, hour: u64) -> Vec<String> {
    range
        .map(|n| {
            line(
                n,
                &at(hour),
                &format!(
                    r#"{{"v":{n},"name":"row {n}","long":"{}"}}"#,
                    "x".repeat(2_000)
                ),
            )
        })
        .collect()
}

/// The program itself, with the settings of a world.
pub(crate) fn program(world: &World) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strava-load"));
    command
        .env("DATABASE_URL", &world.database_url)
        .env("LANDING_URL", world.landing_url.to_string())
        .env("LOG_FORMAT", "json")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// The last line on stdout.
fn closing(output: &Output) -> Value {
    let stdout = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(stdout.lines().last().expect("a closing line")).unwrap()
}

#[tokio::test]
async fn a_damaged_manifest_is_left_out_and_named_until_it_is_whole() {
    for damage in ["missing", "short", "altered", "newer", "torn"] {
        for world in World::both(&format!("damaged_{damage}")).await {
            left_out_until_whole(&world, damage).await;
        }
    }
}

async fn left_out_until_whole(world: &World, damage: &str) {
    world.land("20261101-good", &[rows(0..50, 1)]).await;
    let manifest = world
        .land("20261102-bad", &[rows(50..80, 2), rows(80..120, 2)])
        .await;
    world.land("20261103-good", &[rows(120..150, 3)]).await;
    let part = &manifest.parts[1].key;
    let (whole, _) = world.storage.get(part).await.unwrap().unwrap();
    let mut key = part.clone();
    let mut original = whole.clone();
    let mut bytes = whole.to_vec();
    match damage {
        "missing" => world.storage.delete(part).await.unwrap(),
        "short" => bytes.truncate(bytes.len() - 1),
        "altered" => *bytes.last_mut().unwrap() ^= 1,
        _ => {
            key = manifest.key();
            (original, _) = world.storage.get(&key).await.unwrap().unwrap();
            let text = String::from_utf8(original.to_vec()).unwrap();
            bytes = match damage {
                "newer" => text.replacen("\"version\":1", "\"version\":2", 1),
                _ => text[..text.len() / 2].to_owned(),
            }
            .into_bytes();
        }
    }
    if damage != "missing" {
        overwrite(&world.storage, &key, Bytes::from(bytes)).await;
    }
    let error = world.failed_sync(&world.request()).await;
    assert!(error.contains(&manifest.key()), "{damage}: {error}");
    assert!(
        key == manifest.key() || error.contains(part),
        "{damage}: {error}"
    );
    assert_eq!(world.rows().await, 80, "{damage}");

    let output = program(world).arg("sync").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{damage}");
    assert_eq!(closing(&output)["status"], "partial", "{damage}");

    overwrite(&world.storage, &key, original).await;
    let counts = world.sync().await;
    assert_eq!(
        (&counts["files"], world.rows().await),
        (&json!(2), 150),
        "{damage}"
    );
}

async fn overwrite(storage: &Storage, key: &str, body: Bytes) {
    storage.delete(key).await.ok();
    storage.put_if_absent(key, body).await.unwrap();
}

#[tokio::test]
async fn two_loaders_of_one_table_queue_and_load_once() {
    let world = World::new("two_loaders").await;
    world
        .land("20261101-a", &[rows(0..1_000, 1), rows(1_000..1_500, 1)])
        .await;
    let (one, other) = (
        connect(&world.database_url).await,
        connect(&world.database_url).await,
    );
    let (request, stop) = (world.request(), CancellationToken::new());
    let (first, second) = tokio::join!(
        strava_load::load::run(&one, &world.storage, &request, &stop),
        strava_load::load::run(&other, &world.storage, &request, &stop),
    );
    let files = [first, second].map(|closing| {
        closing.unwrap().counts["tables"][TABLE]["files"]
            .as_u64()
            .unwrap()
    });
    assert_eq!((files.iter().sum::<u64>(), world.rows().await), (2, 1_500));
}

#[tokio::test]
async fn a_connection_that_is_cut_midway_leaves_the_table_as_it_was() {
    let world = World::new("connection_cut").await;
    world.land("20261101-a", &[rows(0..20, 1)]).await;
    world.sync().await;
    let before = world.content().await;
    let more: Vec<_> = (0..20)
        .map(|n| rows(n * 1_000..(n + 1) * 1_000, 2))
        .collect();
    world.land("20261102-b", &more).await;
    let loader = connect(&world.database_url).await;
    let (request, stop) = (world.request(), CancellationToken::new());
    let load = strava_load::load::run(&loader, &world.storage, &request, &stop);
    let cut = async {
        let sql = "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() \
                   and pid <> pg_backend_pid() and query like 'copy %'";
        while world.client.query(sql, &[]).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let (loaded, ()) = tokio::join!(load, cut);
    let error = format!("{:#}", loaded.expect_err("the connection was cut"));
    assert!(
        error.contains("load strava.ods_strava__activities"),
        "{error}"
    );
    assert_eq!(world.content().await, before);
    world.sync().await;
    assert_eq!(world.rows().await, 20_000);
    let left = "select count(*) from pg_class where relname like 'staging%'";
    assert_eq!(world.value(left).await.unwrap(), "0");
}

#[tokio::test]
async fn sigterm_ends_a_load_with_143_and_nothing_written() {
    let world = World::new("sigterm").await;
    let parts: Vec<_> = (0..20)
        .map(|n| rows(n * 1_000..(n + 1) * 1_000, 2))
        .collect();
    world.land("20261101-a", &parts).await;
    let child = program(&world).arg("sync").spawn().unwrap();
    let copying = "select count(*) from pg_stat_activity where datname = current_database() and query like 'copy %' \
                   and pid <> pg_backend_pid()";
    while world.value(copying).await.unwrap() == "0" {
        tokio::task::yield_now().await;
    }
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(143), "{}", closing(&output));
    let there = "select to_regclass('strava.ods_strava__activities') is not null";
    assert_eq!(world.value(there).await.unwrap(), "false");
}

#[tokio::test]
async fn wrong_settings_end_with_2_and_an_unreachable_database_with_1() {
    let world = World::new("wrong_settings").await;
    let mut elsewhere = url::Url::parse(&world.database_url).unwrap();
    elsewhere.set_path("nowhere");
    let no_server = "postgresql://loader@127.0.0.1:1/x";
    let pooler = "postgresql://loader.abc:secret@aws-0-eu-west-1.pooler.supabase.com:6543/postgres";
    for (database, code, says) in [
        (elsewhere.as_str(), 2, "no such database"),
        ("mysql://x", 2, "postgresql://"),
        (pooler, 2, "session pooler"),
        (no_server, 1, "127.0.0.1:1"),
    ] {
        let output = program(&world)
            .env("DATABASE_URL", database)
            .arg("sync")
            .output()
            .unwrap();
        let closing = closing(&output);
        assert_eq!(output.status.code(), Some(code), "{closing}");
        assert!(
            closing["error"].as_str().unwrap().contains(says),
            "{closing}"
        );
        assert!(!closing.to_string().contains("secret"), "{closing}");
    }
    let output = program(&world)
        .env_remove("LANDING_URL")
        .arg("sync")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = program(&world)
        .env("LANDING_URL", "file:///nowhere/at/all")
        .env("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/nowhere")
        .arg("check")
        .output()
        .unwrap();
    let line = closing(&output);
    assert_eq!(output.status.code(), Some(2), "{line}");
    for part in ["landing: ", "/nowhere/at/all", "; database: "] {
        assert!(line["error"].as_str().unwrap().contains(part), "{line}");
    }
}

#[tokio::test]
async fn the_commands_that_show_say_what_is_there() {
    let world = World::new("commands_that_show").await;
    let output = program(&world).args(["status", "--json"]).output().unwrap();
    assert_eq!(
        (output.status.code(), closing(&output)["tables"].clone()),
        (Some(0), json!(0))
    );
    let mut lines = rows(0..20, 1);
    lines[4] = "{".to_owned();
    world.land("20261101-a", &[lines]).await;
    let output = program(&world)
        .args(["sync", "--streams", "activities,gear"])
        .output()
        .unwrap();
    let line = closing(&output);
    assert_eq!(
        (output.status.code(), &line["status"], &line["complete"]),
        (Some(0), &json!("succeeded"), &json!(true))
    );
    assert_eq!(line["tables"][TABLE]["rejected"], 1);

    let first = |output: &Output| -> Value {
        serde_json::from_str(
            String::from_utf8_lossy(&output.stdout)
                .lines()
                .next()
                .unwrap(),
        )
        .unwrap()
    };
    let status = first(&program(&world).args(["status", "--json"]).output().unwrap());
    assert_eq!(
        (&status[TABLE]["rows"], &status[TABLE]["loads"]),
        (&json!(19), &json!(1))
    );
    assert!(status[TABLE]["table_bytes"].as_u64().unwrap() > 8_192);
    let rejects = first(
        &program(&world)
            .args(["rejects", "list", "--json"])
            .output()
            .unwrap(),
    );
    assert_eq!(
        (
            &rejects[0]["source_row"],
            &rejects[0]["reason"],
            &rejects[0]["raw"]
        ),
        (&json!(5), &json!("malformed"), &json!("{"))
    );
    let output = program(&world).arg("check").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", closing(&output));
}
