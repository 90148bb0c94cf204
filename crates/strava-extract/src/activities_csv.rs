//! `activities.csv` of a bulk export: its header in every English layout, its records one by one.

use std::{collections::HashMap, io::Read};

use csv::{ByteRecord, Reader, ReaderBuilder};

/// Without these a record is no activity. Any further column may be missing, and any unknown one
/// is kept as it is.
const REQUIRED: [&str; 3] = ["activity_id", "activity_date", "activity_type"];

/// The records of one `activities.csv`, read as a stream.
pub struct ActivitiesCsv<R> {
    reader: Reader<R>,
    header: Header,
    record: ByteRecord,
    number: u64,
}

/// The header row: what each column is called, and where the n-th column of a name stands.
pub struct Header {
    names: Vec<String>,
    places: HashMap<(String, usize), usize>,
}

/// One record with its header, its number counted from 1 behind the header.
pub struct Record<'a> {
    header: &'a Header,
    cells: &'a ByteRecord,
    pub number: u64,
}

/// A record's number and the record, or why it cannot be read.
pub type Numbered<'a> = (u64, Result<Record<'a>, Unreadable>);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read activities.csv")]
    Read(#[from] csv::Error),
    #[error("activities.csv is empty")]
    Empty,
    /// The header is in another language, or of another file. The text names what was not understood.
    #[error(
        "activities.csv has no column {missing}; headers that are not understood: {unknown}. \
         Only exports in English can be read: set the language of the account to English and ask Strava for a new one"
    )]
    UnknownHeader { missing: String, unknown: String },
}

/// Why a record was set aside. Names columns, never what stands in them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    #[error("has {found} fields where the header has {expected}")]
    FieldCount { found: usize, expected: usize },
    #[error("is not UTF-8")]
    NotUtf8,
    #[error("has no readable {0}")]
    Cell(String),
    #[error("has an Activity ID that an earlier record has too")]
    Repeated,
}

impl<R: Read> ActivitiesCsv<R> {
    /// Reads the header row.
    pub fn open(file: R) -> Result<Self, Error> {
        let mut reader = ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(file);
        let mut record = ByteRecord::new();
        if !reader.read_byte_record(&mut record)? {
            return Err(Error::Empty);
        }
        let header = Header::read(&record)?;
        Ok(Self {
            reader,
            header,
            record,
            number: 0,
        })
    }

    /// The next record, the reason why it cannot be read, or `None` at the end of the file.
    pub fn read_next(&mut self) -> Result<Option<Numbered<'_>>, Error> {
        if !self.reader.read_byte_record(&mut self.record)? {
            return Ok(None);
        }
        self.number += 1;
        let (found, expected) = (self.record.len(), self.header.names.len());
        let readable = if found != expected {
            Err(Unreadable::FieldCount { found, expected })
        } else if self
            .record
            .iter()
            .any(|cell| std::str::from_utf8(cell).is_err())
        {
            Err(Unreadable::NotUtf8)
        } else {
            Ok(Record {
                header: &self.header,
                cells: &self.record,
                number: self.number,
            })
        };
        Ok(Some((self.number, readable)))
    }
}

impl Header {
    fn read(record: &ByteRecord) -> Result<Self, Error> {
        let names: Vec<String> = record
            .iter()
            .map(|cell| display_name(&String::from_utf8_lossy(cell)))
            .collect();
        let mut places = HashMap::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (place, name) in names.iter().enumerate() {
            let key = key(name);
            let occurrence = seen.entry(key.clone()).or_default();
            *occurrence += 1;
            places.insert((key, *occurrence), place);
        }
        let header = Self { names, places };
        let missing: Vec<&str> = REQUIRED
            .into_iter()
            .filter(|key| header.place(key, 1).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(header);
        }
        Err(Error::UnknownHeader {
            missing: missing.join(", "),
            unknown: header.unknown(),
        })
    }

    fn place(&self, key: &str, occurrence: usize) -> Option<usize> {
        self.places.get(&(key.to_owned(), occurrence)).copied()
    }

