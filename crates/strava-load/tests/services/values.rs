//! Any JSON value in, the same value out.

use proptest::{prelude::*, test_runner::TestRunner};

use crate::world::{TABLE, World, at, line};

/// Numbers of every size and form that JSON allows and numeric holds.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|n| n.to_string()),
        any::<f64>()
            .prop_filter("JSON has no others", |n| n.is_finite())
            .prop_map(|n| format!("{n:e}")),
        any::<f32>()
            .prop_filter("JSON has no others", |n| n.is_finite())
            .prop_map(|n| format!("{n}")),
        "-?(0|[1-9][0-9]{0,40})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,40}",
        "[\\u{1}-\\u{10ffff}]{0,10}",
        "(2026-1[0-2]-[0-3][0-9](T[0-2][0-9]:00:00(Z|\\+01:00))?|[0-9]{1,4})"
    ]
}

fn compared(sql_type: &str, value: &str) -> String {
    format!("({}::{sql_type})", literal(value))
}

fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[test]
fn any_numbers_and_texts_come_back_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let world = runtime.block_on(World::new("any_values"));
    let rows = proptest::collection::vec(
        (
            number(),
            number(),
            text(),
            proptest::collection::vec(number(), 0..4),
        ),
        1..40,
    );
    let mut runner = TestRunner::new(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let outcome = runner.run(&rows, |rows| {
        runtime.block_on(async {
            world
                .client
                .batch_execute("drop schema if exists strava cascade")
                .await
                .unwrap();
            let lines: Vec<String> = rows
                .iter()
                .enumerate()
                .map(|(n, (a, b, text, list))| {
                    let text = serde_json::to_string(text).unwrap();
                    // The second number is a fraction in every other row only, so that columns widen.
                    let b = if n % 2 == 0 {
                        format!("{n}")
                    } else {
                        b.clone()
                    };
                    line(
                        n as u64,
                        &at(1),
                        &format!(r#"{{"a":{a},"b":{b},"t":{text},"l":[{}]}}"#, list.join(",")),
                    )
                })
                .collect();
            let manifest = world.land("20261101-any", &[lines]).await;
            let counts = world.sync().await;
            assert_eq!(counts["rejected"], 0, "{counts}");
            for (n, (a, b, text, list)) in rows.iter().enumerate() {
                let same = |column: &str, value: &str| {
                    format!("{column}::text::numeric = {}", compared("numeric", value))
                };
                let list_sql: Vec<String> = list
                    .iter()
                    .map(|value| compared("numeric", value))
                    .collect();
                let l = match world
                    .value("select data_type from strava_load.columns where column_name = 'l'")
                    .await
                    .as_deref()
                {
                    Some("jsonb") => format!("l = '[{}]'::jsonb", list.join(",")),
                    _ => format!(
                        "l::text[]::numeric[] = array[{}]::numeric[]",
                        list_sql.join(",")
                    ),
                };
                let b = if n % 2 == 0 {
                    format!("{n}")
                } else {
                    b.clone()
                };
                let t = match world
                    .value("select data_type from strava_load.columns where column_name = 't'")
                    .await
                    .as_deref()
                {
                    Some("text") => format!("t = {}", literal(text)),
                    Some(other) => format!("t = {}", compared(other, text)),
                    None => panic!("no column for the texts"),
                };
                let sql = format!(
                    "select {} and {} and {t} and {l} from {TABLE} where _id = '{n}'",
                    same("a", a),
                    same("b", &b)
                );
                assert_eq!(world.value(&sql).await.as_deref(), Some("true"), "{sql}");
            }
            world.storage.delete(&manifest.key()).await.unwrap();
        });
        Ok(())
    });
    outcome.unwrap();
}
