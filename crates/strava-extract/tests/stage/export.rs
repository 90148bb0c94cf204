//! The archive: every form that it comes in, twice, and with records that cannot be read.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};
use strava_extract::activities_csv::ActivitiesCsv;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::world::{Place, World, generated, over_both, shared_data};

over_both!(
    every_record_of_the_real_archives_is_landed_and_a_second_import_lands_nothing,
    a_directory_and_a_zip_flat_or_nested_are_the_same_archive,
    a_later_archive_lands_what_differs_and_an_older_one_nothing,
    records_that_cannot_be_read_are_set_aside_and_the_rest_is_landed,
    the_api_and_the_export_stand_side_by_side,
    an_archive_that_is_none_is_exit_2_with_what_to_do,
);

const HEADER: &str = "Activity ID,Activity Date,Activity Name,Activity Type,Activity Description,Elapsed Time,Distance,\
                      Max Heart Rate,Relative Effort,Commute,Activity Private Note,Activity Gear,Filename,Elapsed Time,\
                      Moving Time,Distance,Max Speed,Average Speed,Elevation Gain,Bike,Gear,Commute";
/// A swim whose distance is in metres with a comma, a ride by hand, a run with a line break.
const RECORDS: [&str; 3] = [
    r#"101,"May 2, 2022, 8:54:21 AM",Morning Swim,Swim,,1800,"1,250",,,false,,,activities/1.fit.gz,,1790.0,,,0.7,,,,"#,
    r#"102,"May 3, 2022, 6:00:00 PM",Typed in,Virtual Ride,,3600,20.50,140.0,,true,,Blue,,3600.0,3500.0,20500.5,11.0,5.8,123.4,555.0,,1.0"#,
    "103,\"May 4, 2022, 12:00:00 PM\",Run,Run,\"two\nlines, and \"\"quotes\"\"\",600,2.00,,,false,,,activities/3.gpx,600.0,590.0,2000.0,4.1,3.3,#error#,,777.0,0.0",
];
const PROFILE: &str = "Athlete ID,Email Address\n4242,\n";

fn csv(records: &[&str]) -> String {
    format!("{HEADER}\n{}\n", records.join("\n"))
}

fn directory(world: &World, name: &str, activities: &str) -> PathBuf {
    let folder = world.folder.path().join(name);
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("activities.csv"), activities).unwrap();
    fs::write(folder.join("profile.csv"), PROFILE).unwrap();
    folder
}

fn zipped(world: &World, name: &str, below: &str, folder: &Path) -> PathBuf {
    let path = world.folder.path().join(name);
    let mut zip = ZipWriter::new(fs::File::create(&path).unwrap());
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap().display().to_string();
        zip.start_file(format!("{below}{name}"), SimpleFileOptions::default())
            .unwrap();
        zip.write_all(&fs::read(file).unwrap()).unwrap();
    }
    zip.finish().unwrap();
    path
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

async fn every_record_of_the_real_archives_is_landed_and_a_second_import_lands_nothing(
    place: Place,
) {
    let Some(exports) = shared_data("export") else {
        return;
    };
    let world = World::new(place, generated(20)).await;
    let csv_alone = |name: &str, file: &str| {
        let folder = world.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        fs::copy(exports.join(file), folder.join("activities.csv")).unwrap();
        text(&folder)
    };
    let plain = csv_alone("plain", "activities-1845x99.csv");
    let html = csv_alone("html", "activities-112x87-html-headers.csv");
    let whole = text(&exports.join("full-archive"));
    let imports: [(&[&str], u64); 3] = [
        (&["export", &plain, "--athlete-id", "11"], 1845),
        (&["export", &html, "--athlete-id", "12"], 112),
        (&["export", &whole], 1),
    ];
    for (arguments, records) in imports {
        let run = world.run(arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.log);
        assert_eq!(
            (
                run.count("listed"),
                run.count("written"),
                run.count("quarantined")
            ),
            (records, records, 0)
        );
    }
    let before = world.objects().await;
    for (arguments, records) in imports {
        let run = world.run(arguments).await;
        assert_eq!(
            (run.count("unchanged"), run.count("written")),
            (records, 0),
            "{}",
            run.log
        );
    }
    assert_eq!(world.objects().await, before);
    let rows = world.activities().await;
    assert_eq!(rows.len(), 1845 + 112 + 1);
    for row in rows {
        assert_eq!(row.origin, "export");
        let payload: Value = serde_json::from_str(&row.payload).unwrap();
        assert_eq!(payload["id"].to_string(), row.id);
        assert!(payload["start_date"].as_str().unwrap().ends_with('Z'));
    }
}

