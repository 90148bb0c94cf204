//! What cannot be stored is put aside once, with its reason, and its neighbours are stored.

use std::collections::BTreeMap;

use common::weather::{self, Message};
use mongodb::bson::doc;
use rdkafka::{Message as _, message::Headers as _};
use serde_json::{Value, json};

use crate::{
    consumer::{Consumer, run},
    reading::{reading, record},
    world::{SOON, World, eventually},
};

type Record = (Option<Vec<u8>>, Option<Vec<u8>>);

/// A good reading with a change to its JSON.
fn changed(number: u64, change: impl FnOnce(&mut serde_json::Map<String, Value>)) -> Record {
    let (key, value) = record(&reading(number, 0));
    let Value::Object(mut fields) = serde_json::from_slice(&value.unwrap()).unwrap() else {
        unreachable!()
    };
    change(&mut fields);
    (key, Some(Value::Object(fields).to_string().into_bytes()))
}

fn with(number: u64, name: &str, value: Value) -> Record {
    changed(number, |fields| drop(fields.insert(name.to_owned(), value)))
}

/// A reading of its own kind: sometimes a value must be what JSON objects cannot hold.
fn raw(number: u64, edit: impl FnOnce(String) -> String) -> Record {
    let (key, value) = record(&reading(number, 0));
    (
        key,
        Some(edit(String::from_utf8(value.unwrap()).unwrap()).into_bytes()),
    )
}

/// Twenty kinds of poison, and the reason and sink of each.
fn poison() -> Vec<(Record, &'static str, &'static str)> {
    let place = |number: u64| Some(reading(number, 0).location_id.as_bytes().to_vec());
    let decode = [
        ((place(1), Some(b"no json".to_vec())), "not_json"),
        ((place(2), Some(b"[1,2]".to_vec())), "not_json"),
        ((place(3), Some(vec![0xff, 0xfe, 0x00])), "not_json"),
        ((place(4), None), "not_json"),
        ((place(5), Some(Vec::new())), "not_json"),
        (raw(6, |json| json[..json.len() / 2].to_owned()), "not_json"),
        (with(7, "version", json!(2)), "future_version"),
        (
            raw(8, |json| json.replacen('{', "{\"model\":\"x\",", 1)),
            "double_field",
        ),
        (
            changed(9, |fields| drop(fields.remove("slot"))),
            "missing_field",
        ),
        (
            changed(10, |fields| drop(fields.remove("weather_code"))),
            "missing_field",
        ),
        (with(11, "temperature_celsius", json!("warm")), "wrong_type"),
        (with(12, "latitude", Value::Null), "wrong_type"),
        (with(13, "slot", json!("yesterday")), "bad_value"),
        (with(14, "source", json!("almanac")), "bad_value"),
        (
            raw(15, |json| {
                json.replace(
                    "\"temperature_celsius\":15.0",
                    "\"temperature_celsius\":1e999",
                )
            }),
            "bad_value",
        ),
        (with(16, "model", json!("best\0match")), "nul_character"),
        ((None, record(&reading(17, 0)).1), "missing_key"),
        ((place(1), record(&reading(18, 0)).1), "other_key"),
        (
            with(19, "event_id", json!("00000000000000000000000000000000")),
            "foreign_event_id",
        ),
    ];
    let mut poison: Vec<_> = decode
        .into_iter()
        .map(|(record, reason)| (record, reason, "decode"))
        .collect();
    poison.push((
        with(20, "note", json!("x".repeat(17 << 20))),
        "too_large",
        "mongodb",
    ));
    poison.push((with(21, "_id", json!("mine")), "unfit_field", "mongodb"));
    poison.push((with(22, "weather_code", json!(2.5)), "bad_value", "landing"));
    poison
}

fn header<'m>(message: &'m rdkafka::message::OwnedMessage, name: &str) -> Option<&'m str> {
    let headers = message.headers()?;
    let found = headers.iter().find(|header| header.key == name)?;
    std::str::from_utf8(found.value?).ok()
}