    /// The first dozen names that no English layout has.
    fn unknown(&self) -> String {
        const SHOWN: usize = 12;
        let unknown: Vec<&str> = self
            .names
            .iter()
            .filter(|name| !KNOWN.contains(&key(name).as_str()))
            .map(String::as_str)
            .collect();
        let shown = unknown
            .iter()
            .take(SHOWN)
            .map(|name| format!("{name:?}"))
            .collect::<Vec<_>>()
            .join(", ");
        match unknown.len().checked_sub(SHOWN) {
            Some(more @ 1..) => format!("{shown} and {more} more"),
            _ => shown,
        }
    }
}

impl<'a> Record<'a> {
    /// The cell of the n-th column of that name (`average_speed`, from 1), where there is one and
    /// the export wrote a value.
    pub fn cell(&self, key: &str, occurrence: usize) -> Option<&'a str> {
        let cell = self.cells.get(self.header.place(key, occurrence)?)?;
        crate::cells::value(std::str::from_utf8(cell).ok()?)
    }

    /// Whether the header has that column.
    pub fn has(&self, key: &str) -> bool {
        self.header.place(key, 1).is_some()
    }

    /// Every cell that is not empty with its column's name, in the order of the file.
    pub fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.header
            .names
            .iter()
            .zip(self.cells.iter())
            .filter(|(_, cell)| !cell.is_empty())
            .filter_map(|(name, cell)| Some((name.as_str(), std::str::from_utf8(cell).ok()?)))
    }
}

/// What a person would call the column: older exports have untranslated headers, as an HTML span
/// around the name (`<span class="translation_missing" title="…">Start Time</span>`) or as the
/// bare path of the translation (`translation missing: en-US.lib.….start_time`).
fn display_name(cell: &str) -> String {
    let mut text = String::new();
    let mut inside_tag = false;
    for c in cell.trim_start_matches('\u{feff}').chars() {
        match c {
            '<' => inside_tag = true,
            '>' if inside_tag => inside_tag = false,
            _ if !inside_tag => text.push(c),
            _ => {}
        }
    }
    let text = text.trim();
    let name = match text.strip_prefix("translation missing:") {
        Some(path) => path.rsplit('.').next().unwrap_or(path),
        None => text,
    };
    name.to_owned()
}

/// `Average Flow`, `Avg Flow` and `avg_flow` are one column.
fn key(name: &str) -> String {
    let words = name
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let key = words.map(str::to_lowercase).collect::<Vec<_>>().join("_");
    match key.strip_prefix("avg_") {
        Some(rest) => format!("average_{rest}"),
        None => key,
    }
}

/// Every column of the English layouts from 10 columns (2019) to 103 (2026).
#[rustfmt::skip]
const KNOWN: [&str; 98] = [
    "activity_id", "activity_date", "activity_name", "activity_type", "activity_description", "elapsed_time",
    "distance", "max_heart_rate", "relative_effort", "commute", "activity_private_note", "activity_gear", "filename",
    "athlete_weight", "bike_weight", "moving_time", "max_speed", "average_speed", "elevation_gain", "elevation_loss",
    "elevation_low", "elevation_high", "max_grade", "average_grade", "average_positive_grade",
    "average_negative_grade", "max_cadence", "average_cadence", "average_heart_rate", "max_watts", "average_watts",
    "calories", "max_temperature", "average_temperature", "total_work", "number_of_runs", "uphill_time",
    "downhill_time", "other_time", "perceived_exertion", "type", "start_time", "weighted_average_power",
    "power_count", "prefer_perceived_exertion", "perceived_relative_effort", "total_weight_lifted", "from_upload",
    "grade_adjusted_distance", "weather_observation_time", "weather_condition", "weather_temperature",
    "apparent_temperature", "dewpoint", "humidity", "weather_pressure", "wind_speed", "wind_gust", "wind_bearing",
    "precipitation_intensity", "sunrise_time", "sunset_time", "moon_phase", "bike", "gear",
    "precipitation_probability", "precipitation_type", "cloud_cover", "weather_visibility", "uv_index",
    "weather_ozone", "jump_count", "total_grit", "average_flow", "flagged", "average_elapsed_speed", "dirt_distance",
    "newly_explored_distance", "newly_explored_dirt_distance", "activity_count", "total_steps", "carbon_saved",
    "pool_length", "training_load", "intensity", "average_grade_adjusted_pace", "timer_time", "total_cycles",
    "recovery", "with_pet", "competition", "long_run", "for_a_cause", "with_kid", "downhill_distance", "total_sets",
    "total_reps", "media",
];