async fn a_directory_and_a_zip_flat_or_nested_are_the_same_archive(place: Place) {
    let world = World::new(place, generated(20)).await;
    let folder = directory(&world, "unpacked", &csv(&RECORDS));
    let run = world.run(&["export", &text(&folder)]).await;
    assert_eq!(
        (run.code, run.count("written")),
        (Some(0), 3),
        "{}",
        run.log
    );
    for (name, below) in [("flat.zip", ""), ("nested.zip", "export_4242/")] {
        let zip = zipped(&world, name, below, &folder);
        let run = world.run(&["export", &text(&zip)]).await;
        assert_eq!(
            (run.code, run.count("unchanged"), run.count("written")),
            (Some(0), 3, 0),
            "{}",
            run.log
        );
        let run = world
            .run(&[
                "export",
                &text(&zip),
                "--athlete-id",
                &(name.len() * 100).to_string(),
            ])
            .await;
        assert_eq!(
            (run.code, run.count("written")),
            (Some(0), 3),
            "{}",
            run.log
        );
    }
    let outer = world.folder.path().join("outer");
    fs::create_dir(&outer).unwrap();
    fs::rename(folder, outer.join("export_4242")).unwrap();
    let run = world.run(&["export", &text(&outer)]).await;
    assert_eq!(
        (run.code, run.count("unchanged")),
        (Some(0), 3),
        "{}",
        run.log
    );
}

async fn a_later_archive_lands_what_differs_and_an_older_one_nothing(place: Place) {
    let world = World::new(place, generated(20)).await;
    let older = directory(&world, "older", &csv(&RECORDS[..2]));
    let renamed = RECORDS[0].replace("Morning Swim", "Lake");
    let later = directory(&world, "later", &csv(&[&renamed, RECORDS[1], RECORDS[2]]));
    world.run(&["export", &text(&older)]).await;
    let run = world.run(&["export", &text(&later)]).await;
    assert_eq!(
        (
            run.count("new"),
            run.count("changed"),
            run.count("unchanged")
        ),
        (1, 1, 1),
        "{}",
        run.log
    );
    let run = world.run(&["export", &text(&older)]).await;
    assert_eq!(
        (run.code, run.count("unchanged"), run.count("written")),
        (Some(0), 2, 0),
        "{}",
        run.log
    );
}

async fn records_that_cannot_be_read_are_set_aside_and_the_rest_is_landed(place: Place) {
    let mut world = World::new(place, generated(20)).await;
    world.variables.remove("STRAVA_ATHLETE_ID");
    let mut bytes = csv(&[
        RECORDS[0],
        &RECORDS[1].replace("102,", "#error#,"),
        &RECORDS[1]
            .replace("102,", "104,")
            .replace("May 3, 2022, 6:00:00 PM", "03.05.2022, 18:00:00"),
        "105,too short",
        &RECORDS[1]
            .replace("102,", "106,")
            .replace("20500.5", "\"20500,5\""),
        RECORDS[0],
        RECORDS[2],
    ])
    .replace('\n', "\r\n")
    .into_bytes();
    bytes.extend_from_slice(b"107,\xff\r\n");
    let folder = directory(&world, "mixed", "");
    fs::write(folder.join("activities.csv"), bytes).unwrap();
    let run = world.run(&["export", &text(&folder)]).await;
    assert_eq!(
        (run.code, run.line["complete"].clone()),
        (Some(0), json!(true)),
        "{}",
        run.log
    );
    assert_eq!(
        (
            run.count("listed"),
            run.count("written"),
            run.count("quarantined")
        ),
        (8, 2, 6)
    );

    let status = world.run(&["status", "--json"]).await;
    for reason in [
        "record 2",
        "no readable Activity ID",
        "no readable Activity Date",
        "2 fields",
        "no readable distance",
        "earlier record",
    ] {
        assert!(
            status.log.contains(reason),
            "no {reason:?} in: {}",
            status.log
        );
    }
    // Set aside is not forgotten, and not counted twice.
    let run = world.run(&["export", &text(&folder)]).await;
    assert_eq!(
        (
            run.count("unchanged"),
            run.count("quarantined"),
            run.count("written")
        ),
        (2, 6, 0)
    );

    let bad = directory(&world, "bad", &csv(&["105,too short"]));
    let run = world.run(&["export", &text(&bad)]).await;
    run.failed_with(1, &["none of the 1 records"]);
}