#[test]
fn every_kind_of_poison_is_put_aside_once_and_its_neighbours_are_stored() {
    let brokers = crate::world::variable("KAFKA_BOOTSTRAP_SERVERS");
    let world = World::at("poison", 2, &brokers, &[("max.message.bytes", "20000000")]);
    let mut records: Vec<Record> = Vec::new();
    for (index, (record_, ..)) in poison().into_iter().enumerate() {
        records.push(record(&reading(1_000 + index as u64, 0)));
        records.push(record_);
    }
    let count = records.len() as i64;
    world.send(records);
    // A file stays open all the time: of what is put aside only that is committed, when the first one
    // is killed, which lies before the first good record of its partition.
    let options = ["--max-age", "1h", "--max-bytes", "64MiB"];
    let first = Consumer::start(&world, &options);
    let dead = |consumer: &Consumer| consumer.metric("weather_consumer_dead_letters_total");
    let all = poison().len();
    eventually("all of them put aside", SOON, || {
        dead(&first).filter(|dead| *dead >= all as f64)
    });
    first.kill();
    let left = count - world.committed();
    assert!(left >= count - 2);
    let second = Consumer::start(&world, &options);
    let read = |read: &f64| *read >= left as f64;
    eventually("all of it read again", SOON, || {
        second.metric("weather_consumer_records_total").filter(read)
    });
    let ended = second.stop();
    assert_eq!(ended.code, Some(0));
    assert_eq!(world.committed(), count);

    let letters = world.records(&world.dead_letters());
    let source: BTreeMap<(i32, i64), _> = world
        .records(&world.topic)
        .into_iter()
        .map(|record| ((record.partition(), record.offset()), record))
        .collect();
    let mut found: Vec<(String, String)> = Vec::new();
    for letter in &letters {
        let number = |name| header(letter, name).unwrap().parse::<i64>().unwrap();
        let place = (number("source.partition") as i32, number("source.offset"));
        let origin = &source[&place];
        assert_eq!(
            (letter.key(), letter.payload()),
            (origin.key(), origin.payload()),
            "untouched"
        );
        assert_eq!(header(letter, "source.topic"), Some(world.topic.as_str()));
        assert_eq!(
            number("source.timestamp"),
            origin.timestamp().to_millis().unwrap()
        );
        assert!(header(letter, "error.detail").is_some_and(|detail| !detail.is_empty()));
        found.push((
            header(letter, "error.reason").unwrap().to_owned(),
            header(letter, "error.sink").unwrap().to_owned(),
        ));
    }
    let mut expected: Vec<_> = poison()
        .into_iter()
        .map(|(_, reason, sink)| (reason.to_owned(), sink.to_owned()))
        .collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected, "each once, with its reason");

    // One sink's poison is good for the other.
    let landed: Vec<String> = world
        .rows()
        .into_iter()
        .map(|row| row.content.event_id)
        .collect();
    let has = |number: u64| landed.contains(&reading(number, 0).event_id.to_string());
    assert!(has(20) && has(21) && !has(22) && (1_000..1_000 + all as u64).all(has));
    let documents = world.documents();
    let has = |number: u64| documents.contains_key(reading(number, 0).event_id.as_ref());
    assert!(!has(20) && !has(21) && has(22) && (1_000..1_000 + all as u64).all(has));
}

#[test]
fn replay_sends_each_letter_back_once_and_what_fails_again_is_put_aside_anew() {
    let world = World::new("replay", 2);
    // The server refuses what is too warm, until somebody repairs the rule.
    let rule = doc! { "create": "readings", "validator": { "temperature_celsius": { "$lt": 30 } } };
    world.command(rule);
    let numbers = 0..200u64;
    let warm = |number: &u64| number % 40 >= 30;
    world.send_readings(numbers.clone());
    world.send([(Some(b"place-1".to_vec()), Some(b"no json".to_vec()))]);
    let consumer = Consumer::start(&world, &["--sink", "mongodb"]);
    let refused = numbers.clone().filter(warm).count() as u64;
    eventually("the others stored", SOON, || {
        (world.count() == 200 - refused).then_some(())
    });
    let letters = || world.records(&world.dead_letters()).len() as u64;
    eventually("the warm ones put aside", SOON, || {
        (letters() == refused + 1).then_some(())
    });

    world.command(doc! { "collMod": "readings", "validator": {} });
    let replay = |options: &[&str]| {
        let ended = run(
            &world,
            &[&["dead-letters", "replay", "--sink", "mongodb"], options].concat(),
        );
        assert_eq!(ended.code, Some(0), "{:?}", ended.closing);
        ended.closing["replayed"].as_u64().unwrap()
    };
    assert_eq!(replay(&["--reason", "rejected", "--limit", "7"]), 7);
    assert_eq!(replay(&["--reason", "rejected"]), refused - 7);
    assert_eq!(
        replay(&["--reason", "rejected"]),
        0,
        "a second replay does nothing"
    );
    eventually("all stored", SOON, || (world.count() == 200).then_some(()));
    assert_eq!(letters(), refused + 1);

    assert_eq!(replay(&[]), 1, "the one that is no JSON");
    eventually("it is put aside anew", SOON, || {
        (letters() == refused + 2).then_some(())
    });
    consumer.stop();
    let list = run(&world, &["dead-letters", "list", "--sink", "mongodb"]);
    let replayed = list
        .lines
        .iter()
        .filter(|line| line["replayed"] == true)
        .count() as u64;
    assert_eq!(
        (list.lines.len() as u64, replayed),
        (refused + 2, refused + 1)
    );
    assert_eq!(list.closing["letters"], refused + 2);
    let one: &Value = &list.lines[0];
    assert!(
        one["reason"].is_string()
            && one["source"]["offset"].is_number()
            && one.get("value").is_none()
    );
}

#[test]
fn an_unknown_field_and_an_unknown_place_are_stored() {
    let world = World::new("unknown", 1);
    let place = "a-place-that-nobody-configured";
    let slot = reading(0, 0).slot;
    let source = weather::Source::Archive;
    let event_id = weather::event_id(place, slot, 900, source);
    let reading = Message {
        location_id: place.into(),
        source,
        event_id: event_id.into(),
        ..reading(0, 0)
    };
    let (key, value) = record(&reading);
    let value = String::from_utf8(value.unwrap()).unwrap().replacen(
        '{',
        r#"{"uv_index":{"$oid":[1,2.5,null]},"#,
        1,
    );
    world.send([(key, Some(value.into_bytes()))]);
    let consumer = Consumer::start(&world, &[]);
    eventually("the document", SOON, || (world.count() == 1).then_some(()));
    assert_eq!(consumer.stop().closing["stored"]["landing"], 1);
}
