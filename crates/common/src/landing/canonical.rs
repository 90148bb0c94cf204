//! Canonical JSON and the hashes over it, on the text itself, so that every digit counts.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::sha256_hex;

/// What changes without the athlete's doing, and so leaves the version of an object alone.
const COUNTERS: [&str; 8] = [
    "achievement_count",
    "athlete_count",
    "comment_count",
    "has_kudoed",
    "kudos_count",
    "photo_count",
    "pr_count",
    "total_photo_count",
];

/// Nesting from which on text is kept as written: foreign input must not choose the stack's depth.
const MAX_DEPTH: usize = 128;

/// The canonical form: no white space, object keys sorted by code point, strings escaped as little
/// as JSON allows, numbers as written.
///
/// Of a key that comes twice the last value stays. A string that is no Unicode text (`"\ud800"`) is
/// kept as written, and so is an object with such a key.
pub fn canonical(payload: &RawValue) -> String {
    let mut text = String::with_capacity(payload.get().len());
    write(payload, &[], 0, &mut text);
    text
}

/// The first 32 hex digits of SHA-256 over the canonical form.
pub fn hash(payload: &RawValue) -> String {
    short_hash(&canonical(payload))
}

/// Like [`hash`], without the counters (kudos, comments, photos, achievements, athletes, PRs,
/// `has_kudoed`) of the outermost object.
pub fn version_hash(payload: &RawValue) -> String {
    let mut text = String::with_capacity(payload.get().len());
    write(payload, &COUNTERS, 0, &mut text);
    short_hash(&text)
}

fn short_hash(canonical: &str) -> String {
    let mut hash = sha256_hex(canonical.as_bytes());
    hash.truncate(32);
    hash
}

fn write(value: &RawValue, left_out: &[&str], depth: usize, out: &mut String) {
    let text = value.get();
    match text.as_bytes().first() {
        _ if depth > MAX_DEPTH => out.push_str(text),
        Some(b'{') => match serde_json::from_str::<BTreeMap<String, &RawValue>>(text) {
            Ok(members) => write_object(&members, left_out, depth, out),
            Err(_) => out.push_str(text),
        },
        // Any JSON text is a list of raw values where it begins with a bracket.
        Some(b'[') => write_array(
            &serde_json::from_str::<Vec<&RawValue>>(text).unwrap_or_default(),
            depth,
            out,
        ),
        Some(b'"') => write_string(text, out),
        _ => out.push_str(text),
    }
}

fn write_object(
    members: &BTreeMap<String, &RawValue>,
    left_out: &[&str],
    depth: usize,
    out: &mut String,
) {
    out.push('{');
    let kept = members
        .iter()
        .filter(|(key, _)| !left_out.contains(&key.as_str()));
    for (position, (key, value)) in kept.enumerate() {
        if position > 0 {
            out.push(',');
        }
        out.push_str(&escaped(key));
        out.push(':');
        write(value, &[], depth + 1, out);
    }
    out.push('}');
}

fn write_array(items: &[&RawValue], depth: usize, out: &mut String) {
    out.push('[');
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push(',');
        }
        write(item, &[], depth + 1, out);
    }
    out.push(']');
}

fn write_string(token: &str, out: &mut String) {
    // Without a backslash it is as short as it can be already.
    if !token.contains('\\') {
        return out.push_str(token);
    }
    match serde_json::from_str::<String>(token) {
        Ok(string) => out.push_str(&escaped(&string)),
        Err(_) => out.push_str(token),
    }
}

