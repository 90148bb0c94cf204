//! The JSON of an answer: one element for each place asked for, numbers with the digits they came in.

use std::collections::HashMap;

use common::weather::{Decimal, VALUES};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Error, VARIABLES};

/// What each variable must come in; `undefined` where the model lacks it.
const UNITS: [&str; VARIABLES.len()] = [
    "°C", "%", "°C", "°C", "mm", "wmo code", "%", "m/s", "°", "m/s",
];

/// How the service ends a 200 that it could not finish.
const STREAMING_ERROR: &str = "Unexpected error while streaming data";

/// What the service has for one place.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    pub elevation: Option<Decimal<'static>>,
    pub model: &'static str,
    pub fetched_at: Timestamp,
    pub slot_seconds: u32,
    /// In the order of time.
    pub readings: Vec<Reading>,
}

/// The values of one slot.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub slot: Timestamp,
    pub values: [Option<Decimal<'static>>; VALUES.len()],
}

impl Reading {
    /// Beyond a model's grid or its time every value is null, and that is no error of the service's.
    pub fn is_empty(&self) -> bool {
        self.values.iter().all(Option::is_none)
    }
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow)]
    elevation: Option<&'a RawValue>,
    location_id: Option<usize>,
    #[serde(borrow)]
    current_units: Option<HashMap<&'a str, &'a str>>,
    #[serde(borrow)]
    current: Option<HashMap<&'a str, &'a RawValue>>,
    #[serde(borrow)]
    hourly_units: Option<HashMap<&'a str, &'a str>>,
    #[serde(borrow)]
    hourly: Option<HashMap<&'a str, &'a RawValue>>,
}

