//! One record of `activities.csv` as an activity, under the names that Strava's API has for it.

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};
use serde_json::value::RawValue;

use crate::{
    activities_csv::{Record, Unreadable},
    cells,
};

/// An activity out of an export.
pub struct ExportActivity {
    pub id: u64,
    pub start_date: Timestamp,
    /// The end of the activity, the latest moment that its record speaks of.
    pub end_date: Timestamp,
    pub payload: Box<RawValue>,
}

/// How a number is written in the export, and how the API writes it.
#[derive(Clone, Copy)]
enum Kind {
    /// As it stands.
    Number,
    /// A whole number in the API that the export writes as `2833.0`.
    Whole,
}

/// Payload name, column, kind; where a column occurs twice, the second is the raw value and the
/// first what Strava shows, and neither is always filled.
const NUMBERS: [(&str, &str, Kind); 20] = [
    ("elapsed_time", "elapsed_time", Kind::Whole),
    ("moving_time", "moving_time", Kind::Whole),
    ("total_elevation_gain", "elevation_gain", Kind::Number),
    ("elev_high", "elevation_high", Kind::Number),
    ("elev_low", "elevation_low", Kind::Number),
    ("average_speed", "average_speed", Kind::Number),
    ("max_speed", "max_speed", Kind::Number),
    ("average_heartrate", "average_heart_rate", Kind::Number),
    ("max_heartrate", "max_heart_rate", Kind::Number),
    ("average_watts", "average_watts", Kind::Number),
    ("max_watts", "max_watts", Kind::Whole),
    (
        "weighted_average_watts",
        "weighted_average_power",
        Kind::Whole,
    ),
    ("average_cadence", "average_cadence", Kind::Number),
    ("max_cadence", "max_cadence", Kind::Number),
    ("average_temp", "average_temperature", Kind::Number),
    ("calories", "calories", Kind::Number),
    ("suffer_score", "relative_effort", Kind::Number),
    ("perceived_exertion", "perceived_exertion", Kind::Number),
    ("athlete_weight", "athlete_weight", Kind::Number),
    ("total_steps", "total_steps", Kind::Whole),
];

impl ExportActivity {
    /// Maps a record. Times are seconds, lengths metres, speeds metres a second, as in the API.
    /// What has no place in the API is in `export_record`: every cell that is not empty with its
    /// column's name, in order.
    pub fn read(record: &Record<'_>) -> Result<Self, Unreadable> {
        let id: u64 = record
            .cell("activity_id", 1)
            .and_then(cells::number)
            .map(cells::whole)
            .and_then(|id| id.parse().ok())
            .ok_or_else(|| unreadable("Activity ID"))?;
        let start_date = record
            .cell("activity_date", 1)
            .and_then(cells::instant)
            .ok_or_else(|| unreadable("Activity Date"))?;
        let label = record
            .cell("activity_type", 1)
            .ok_or_else(|| unreadable("Activity Type"))?;
        let sport_type = record
            .cell("sport_type", 1)
            .map_or_else(|| sport_type(label), str::to_owned);

        let mut object = Object::new();
        object.raw("id", &id.to_string());
        object.text("name", record.cell("activity_name", 1));
        object.text("description", record.cell("activity_description", 1));
        object.text("private_note", record.cell("activity_private_note", 1));
        object.text("sport_type", Some(&sport_type));
        object.text("type", Some(legacy_type(&sport_type)));
        object.text("start_date", Some(&start_date.to_string()));
        object.optional("distance", distance(record, &sport_type)?.as_deref());
        let mut end_date = start_date;
        for (name, column, kind) in NUMBERS {
            let number = number(record, column, kind)?;
            if name == "elapsed_time" {
                end_date = after(start_date, number.as_deref());
            }
            object.optional(name, number.as_deref());
        }
        object.optional("commute", boolean(record, "commute")?);
        object.optional("flagged", boolean(record, "flagged")?);
        if record.has("filename") {
            // Without a file it was typed in by hand.
            object.raw(
                "manual",
                if record.cell("filename", 1).is_none() {
                    "true"
                } else {
                    "false"
                },
            );
        }
        object.text("gear_id", gear_id(record)?.as_deref());
        object.text("gear_name", record.cell("activity_gear", 1));
        let pairs: Vec<(&str, &str)> = record.pairs().collect();
        object.raw("export_record", &json(&pairs));
        Ok(Self {
            id,
            start_date,
            end_date,
            payload: object.finish(),
        })
    }
}