fn escaped(string: &str) -> String {
    serde_json::to_string(string).expect("every string has a JSON form")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    #[test]
    fn only_the_form_is_changed_and_never_a_digit() {
        for (text, expected) in [
            (
                r#" { "b" : 1.50 , "a" : [ 1e2 , -0.0, 9007199254740993 ] } "#,
                r#"{"a":[1e2,-0.0,9007199254740993],"b":1.50}"#,
            ),
            (r#""\u00e9\/\u0041\u001f\n""#, "\"é/A\\u001f\\n\""),
            (
                r#"{"\u0062":1,"é":2,"z":3,"😀":4,"":5}"#,
                r#"{"":5,"b":1,"z":3,"é":2,"😀":4}"#,
            ),
            (r#"{"a":"\ud800 \u0041"}"#, r#"{"a":"\ud800 \u0041"}"#),
            (r#"{"b":1,"b":2}"#, r#"{"b":2}"#),
            ("[ ]", "[]"),
            ("null", "null"),
        ] {
            assert_eq!(canonical(&raw(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_payload_nested_without_end_does_not_overflow_the_stack() {
        let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(canonical(&raw(&deep)).len(), deep.len());
    }

    #[test]
    fn counters_change_the_hash_and_not_the_version() {
        let few = raw(
            r#"{"id":1,"kudos_count":0,"comment_count":0,"photo_count":0,"total_photo_count":0,
            "achievement_count":0,"athlete_count":1,"pr_count":0,"has_kudoed":false}"#,
        );
        let many = raw(
            r#"{"id":1,"kudos_count":9,"comment_count":9,"photo_count":9,"total_photo_count":9,
            "achievement_count":9,"athlete_count":9,"pr_count":9,"has_kudoed":true}"#,
        );
        assert_ne!(hash(&few), hash(&many));
        assert_eq!(version_hash(&few), version_hash(&many));
        assert_eq!(version_hash(&few), hash(&raw(r#"{"id":1}"#)));
        assert_ne!(
            version_hash(&raw(r#"{"a":{"kudos_count":1}}"#)),
            version_hash(&raw(r#"{"a":{"kudos_count":2}}"#))
        );
        assert_eq!(hash(&raw("null")), "74234e98afe7498fb5daf1f36ac2d78a");
    }

    /// Any JSON value, as text with white space and escapes that no serialiser would write.
    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<i32>().prop_map(|quarters| Value::from(f64::from(quarters) / 4.0)),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..8)
                    .prop_map(|map| Value::from(map.into_iter().collect::<Map<_, _>>())),
            ]
        })
    }

    fn untidy(value: &Value, seed: u64) -> String {
        let mut random = fastrand::Rng::with_seed(seed);
        write_untidy(value, &mut random)
    }

    fn write_untidy(value: &Value, random: &mut fastrand::Rng) -> String {
        let space = ["", " ", "\n", "\t\r\n "][random.usize(..4)];
        match value {
            Value::String(string) => {
                let units = string
                    .encode_utf16()
                    .map(|unit| format!("\\u{unit:04X}"))
                    .collect::<String>();
                if random.bool() {
                    format!("\"{units}\"")
                } else {
                    value.to_string()
                }
            }
            Value::Array(items) => {
                let items: Vec<_> = items
                    .iter()
                    .map(|item| write_untidy(item, random))
                    .collect();
                format!("[{space}{}{space}]", items.join(&format!("{space},")))
            }
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                random.shuffle(&mut members);
                let members: Vec<_> = members
                    .into_iter()
                    .map(|(key, value)| {
                        let key = write_untidy(&json!(key), random);
                        format!("{key}{space}:{space}{}", write_untidy(value, random))
                    })
                    .collect();
                format!("{{{space}{}{space}}}", members.join(&format!(",{space}")))
            }
            scalar => scalar.to_string(),
        }
    }

    proptest! {
        #[test]
        fn order_white_space_and_escapes_do_not_matter(value in json_value(), seed in any::<u64>()) {
            let tidy = canonical(&raw(&value.to_string()));
            prop_assert_eq!(&canonical(&raw(&untidy(&value, seed))), &tidy);
            prop_assert_eq!(serde_json::from_str::<Value>(&tidy).unwrap(), value);
        }

        #[test]
        fn canonicalising_twice_is_canonicalising_once(value in json_value(), seed in any::<u64>()) {
            let once = canonical(&raw(&untidy(&value, seed)));
            prop_assert_eq!(canonical(&raw(&once)), once);
        }

        #[test]
        fn numbers_stay_as_written(number in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?") {
            prop_assert_eq!(canonical(&raw(&format!("[ {number} ]"))), format!("[{number}]"));
        }
    }
}
