use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const READING: &str = r#"{"version":1,"event_id":"EVENT","location_id":"berlin","latitude":52.520,"longitude":13.419998,"elevation_metres":38.0,"slot":"2026-10-03T12:30:00Z","slot_seconds":900,"source":"forecast","model":"best_match","fetched_at":"2026-10-03T12:30:04.120Z","temperature_celsius":17.70,"relative_humidity_percent":66,"dew_point_celsius":11.3,"apparent_temperature_celsius":17.6,"precipitation_millimetres":0.0,"weather_code":2,"cloud_cover_percent":73,"wind_speed_metres_per_second":1.0,"wind_direction_degrees":259,"wind_gusts_metres_per_second":null}"#;

fn reading() -> String {
    let slot = "2026-10-03T12:30:00Z".parse().unwrap();
    READING.replace("EVENT", &event_id("berlin", slot, 900, Source::Forecast))
}

fn changed(change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> String {
    let Value::Object(mut fields) = serde_json::from_str(&reading()).unwrap() else {
        unreachable!("the reading is an object")
    };
    change(&mut fields);
    Value::Object(fields).to_string()
}

fn refused(json: &str) -> Reason {
    decode(Some(b"berlin"), Some(json.as_bytes()))
        .unwrap_err()
        .reason
}

#[test]
fn a_message_survives_reading_and_writing_byte_for_byte() {
    let json = reading();
    let message = decode(Some(b"berlin"), Some(json.as_bytes())).unwrap();
    assert_eq!(String::from_utf8(message.encode()).unwrap(), json);
    assert_eq!(message.values[0].as_ref().unwrap().as_str(), "17.70");
    assert_eq!(message.values[9], None);
}

#[test]
fn the_event_id_is_the_documented_hash() {
    // printf 'berlin|2026-10-03T12:30:00Z|900|forecast' | sha256sum | cut -c1-32
    let slot = "2026-10-03T12:30:00Z".parse().unwrap();
    assert_eq!(
        event_id("berlin", slot, 900, Source::Forecast),
        "22c02df32b383712d753a714885d65d5"
    );
}

#[test]
fn the_content_hash_leaves_out_when_it_was_fetched_and_nothing_else() {
    let json = reading();
    let later = json.replace("12:30:04.120Z", "12:45:09.001Z");
    let warmer = json.replace("17.70", "17.71");
    let hash = |json: &str| {
        decode(Some(b"berlin"), Some(json.as_bytes()))
            .unwrap()
            .content_hash()
    };
    assert_eq!(hash(&json), hash(&later));
    assert_ne!(hash(&json), hash(&warmer));
}

#[test]
fn an_unknown_field_is_kept() {
    let json = reading().replace(r#""version":1"#, r#""version":1,"uv_index":{"max":2.750}"#);
    let message = decode(Some(b"berlin"), Some(json.as_bytes())).unwrap();
    assert_eq!(message.extra.0[0].0, "uv_index");
    assert_eq!(message.extra.0[0].1.get(), r#"{"max":2.750}"#);
}

#[test]
fn a_time_with_another_offset_is_the_same_instant_and_the_same_event() {
    let json = reading().replace("2026-10-03T12:30:00Z", "2026-10-03T14:30:00+02:00");
    assert!(decode(Some(b"berlin"), Some(json.as_bytes())).is_ok());
}

#[test]
fn every_defect_has_its_word() {
    use Reason::*;
    let cases: [(Reason, String); 24] = [
        (NotJson, String::new()),
        (NotJson, "weather".to_owned()),
        (NotJson, "[1,2]".to_owned()),
        (NotJson, "null".to_owned()),
        (NotJson, reading()[..200].to_owned()),
        (NotJson, reading() + "x"),
        (
            FutureVersion,
            changed(|fields| {
                fields.insert("version".into(), json!(2));
            }),
        ),
        (
            FutureVersion,
            r#"{"version":7,"all":"different"}"#.to_owned(),
        ),
        (
            BadValue,
            changed(|fields| {
                fields.insert("version".into(), json!(0));
            }),
        ),
        (
            WrongType,
            changed(|fields| {
                fields.insert("version".into(), json!("1"));
            }),
        ),
        (MissingField, "{}".to_owned()),
        (
            MissingField,
            changed(|fields| {
                fields.remove("model");
            }),
        ),
        (
            MissingField,
            changed(|fields| {
                fields.remove("weather_code");
            }),
        ),
        (
            DoubleField,
            reading().replace(r#""version":1"#, r#""version":1,"model":"x""#),
        ),
        (
            DoubleField,
            reading().replace(r#""version":1"#, r#""version":1,"a":1,"b":2,"a":1"#),
        ),
        (
            WrongType,
            changed(|fields| {
                fields.insert("temperature_celsius".into(), json!("17.7"));
            }),
        ),
        (
            WrongType,
            changed(|fields| {
                fields.insert("latitude".into(), Value::Null);
            }),
        ),
        (
            WrongType,
            changed(|fields| {
                fields.insert("model".into(), json!(5));
            }),
        ),
        (BadValue, reading().replace("17.70", "1e999")),
        (
            BadValue,
            changed(|fields| {
                fields.insert("slot".into(), json!("yesterday"));
            }),
        ),
        (
            BadValue,
            changed(|fields| {
                fields.insert("source".into(), json!("guess"));
            }),
        ),
        (
            BadValue,
            changed(|fields| {
                fields.insert("slot_seconds".into(), json!(60));
            }),
        ),
        (
            NulCharacter,
            reading().replace("best_match", r"best\u0000match"),
        ),
        (
            ForeignEventId,
            changed(|fields| {
                fields.insert("slot".into(), json!("2026-10-03T12:45:00Z"));
            }),
        ),
    ];
    for (reason, json) in cases {
        assert_eq!(refused(&json), reason, "{json}");
    }
    let json = reading();
    let value = Some(json.as_bytes());
    assert_eq!(decode(None, value).unwrap_err().reason, MissingKey);
    assert_eq!(decode(Some(b"paris"), value).unwrap_err().reason, OtherKey);
    assert_eq!(decode(Some(b"berlin"), None).unwrap_err().reason, NotJson);
    assert_eq!(
        decode(Some(b"berlin"), Some(b"\xff{}")).unwrap_err().reason,
        NotJson
    );
}

#[test]
fn what_is_no_object_is_told_without_what_it_is() {
    for json in [r#""52.52,13.41""#, "52.52", r#"{"latitude":52.52,"#] {
        let defect = decode(Some(b"berlin"), Some(json.as_bytes())).unwrap_err();
        assert_eq!(defect.reason, Reason::NotJson);
        assert!(!defect.detail.contains("52"), "{}", defect.detail);
    }
}

#[test]
fn a_backslash_before_u0000_is_text() {
    let json = reading().replace("best_match", r"best\\u0000match");
    assert!(decode(Some(b"berlin"), Some(json.as_bytes())).is_ok());
}

#[test]
fn reasons_and_sources_are_read_as_they_are_written() {
    for reason in Reason::ALL {
        assert_eq!(reason.as_str().parse(), Ok(*reason));
    }
    for source in Source::ALL {
        assert_eq!(source.as_str().parse(), Ok(source));
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_message_or_a_defect(key: Vec<u8>, value: Vec<u8>) {
        drop(decode(Some(&key), Some(&value)));
    }

    #[test]
    fn a_decimal_is_what_json_calls_a_number(text in "-?[0-9]{0,3}\\.?[0-9]{0,3}([eE][+-]?[0-9]{0,2})?|inf|NaN|\\+1") {
        let is_number = serde_json::from_str::<serde_json::Number>(&text).is_ok();
        prop_assert_eq!(Decimal::parse(text.as_str()).is_some(), is_number, "{}", text);
    }

    #[test]
    fn a_damaged_message_never_passes_for_another(at in 0..600_usize, byte: u8) {
        let json = reading();
        let mut bytes = json.clone().into_bytes();
        let at = at % bytes.len();
        bytes[at] = byte;
        if let Ok(message) = decode(Some(b"berlin"), Some(&bytes)) {
            let whole = decode(Some(b"berlin"), Some(json.as_bytes())).unwrap();
            prop_assert_eq!(message.event_id, whole.event_id);
        }
    }
}
