//! Recorded activities: every number comes back out of Postgres as the decimal that was written.

use std::collections::BTreeMap;

use common::{
    landing::{Envelope, Manifest, Origin, PartWriter, Stream},
    storage::Storage,
};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::world::{TABLE, World, recorded};

async fn land_recorded(storage: &Storage, activities: &str) -> u64 {
    let run_id = "20261124T000000Z-recorded".parse().unwrap();
    let now = "2026-11-24T00:00:00Z".parse::<Timestamp>().unwrap();
    let mut manifest = Manifest::new(Stream::Activities, Origin::Api, "26462176", &run_id, now);
    let lines: Vec<&str> = activities.lines().collect();
    for lines in lines.chunks(400) {
        let mut part = PartWriter::new(Stream::Activities, "26462176", &run_id).unwrap();
        for line in lines {
            let payload: &RawValue = serde_json::from_str(line).unwrap();
            let id = numbers(line)["id"].clone();
            let envelope = Envelope::new(
                Stream::Activities,
                &id,
                "26462176",
                now,
                Origin::Api,
                payload,
            );
            part.push(&envelope).unwrap();
        }
        let part = part.finish().unwrap();
        storage
            .put_if_absent(&part.part.key, part.body)
            .await
            .unwrap();
        manifest.counts.rows += part.part.rows;
        manifest.parts.push(part.part);
    }
    manifest.put(storage).await.unwrap().counts.rows
}

/// The text of every number in a JSON object, by its path.
fn numbers(json: &str) -> BTreeMap<String, String> {
    fn walk(path: &str, raw: &RawValue, found: &mut BTreeMap<String, String>) {
        let text = raw.get();
        if let Ok(object) = serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            let join = |key: &String| {
                if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                }
            };
            object
                .iter()
                .for_each(|(key, value)| walk(&join(key), value, found));
        } else if let Ok(array) = serde_json::from_str::<Vec<&RawValue>>(text) {
            array
                .iter()
                .enumerate()
                .for_each(|(n, value)| walk(&format!("{path}[{}]", n + 1), value, found));
        } else if text.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            found.insert(path.to_owned(), text.to_owned());
        }
    }
    let mut found = BTreeMap::new();
    walk("", serde_json::from_str(json).unwrap(), &mut found);
    found
}

/// A decimal without the zeros that do not count.
fn decimal(text: &str) -> String {
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    assert_eq!(
        exponent, "0",
        "the recorded numbers have no exponent: {text}"
    );
    match mantissa.split_once('.') {
        Some((whole, fraction)) => format!("{whole}.{}", fraction.trim_end_matches('0'))
            .trim_end_matches('.')
            .to_owned(),
        None => mantissa.to_owned(),
    }
}

async fn every_number_comes_back(world: &World) {
    let Some(path) = recorded("strava/api/activities.ndjson") else {
        return;
    };
    let activities = std::fs::read_to_string(path).unwrap();
    assert_eq!(land_recorded(&world.storage, &activities).await, 1_132);
    let counts = world.sync().await;
    assert_eq!(
        (&counts["inserted"], &counts["rejected"]),
        (&1_132.into(), &0.into())
    );

    let columns = "select column_name, original_path, data_type from strava_load.columns order by column_name";
    let mut selected = Vec::new();
    for row in world.client.query(columns, &[]).await.unwrap() {
        let (name, path, kind): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        match kind.strip_suffix("[]") {
            Some(_) => selected.extend(
                (1..=2).map(|n| (format!("{path}[{n}]"), format!("\"{name}\"[{n}]::text"))),
            ),
            None => selected.push((path, format!("\"{name}\"::text"))),
        }
    }
    let list = selected
        .iter()
        .map(|(_, sql)| sql.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    let rows = world
        .client
        .query(&format!("select _id, {list} from {TABLE}"), &[])
        .await
        .unwrap();
    let stored: BTreeMap<String, BTreeMap<&str, Option<String>>> = rows
        .iter()
        .map(|row| {
            let values = selected
                .iter()
                .enumerate()
                .map(|(n, (path, _))| (path.as_str(), row.get(n + 1)));
            (row.get(0), values.collect())
        })
        .collect();
    let mut compared = 0;
    for line in activities.lines() {
        let numbers = numbers(line);
        let row = &stored[&numbers["id"]];
        for (path, text) in numbers {
            let found = row[path.as_str()].as_deref().map(decimal);
            assert_eq!(found, Some(decimal(&text)), "{path}");
            compared += 1;
        }
    }
    eprintln!("compared {compared} numbers of 1,132 activities");
    assert!(compared > 30_000, "{compared}");
}

#[tokio::test]
async fn every_recorded_number_comes_back_over_a_directory() {
    every_number_comes_back(&World::new("recorded_directory").await).await;
}

#[tokio::test]
async fn every_recorded_number_comes_back_over_s3() {
    every_number_comes_back(&World::on_s3("recorded_s3").await).await;
}