/// Reads `count` elements: an object for one, an array for more.
pub(super) fn read(
    body: &[u8],
    count: usize,
    model: &'static str,
    fetched_at: Timestamp,
) -> Result<Vec<Element>, Error> {
    let parsed = match body.first() {
        Some(b'[') => serde_json::from_slice(body),
        _ => serde_json::from_slice(body).map(|one: Raw<'_>| vec![one]),
    };
    let raw: Vec<Raw<'_>> = parsed.map_err(|error| Error::Broken(reason(body, &error)))?;
    if raw.len() != count {
        return Err(Error::Broken(format!(
            "{} elements instead of {count}",
            raw.len()
        )));
    }
    let elements = raw.into_iter().enumerate().map(|(index, raw)| {
        // Our ids begin with 1, and 0 would not be printed.
        if raw.location_id.is_some_and(|id| id != index + 1) {
            return Err("the elements are out of order".to_owned());
        }
        element(&raw, model, fetched_at)
    });
    elements.collect::<Result<_, _>>().map_err(Error::Broken)
}

/// What the service said at the end of its answer, else what JSON says.
fn reason(body: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(body);
    match text.rfind(STREAMING_ERROR) {
        Some(at) => text[at..].chars().take(200).collect(),
        None => error.to_string(),
    }
}

fn element(raw: &Raw<'_>, model: &'static str, fetched_at: Timestamp) -> Result<Element, String> {
    let elevation = raw
        .elevation
        .map(RawValue::get)
        .filter(|json| *json != "null");
    let elevation = elevation
        .map(|json| decimal(json).ok_or("elevation is no number"))
        .transpose()?;
    let (slot_seconds, readings) = if let Some(current) = &raw.current {
        check_units(raw.current_units.as_ref())?;
        let seconds = current
            .get("interval")
            .and_then(|raw| raw.get().parse().ok());
        let seconds = seconds
            .filter(|seconds| [900, 3_600].contains(seconds))
            .ok_or("an interval of its own")?;
        (seconds, vec![current_reading(current)?])
    } else if let Some(hourly) = &raw.hourly {
        check_units(raw.hourly_units.as_ref())?;
        (3_600, hourly_readings(hourly)?)
    } else {
        (3_600, Vec::new())
    };
    Ok(Element {
        elevation,
        model,
        fetched_at,
        slot_seconds,
        readings,
    })
}

/// A parameter that the service does not know is ignored without a word: metres per second could be kilometres.
fn check_units(units: Option<&HashMap<&str, &str>>) -> Result<(), String> {
    let units = units.ok_or("no units")?;
    for (name, expected) in VARIABLES.iter().zip(UNITS) {
        match units.get(name) {
            Some(unit) if *unit == expected || *unit == "undefined" => {}
            Some(unit) => return Err(format!("{name} in {unit} instead of {expected}")),
            None => return Err(format!("no unit of {name}")),
        }
    }
    let time = units.get("time").copied();
    if time != Some("unixtime") {
        return Err(format!("time as {}", time.unwrap_or("nothing")));
    }
    Ok(())
}

fn current_reading(current: &HashMap<&str, &RawValue>) -> Result<Reading, String> {
    let slot = current.get("time").and_then(|raw| raw.get().parse().ok());
    let slot = slot
        .and_then(|second| Timestamp::from_second(second).ok())
        .ok_or("no time")?;
    let mut values = [const { None }; VALUES.len()];
    for (name, value) in VARIABLES.iter().zip(&mut values) {
        let json = current.get(name).ok_or_else(|| format!("no {name}"))?.get();
        if json != "null" {
            *value = Some(decimal(json).ok_or_else(|| format!("{name} is no number"))?);
        }
    }
    Ok(Reading { slot, values })
}

fn hourly_readings(hourly: &HashMap<&str, &RawValue>) -> Result<Vec<Reading>, String> {
    let column = |name: &str| {
        hourly
            .get(name)
            .map(|raw| raw.get())
            .ok_or_else(|| format!("no {name}"))
    };
    let times: Vec<i64> =
        serde_json::from_str(column("time")?).map_err(|_| "times that are none")?;
    let slot = |second: i64| {
        Timestamp::from_second(second).map_err(|_| "a time beyond all calendars".to_owned())
    };
    let empty = |slot| Reading {
        slot,
        values: [const { None }; VALUES.len()],
    };
    let mut readings = times
        .into_iter()
        .map(|second| slot(second).map(empty))
        .collect::<Result<Vec<_>, _>>()?;
    for (index, name) in VARIABLES.iter().enumerate() {
        let cells: Vec<Option<&RawValue>> =
            serde_json::from_str(column(name)?).map_err(|_| format!("{name} is no list"))?;
        if cells.len() != readings.len() {
            return Err(format!(
                "{} values of {name} for {} hours",
                cells.len(),
                readings.len()
            ));
        }
        for (cell, reading) in cells.into_iter().zip(&mut readings) {
            let value =
                cell.map(|raw| decimal(raw.get()).ok_or_else(|| format!("{name} is no number")));
            reading.values[index] = value.transpose()?;
        }
    }
    Ok(readings)
}

fn decimal(json: &str) -> Option<Decimal<'static>> {
    Decimal::parse(json.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &[u8], count: usize) -> Result<Vec<Element>, Error> {
        super::read(body, count, "best_match", Timestamp::UNIX_EPOCH)
    }

    fn units() -> String {
        let pairs = VARIABLES
            .iter()
            .zip(UNITS)
            .map(|(name, unit)| format!(r#""{name}":"{unit}""#));
        pairs.collect::<Vec<_>>().join(",")
    }

    fn current(values: &str) -> String {
        format!(
            r#"{{"latitude":52.52,"longitude":13.419998,"elevation":38.0,"current_units":{{"time":"unixtime","interval":"seconds",{}}},"current":{{"time":1705112100,"interval":900,{values}}}}}"#,
            units()
        )
    }

    fn values(value: &str) -> String {
        VARIABLES
            .map(|name| format!(r#""{name}":{value}"#))
            .join(",")
    }

    #[test]
    fn digits_stay_as_they_came() {
        let elements = read(current(&values("-14.40")).as_bytes(), 1).unwrap();
        let reading = &elements[0].readings[0];
        assert_eq!(reading.slot.to_string(), "2024-01-13T02:15:00Z");
        assert_eq!(reading.values[0].as_ref().unwrap().as_str(), "-14.40");
        assert_eq!(elements[0].elevation.as_ref().unwrap().as_str(), "38.0");
    }

    #[test]
    fn null_is_a_value_that_is_not_there() {
        let elements = read(current(&values("null")).as_bytes(), 1).unwrap();
        assert!(elements[0].readings[0].is_empty());
    }

    #[test]
    fn an_error_within_a_200_is_named() {
        let body = format!(
            "{}Unexpected error while streaming data: timeoutReached",
            &current(&values("1"))[..200]
        );
        let error = read(body.as_bytes(), 1).unwrap_err();
        assert_eq!(
            error,
            Error::Broken("Unexpected error while streaming data: timeoutReached".to_owned())
        );
    }

    #[test]
    fn other_units_missing_places_and_places_out_of_order_are_broken() {
        let good = current(&values("1"));
        let broken =
            |body: &str, count: usize| read(body.as_bytes(), count).unwrap_err().to_string();
        assert!(
            broken(&good.replace("m/s", "km/h"), 1)
                .contains("wind_speed_10m in km/h instead of m/s")
        );
        assert!(broken(&good.replace("unixtime", "iso8601"), 1).contains("time as iso8601"));
        assert!(broken(&good, 2).contains("1 elements instead of 2"));
        let second = good.replace(r#""elevation":38.0"#, r#""location_id":2"#);
        assert!(broken(&format!("[{second},{good}]"), 2).contains("out of order"));
    }

    #[test]
    fn hours_are_read_column_by_column() {
        let columns = VARIABLES
            .map(|name| format!(r#""{name}":[1.50,null]"#))
            .join(",");
        let body = format!(
            r#"{{"latitude":1,"longitude":2,"hourly_units":{{"time":"unixtime",{}}},"hourly":{{"time":[3600,7200],{columns}}}}}"#,
            units()
        );
        let elements = read(body.as_bytes(), 1).unwrap();
        assert_eq!(elements[0].slot_seconds, 3_600);
        assert_eq!(
            elements[0].readings[0].values[3].as_ref().unwrap().as_str(),
            "1.50"
        );
        assert!(elements[0].readings[1].is_empty());
        let short = body.replace("[3600,7200]", "[3600]");
        assert!(matches!(read(short.as_bytes(), 1), Err(Error::Broken(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_broken(body: Vec<u8>, count in 0..3_usize) {
            drop(read(&body, count));
        }

        #[test]
        fn a_damaged_answer_never_panics(at in 0..900_usize, byte: u8) {
            let mut body = current(&values("-14.40")).into_bytes();
            let at = at % body.len();
            body[at] = byte;
            drop(read(&body, 1));
        }
    }
}
