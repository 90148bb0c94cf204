//! Files of 1,500 rows with one hazard at row 1,401: no row is lost in silence, no good row suffers.

use crate::world::{World, at, line};
use serde_json::json;

pub(crate) const ROWS: u64 = 1_500;
const HAZARD: u64 = 1_400;

/// One hazard: what the ordinary rows look like, the odd line, and what must come of it.
struct Hazard {
    name: &'static str,
    ordinary: fn(u64) -> String,
    odd: String,
    rejects: &'static str,
    /// A query and its answer.
    check: (&'static str, &'static str),
}

fn payload_hazard(
    name: &'static str,
    ordinary: fn(u64) -> String,
    odd: &str,
    rejects: &'static str,
    check: (&'static str, &'static str),
) -> Hazard {
    Hazard {
        name,
        ordinary,
        odd: line(HAZARD, &at(0), odd),
        rejects,
        check,
    }
}

pub(crate) const TYPE_OF_V: &str = "select format_type(atttypid, -1) from pg_attribute \
                         where attrelid = 'strava.ods_strava__activities'::regclass and attname = 'v'";
const ODD_V: &str = "select v from strava.ods_strava__activities where _id = '1400'";

fn hazards() -> Vec<Hazard> {
    let integer = |n: u64| format!(r#"{{"v":{n}}}"#);
    let boolean = |n: u64| format!(r#"{{"v":{}}}"#, n.is_multiple_of(2));
    let time = |n: u64| format!(r#"{{"v":"2026-11-21T06:00:{:02}Z"}}"#, n % 60);
    let text = |n: u64| format!(r#"{{"v":"name {n}"}}"#);
    let other = |n: u64| format!(r#"{{"w":{n}}}"#);
    let object = |n: u64| format!(r#"{{"v":{{"id":"g{n}"}}}}"#);
    let names = |n: u64| format!(r#"{{"name":"lower {n}"}}"#);
    let empty = |n: u64| {
        format!(
            r#"{{"v":{}}}"#,
            if n.is_multiple_of(2) { "\"\"" } else { "null" }
        )
    };
    let double = |n: u64| format!(r#"{{"v":{n}.5}}"#);
    let doubles = |n: u64| format!(r#"{{"v":[{n}.5,2]}}"#);
    let empties = |_: u64| r#"{"v":[]}"#.to_owned();
    let payload = payload_hazard;
    let long = |end: &str| format!("{}{end}", "k".repeat(70));
    let long_names = format!(r#"{{"{}":1,"{}":2}}"#, long("1"), long("2"));
    let whole = |name, odd: &str, rejects, check| Hazard {
        name,
        ordinary: integer,
        odd: odd.to_owned(),
        rejects,
        check,
    };
    vec![
        payload(
            "integer then fraction",
            integer,
            r#"{"v":12.75}"#,
            "",
            (TYPE_OF_V, "double precision"),
        ),
        payload(
            "integer then text",
            integer,
            r#"{"v":"n/a"}"#,
            "type_conflict",
            (TYPE_OF_V, "bigint"),
        ),
        payload(
            "boolean then text",
            boolean,
            r#"{"v":"maybe"}"#,
            "type_conflict",
            (TYPE_OF_V, "boolean"),
        ),
        payload(
            "time then text",
            time,
            r#"{"v":"yesterday"}"#,
            "type_conflict",
            (TYPE_OF_V, "timestamp with time zone"),
        ),
        payload(
            "time with an offset",
            time,
            r#"{"v":"2026-11-21T06:00:00+08:00"}"#,
            "",
            (ODD_V, "2026-11-20 22:00:00+00"),
        ),
        payload(
            "time with nanoseconds",
            time,
            r#"{"v":"2026-11-21T06:00:00.123456789Z"}"#,
            "type_conflict",
            (TYPE_OF_V, "timestamp with time zone"),
        ),
        payload(
            "leap second",
            time,
            r#"{"v":"2016-12-31T23:59:60Z"}"#,
            "type_conflict",
            (TYPE_OF_V, "timestamp with time zone"),
        ),
        payload(
            "new key late",
            other,
            r#"{"v":"gear"}"#,
            "",
            (ODD_V, "gear"),
        ),
        payload(
            "null only key late",
            other,
            r#"{"v":null}"#,
            "",
            (
                "select count(*) from pg_attribute where attname = 'v' and attrelid = 'strava.ods_strava__activities'::regclass",
                "0",
            ),
        ),
        payload(
            "object then scalar",
            object,
            r#"{"v":"g"}"#,
            "",
            (
                "select row(count(v), count(v_id)) from strava.ods_strava__activities",
                "(1,1499)",
            ),
        ),
        payload(
            "case collision",
            names,
            r#"{"name":"small","Name":"BIG"}"#,
            "",
            (
                "select count(*) from pg_attribute where attname like 'name%' and attrelid = 'strava.ods_strava__activities'::regclass",
                "2",
            ),
        ),
        payload(
            "two long keys",
            other,
            &long_names,
            "",
            (
                "select count(*) from strava_load.columns where column_name like 'kkk%' and length(column_name) = 63",
                "2",
            ),
        ),
        payload(
            "key with symbols",
            other,
            r#"{"avg speed (km/h)":7}"#,
            "",
            (
                "select original_path from strava_load.columns where column_name = 'avg_speed_km_h'",
                "avg speed (km/h)",
            ),
        ),
        payload(
            "empty text and null",
            empty,
            r#"{"v":""}"#,
            "",
            (
                "select row(count(v), count(*) filter (where v = '')) from strava.ods_strava__activities",
                "(750,750)",
            ),
        ),
        payload(
            "U+0000",
            text,
            r#"{"v":"a\u0000b"}"#,
            "nul",
            (TYPE_OF_V, "text"),
        ),
        payload(
            "U+0000 in jsonb",
            |n| format!(r#"{{"v":[{{"a":{n}}}]}}"#),
            r#"{"v":[{"a\u0000":"b"}]}"#,
            "nul",
            (TYPE_OF_V, "jsonb"),
        ),
        payload(
            "half a character",
            text,
            r#"{"v":"\ud800"}"#,
            "surrogate",
            (TYPE_OF_V, "text"),
        ),
        payload(
            "2^53 + 1",
            integer,
            r#"{"v":9007199254740993}"#,
            "",
            (ODD_V, "9007199254740993"),
        ),
        payload(
            "2^64 - 1",
            integer,
            r#"{"v":18446744073709551615}"#,
            "",
            (ODD_V, "18446744073709551615"),
        ),
        payload(
            "2^53 + 1 among fractions",
            double,
            r#"{"v":9007199254740993}"#,
            "",
            (ODD_V, "9007199254740993"),
        ),
        payload(
            "17 digits",
            double,
            r#"{"v":0.30000000000000004}"#,
            "",
            (ODD_V, "0.30000000000000004"),
        ),
        payload(
            "more digits than a double",
            double,
            r#"{"v":0.12345678901234567890}"#,
            "",
            (ODD_V, "0.12345678901234567890"),
        ),
        payload(
            "a number beyond numeric",
            double,
            r#"{"v":1e200000}"#,
            "out_of_range",
            (TYPE_OF_V, "double precision"),
        ),
        payload("leading zeros", text, r#"{"v":"007"}"#, "", (ODD_V, "007")),
        payload(
            "number among texts",
            text,
            r#"{"v":1.50}"#,
            "",
            (ODD_V, "1.50"),
        ),
        payload(
            "array then text",
            doubles,
            r#"{"v":["a"]}"#,
            "",
            (TYPE_OF_V, "jsonb"),
        ),
        payload(
            "empty arrays, then content",
            empties,
            r#"{"v":[1.5,null]}"#,
            "",
            (ODD_V, "{1.5,NULL}"),
        ),
        payload(
            "key twice",
            integer,
            r#"{"v":1,"v":2}"#,
            "duplicate_key",
            (TYPE_OF_V, "bigint"),
        ),
        payload(
            "nested beyond reason",
            integer,
            &format!("{{\"x\":{}1{}}}", "[".repeat(300), "]".repeat(300)),
            "too_deep",
            (TYPE_OF_V, "bigint"),
        ),
        payload(
            "payload is no object",
            integer,
            "[1,2]",
            "",
            (
                "select payload from strava.ods_strava__activities where _id = '1400'",
                "[1, 2]",
            ),
        ),
        payload("empty object", other, r#"{"v":{}}"#, "", (ODD_V, "{}")),
        whole(
            "malformed line",
            "{\"stream\":\"activities\",",
            "malformed",
            (TYPE_OF_V, "bigint"),
        ),
        whole("no object", "[1,2]", "not_object", (TYPE_OF_V, "bigint")),
        whole(
            "another stream",
            &line(HAZARD, &at(0), "{}").replace("activities", "gear"),
            "envelope",
            (TYPE_OF_V, "bigint"),
        ),
        whole(
            "no hash",
            &line(HAZARD, &at(0), "{}").replace("\"hash\"", "\"hush\""),
            "envelope",
            (TYPE_OF_V, "bigint"),
        ),
        whole(
            "no athlete",
            &line(HAZARD, &at(0), "{}").replace("\"42\"", "null"),
            "missing_key",
            (TYPE_OF_V, "bigint"),
        ),
        whole(
            "blank line",
            " ",
            "",
            (
                "select max(_source_row) from strava.ods_strava__activities",
                "1500",
            ),
        ),
        whole(
            "carriage return",
            &format!("{}\r", line(HAZARD, &at(0), r#"{"v":1400}"#)),
            "",
            (ODD_V, "1400"),
        ),
    ]
}

#[tokio::test]
async fn every_hazard_has_its_outcome_and_spares_the_good_rows() {
    let world = World::new("every_hazard").await;
    let mut failures = Vec::new();
    for hazard in hazards() {
        world
            .client
            .batch_execute("drop schema if exists strava cascade")
            .await
            .unwrap();
        let mut lines: Vec<String> = (0..ROWS)
            .map(|n| line(n, &at(0), &(hazard.ordinary)(n)))
            .collect();
        lines[HAZARD as usize].clone_from(&hazard.odd);
        let run = hazard.name.replace(' ', "-");
        let manifest = world.land(&format!("20261101-{run}"), &[lines]).await;
        let counts = world.sync().await;
        let reasons = "select coalesce(string_agg(reason, ','), '') from strava_load.rejects";
        let reasons = world.value(reasons).await.unwrap();
        let good = ROWS - u64::from(hazard.odd.trim().is_empty() || !hazard.rejects.is_empty());
        let found = world.value(hazard.check.0).await;
        if (reasons.as_str(), found.as_deref(), &counts["inserted"])
            != (hazard.rejects, Some(hazard.check.1), &json!(good))
        {
            failures.push(format!(
                "{}: rejects {reasons:?}, {found:?}, {counts}",
                hazard.name
            ));
        }
        // The same again changes nothing.
        let before = world.content().await;
        let again = world.sync().await;
        if again["files"] != 0 || world.content().await != before {
            failures.push(format!(
                "{}: the second load was not without effect",
                hazard.name
            ));
        }
        world.storage.delete(&manifest.key()).await.unwrap();
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