async fn the_api_and_the_export_stand_side_by_side(place: Place) {
    let world = World::new(place, generated(20)).await;
    let folder = directory(&world, "own", &csv(&RECORDS));
    let athlete = world.athlete_id();
    let run = world
        .run(&["export", &text(&folder), "--athlete-id", &athlete])
        .await;
    assert_eq!(run.count("written"), 3, "{}", run.log);
    // What only the export has did not vanish from the API's list: it never was there.
    let run = world.api().await;
    assert_eq!((run.count("written"), run.count("deleted")), (20, 0));
    let run = world
        .run(&["export", &text(&folder), "--athlete-id", &athlete])
        .await;
    assert_eq!(run.count("unchanged"), 3);
    let origins: Vec<_> = world
        .activities()
        .await
        .iter()
        .map(|row| row.origin.clone())
        .collect();
    assert_eq!(
        origins.iter().filter(|origin| *origin == "export").count(),
        3
    );
}

async fn an_archive_that_is_none_is_exit_2_with_what_to_do(place: Place) {
    let world = World::new(place, generated(20)).await;
    world
        .run(&["export", "/no/such/archive.zip"])
        .await
        .failed_with(2, &["/no/such/archive.zip"]);
    let no_zip = world.folder.path().join("note.zip");
    fs::write(&no_zip, "this is no zip").unwrap();
    world
        .run(&["export", &text(&no_zip)])
        .await
        .failed_with(2, &["neither a directory nor a zip"]);
    let empty = world.folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    world
        .run(&["export", &text(&empty)])
        .await
        .failed_with(2, &["no activities.csv"]);

    let german = directory(
        &world,
        "german",
        "Aktivitäts-ID,Aktivitätsdatum,Aktivitätsart\n1,x,y\n",
    );
    world
        .run(&["export", &text(&german)])
        .await
        .failed_with(2, &["Aktivitäts-ID", "English"]);
    let nobody = directory(&world, "nobody", &csv(&RECORDS));
    fs::remove_file(nobody.join("profile.csv")).unwrap();
    world
        .run(&["export", &text(&nobody)])
        .await
        .failed_with(2, &["--athlete-id"]);
    assert!(world.objects().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_mapped_to_the_names_that_the_api_has() {
    let world = World::new(Place::Directory, generated(20)).await;
    let folder = directory(&world, "mapped", &csv(&RECORDS));
    world.run(&["export", &text(&folder)]).await;
    let rows = world.activities().await;
    let payloads: Vec<&str> = rows.iter().map(|row| row.payload.as_str()).collect();
    insta::assert_snapshot!(payloads.join("\n"));
}

#[test]
fn every_english_layout_is_understood_and_every_other_one_is_named() {
    let Some(path) = shared_data("export/activities_csv_header_variants.json") else {
        return;
    };
    let text = fs::read_to_string(path).unwrap();
    let layouts: std::collections::BTreeMap<String, Vec<String>> =
        serde_json::from_str(&text).unwrap();
    assert_eq!(layouts.len(), 14);
    for (name, columns) in layouts {
        let mut header = csv::Writer::from_writer(Vec::new());
        header.write_record(&columns).unwrap();
        let opened = ActivitiesCsv::open(header.into_inner().unwrap().as_slice()).err();
        let is_foreign = columns[0] != "Activity ID";
        match opened {
            None => assert!(!is_foreign, "{name} was taken for English"),
            Some(error) => assert!(
                is_foreign && error.to_string().contains(&format!("{:?}", columns[0])),
                "{name}: {error}"
            ),
        }
    }
}
