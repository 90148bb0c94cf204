//! What every stage owes, over a directory and over S3: it works, twice is once, bad input is set aside.

use serde_json::json;

use crate::world::{TABLE, World, at, line};

fn rides(range: std::ops::Range<u64>) -> Vec<String> {
    range
        .map(|n| {
            let payload = format!(
                r#"{{"id":{},"name":"Ride {n}","distance":{n}.5,"start_date":"2026-01-01T00:00:{:02}Z","commute":{},"map":{{"id":"a{n}"}},"start_latlng":[{n}.25,-1.5]}}"#,
                16_195_505_756 + n,
                n % 60,
                n % 2 == 0,
            );
            line(n, &at(1), &payload)
        })
        .collect()
}

#[tokio::test]
async fn what_landed_is_in_its_table_in_its_types() {
    for world in World::both("what_landed").await {
        world
            .land("20261101-a", &[rides(0..1_200), rides(1_200..1_500)])
            .await;
        let counts = world.sync().await;
        assert_eq!(
            counts,
            json!({"files": 2, "skipped_files": 0, "rows_read": 1500, "inserted": 1500, "updated": 0, "unchanged": 0,
               "deleted": 0, "rejected": 0, "columns_added": 7, "columns_widened": 0})
        );
        let row = "select row(_stream, _athlete_id, _origin, _deleted, id, name, distance, start_date, commute, map_id, \
               start_latlng, _source_row) from strava.ods_strava__activities where _id = '7'";
        assert_eq!(
            world.value(row).await.unwrap(),
            "(activities,42,api,f,16195505763,\"Ride 7\",7.5,\"2026-01-01 00:00:07+00\",f,a7,\"{7.25,-1.5}\",8)"
        );
        let path = "select original_path from strava_load.columns where column_name = 'map_id'";
        assert_eq!(world.value(path).await.unwrap(), "map.id");
    }
}

#[tokio::test]
async fn loading_twice_writes_nothing() {
    for world in World::both("loading_twice").await {
        world.land("20261101-a", &[rides(0..300)]).await;
        world.sync().await;
        let xmin =
            format!("select string_agg(xmin::text || ctid::text, ',' order by _id) from {TABLE}");
        let before = world.value(&xmin).await;
        let again = world.sync().await;
        assert_eq!(
            (&again["files"], &again["skipped_files"]),
            (&json!(0), &json!(1))
        );
        assert_eq!(world.value(&xmin).await, before);

        // The same content landed anew is another file, and still nothing to write.
        let mut same = rides(0..300);
        same.rotate_left(1);
        world.land("20261102-b", &[same]).await;
        let again = world.sync().await;
        assert_eq!(
            (&again["files"], &again["unchanged"], &again["updated"]),
            (&json!(1), &json!(300), &json!(0))
        );
        assert_eq!(world.value(&xmin).await, before);
    }
}

#[tokio::test]
async fn only_what_differs_is_written() {
    for world in World::both("only_what_differs").await {
        world.land("20261101-a", &[rides(0..300)]).await;
        world.sync().await;
        let mut changed = rides(0..301);
        changed[5] = changed[5].replace("Ride 5", "Renamed");
        changed[5] = line(5, &at(2), r#"{"id":5,"name":"Renamed"}"#);
        world.land("20261102-b", &[changed]).await;
        let counts = world.sync().await;
        assert_eq!(
            (
                &counts["inserted"],
                &counts["updated"],
                &counts["unchanged"]
            ),
            (&json!(1), &json!(1), &json!(299))
        );
        let name = format!("select row(name, distance) from {TABLE} where _id = '5'");
        assert_eq!(world.value(&name).await.unwrap(), "(Renamed,)");
    }
}

#[tokio::test]
async fn bad_lines_are_set_aside_with_their_reason_and_text() {
    for world in World::both("bad_lines").await {
        let mut lines = rides(0..200);
        lines[10] = "{\"stream\":".to_owned();
        lines[20] = "[1,2]".to_owned();
        lines[30] = lines[30].replace("\"id\":\"30\",", "");
        world.land("20261101-a", &[lines]).await;
        let counts = world.sync().await;
        assert_eq!(
            (&counts["inserted"], &counts["rejected"]),
            (&json!(197), &json!(3))
        );
        let rejects = "select string_agg(source_row || ' ' || reason, ', ' order by source_row) from strava_load.rejects";
        assert_eq!(
            world.value(rejects).await.unwrap(),
            "11 malformed, 21 not_object, 31 missing_key"
        );
        let raw = "select raw from strava_load.rejects where source_row = 11";
        assert_eq!(world.value(raw).await.unwrap(), "{\"stream\":");
    }
}

#[tokio::test]
async fn too_many_bad_lines_leave_the_table_untouched() {
    for world in World::both("too_many_bad_lines").await {
        world.land("20261101-a", &[rides(0..10)]).await;
        world.sync().await;
        let before = world.content().await;
        let mut lines = rides(10..60);
        lines.iter_mut().take(11).for_each(|line| line.truncate(20));
        world.land("20261102-b", &[lines]).await;
        let error = world.failed_sync(&world.request()).await;
        assert!(
            error.contains("11 malformed") && error.contains("--max-rejects"),
            "{error}"
        );
        assert_eq!(world.content().await, before);
        assert_eq!(
            world
                .value("select count(*) from strava_load.rejects")
                .await
                .unwrap(),
            "0"
        );
    }
}
