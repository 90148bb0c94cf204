//! The feed without a database: whatever the bytes are, each line is a row or a reject.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use proptest::prelude::*;
use strava_load::{
    columns::{Change, Columns, FIXED},
    feed::{Beginning, Feed},
    handover::{Fed, Fetched, Step, Tolerance},
    rejects::OnTypeConflict,
};
use tokio::sync::mpsc;

/// What came out: rows as their numbers of columns, and how many rejects.
#[derive(Debug, Default)]
struct Out {
    rows: Vec<usize>,
    rejects: usize,
    columns: usize,
}

/// Feeds one part and reads the stream of tuples again, as PostgreSQL would.
fn feed(body: &[u8]) -> (Out, Fed) {
    let (to_feed, parts) = mpsc::channel(1);
    let (to_copy, mut steps) = mpsc::channel(1);
    let beginning = Beginning {
        stream: "activities",
        columns: Columns::new(),
        pins: Default::default(),
        tolerance: Tolerance {
            limit: u64::MAX,
            on_type_conflict: OnTypeConflict::Reject,
        },
        tombstones_expected: true,
        loaded_at: 0,
    };
    let feed = Feed::new(beginning, to_copy);
    let feeding = std::thread::spawn(move || feed.run(parts));
    let body = Bytes::copy_from_slice(body);
    to_feed
        .blocking_send(Fetched {
            load_id: 1,
            again: false,
            key: "part".to_owned(),
            body,
        })
        .unwrap();
    drop(to_feed);
    let mut out = Out {
        columns: FIXED.len(),
        ..Out::default()
    };
    while let Some(step) = steps.blocking_recv() {
        match step {
            Step::Alter(changes) => {
                out.columns += changes
                    .iter()
                    .filter(|change| matches!(change, Change::Add { .. }))
                    .count();
            }
            Step::Rows { bytes, rows } => {
                let before = out.rows.len();
                tuples(&bytes, &mut out);
                assert_eq!((out.rows.len() - before) as u64, rows);
            }
            Step::Reject(rejects) => out.rejects += rejects.len(),
        }
    }
    (out, feeding.join().unwrap().unwrap())
}

fn tuples(mut bytes: &[u8], out: &mut Out) {
    while !bytes.is_empty() {
        let columns = i16::from_be_bytes([bytes[0], bytes[1]]) as usize;
        assert_eq!(
            columns, out.columns,
            "a row has the columns of the table at its time"
        );
        bytes = &bytes[2..];
        for _ in 0..columns {
            let length = i32::from_be_bytes(bytes[..4].try_into().unwrap());
            bytes = &bytes[4 + length.max(0) as usize..];
        }
        out.rows.push(columns);
    }
}

fn line(payload: &str) -> String {
    format!(
        r#"{{"stream":"activities","id":"1","athlete_id":"2","fetched_at":"2026-11-24T00:00:00Z","origin":"api","hash":"aa","version_hash":"aa","deleted":false,"payload":{payload}}}"#
    )
}

/// JSON of any shape, as its text.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        any::<bool>().prop_map(|value| value.to_string()),
        any::<i64>().prop_map(|value| value.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |n| n.is_finite())
            .prop_map(|value| format!("{value:e}")),
        "\\PC{0,8}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"2026-11-24T00:00:00Z\"".to_owned()),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5)
                .prop_map(|all| format!("[{}]", all.join(","))),
            proptest::collection::vec(("[a-cA]{1,2}", inner), 0..5).prop_map(|all| {
                let members: Vec<String> = all
                    .iter()
                    .map(|(key, value)| format!("\"{key}\":{value}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_of_any_json_is_a_row_or_a_reject(payloads in proptest::collection::vec(json(), 1..30)) {
        let lines: Vec<String> = payloads.iter().map(|payload| line(payload)).collect();
        let (out, fed) = feed(lines.join("\n").as_bytes());
        prop_assert_eq!(out.rows.len() + out.rejects, lines.len());
        prop_assert_eq!(fed.columns.len() + FIXED.len(), out.columns);
    }

    #[test]
    fn broken_bytes_are_rejects_and_never_a_panic(
        payloads in proptest::collection::vec(json(), 1..10),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let mut bytes = payloads.iter().map(|payload| line(payload)).collect::<Vec<_>>().join("\n").into_bytes();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
        let lines = lines.count();
        // Bytes that happen to be the mark of a packed file are no text.
        prop_assume!(!bytes.starts_with(&[0x28, 0xb5]) && !bytes.starts_with(&[0x1f, 0x8b]));
        let (out, _) = feed(&bytes);
        prop_assert_eq!(out.rows.len() + out.rejects, lines);
    }
}