#[cfg(test)]
mod tests {
    use super::{ActivitiesCsv, Error, Unreadable, display_name, key};

    #[test]
    fn untranslated_headers_are_the_columns_they_stand_for() {
        let span = r#"<span class="translation_missing" title="translation missing: en-US.lib.export.portability_exporter.activities.horton_values.avg_flow">Avg Flow</span>"#;
        let bare = "translation missing: en-US.lib.export.portability_exporter.activities.horton_values.avg_flow";
        for header in [span, bare, "Average Flow"] {
            assert_eq!(key(&display_name(header)), "average_flow");
        }
    }

    #[test]
    fn the_second_column_of_a_name_is_told_from_the_first() {
        let text = "\u{feff}Activity ID,Activity Date,Activity Type,Distance,Distance\r\n1,x,Run,\"1,250\",1250.5\r\n";
        let mut csv = ActivitiesCsv::open(text.as_bytes()).unwrap();
        let (number, record) = csv.read_next().unwrap().unwrap();
        let record = record.unwrap();
        assert_eq!(number, 1);
        assert_eq!(record.cell("distance", 1), Some("1,250"));
        assert_eq!(record.cell("distance", 2), Some("1250.5"));
        assert_eq!(record.pairs().last(), Some(("Distance", "1250.5")));
        assert!(csv.read_next().unwrap().is_none());
    }

    #[test]
    fn a_line_break_in_a_cell_does_not_end_the_record() {
        let text = "Activity ID,Activity Date,Activity Type,Activity Description\n1,x,Run,\"a\nb\r\nc\"\n2,x,Run,d\n";
        let mut csv = ActivitiesCsv::open(text.as_bytes()).unwrap();
        let (_, first) = csv.read_next().unwrap().unwrap();
        assert_eq!(
            first.unwrap().cell("activity_description", 1),
            Some("a\nb\r\nc")
        );
        let (number, second) = csv.read_next().unwrap().unwrap();
        assert_eq!(
            (number, second.unwrap().cell("activity_id", 1)),
            (2, Some("2"))
        );
    }

    #[test]
    fn a_record_that_cannot_be_read_leaves_its_neighbours_alone() {
        let text = b"Activity ID,Activity Date,Activity Type\n1,x\n2,\xff,Run\n3,x,Run\n";
        let mut csv = ActivitiesCsv::open(text.as_slice()).unwrap();
        let mut reasons = Vec::new();
        while let Some((number, record)) = csv.read_next().unwrap() {
            reasons.push((number, record.err()));
        }
        assert_eq!(
            reasons,
            [
                (
                    1,
                    Some(Unreadable::FieldCount {
                        found: 2,
                        expected: 3
                    })
                ),
                (2, Some(Unreadable::NotUtf8)),
                (3, None)
            ]
        );
    }

    #[test]
    fn a_header_in_another_language_is_named_and_not_guessed_at() {
        let Err(error) = ActivitiesCsv::open("Aktivitäts-ID,Aktivitätsdatum,Distance\n".as_bytes())
        else {
            panic!("the header was accepted");
        };
        assert!(matches!(error, Error::UnknownHeader { .. }));
        let text = error.to_string();
        assert!(
            text.contains("\"Aktivitäts-ID\", \"Aktivitätsdatum\"")
                && !text.contains("\"Distance\""),
            "{text}"
        );
    }
}