/// The raw value of the second column of that name, else the shown one of the first.
fn number(record: &Record<'_>, column: &str, kind: Kind) -> Result<Option<String>, Unreadable> {
    let Some(cell) = record.cell(column, 2).or_else(|| record.cell(column, 1)) else {
        return Ok(None);
    };
    let number = cells::number(cell).ok_or_else(|| unreadable(column))?;
    Ok(Some(match kind {
        Kind::Number => number,
        Kind::Whole => cells::whole(number),
    }))
}

/// Metres. The second column has them; the first has kilometres, and metres where one swims.
fn distance(record: &Record<'_>, sport_type: &str) -> Result<Option<String>, Unreadable> {
    if let Some(metres) = record.cell("distance", 2) {
        return Ok(Some(
            cells::number(metres).ok_or_else(|| unreadable("distance"))?,
        ));
    }
    let Some(shown) = record.cell("distance", 1) else {
        return Ok(None);
    };
    let number = cells::number(shown).ok_or_else(|| unreadable("distance"))?;
    if sport_type == "Swim" {
        return Ok(Some(number));
    }
    Ok(Some(
        cells::kilometres_as_metres(&number).ok_or_else(|| unreadable("distance"))?,
    ))
}

fn boolean(record: &Record<'_>, column: &str) -> Result<Option<&'static str>, Unreadable> {
    let Some(cell) = record.cell(column, 2).or_else(|| record.cell(column, 1)) else {
        return Ok(None);
    };
    let value = cells::boolean(cell).ok_or_else(|| unreadable(column))?;
    Ok(Some(if value { "true" } else { "false" }))
}

/// The export has the number alone, as `8142932.0`, in a column for bikes and one for everything
/// else; the API puts `b` or `g` before it.
fn gear_id(record: &Record<'_>) -> Result<Option<String>, Unreadable> {
    for (column, letter) in [("bike", 'b'), ("gear", 'g')] {
        if let Some(cell) = record.cell(column, 1) {
            let number = cells::number(cell)
                .map(cells::whole)
                .ok_or_else(|| unreadable(column))?;
            return Ok(Some(format!("{letter}{number}")));
        }
    }
    Ok(None)
}

/// The API's word for a label of the export: mostly the label without its spaces.
fn sport_type(label: &str) -> String {
    match label {
        "Canoe" => "Canoeing",
        "Cross Country Skiing" => "NordicSki",
        "Football (Soccer)" => "Soccer",
        "Kayak" => "Kayaking",
        "Kite Surf" => "Kitesurf",
        "Rock Climb" => "RockClimbing",
        "Row" => "Rowing",
        "Stand Up Paddle" => "StandUpPaddling",
        "Surf" => "Surfing",
        _ => return label.split(|c: char| !c.is_alphanumeric()).collect(),
    }
    .to_owned()
}

/// The API's older, coarser `type`, which still accompanies `sport_type` there.
fn legacy_type(sport_type: &str) -> &str {
    match sport_type {
        "TrailRun" => "Run",
        "GravelRide" | "MountainBikeRide" => "Ride",
        "EMountainBikeRide" => "EBikeRide",
        "VirtualRow" => "Rowing",
        other => other,
    }
}

fn after(start: Timestamp, seconds: Option<&str>) -> Timestamp {
    // An elapsed time of years is a typing error, not a newer archive.
    const LONGEST: f64 = 30.0 * 86_400.0;
    let seconds = seconds
        .and_then(|text| text.parse::<f64>().ok())
        .filter(|seconds| (0.0..LONGEST).contains(seconds));
    start
        .checked_add(SignedDuration::from_secs_f64(seconds.unwrap_or(0.0)))
        .unwrap_or(start)
}

fn unreadable(column: &str) -> Unreadable {
    Unreadable::Cell(column.to_owned())
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("texts are always JSON")
}

/// A JSON object that is written in order and takes numbers as they are.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn raw(&mut self, name: &str, value: &str) {
        let comma = if self.0.len() > 1 { "," } else { "" };
        write!(self.0, "{comma}\"{name}\":{value}").expect("writing to a String");
    }

    fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.raw(name, value);
        }
    }

    fn text(&mut self, name: &str, value: Option<&str>) {
        self.optional(name, value.map(|text| json(&text)).as_deref());
    }

    fn finish(mut self) -> Box<RawValue> {
        self.0.push('}');
        RawValue::from_string(self.0).expect("an object of JSON values")
    }
}
