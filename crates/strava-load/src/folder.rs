//! The folders of the landing bucket, and the table that each goes into.

use common::landing::{Stream, keys};

use crate::loads::Table;

/// What lands together and is loaded together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folder {
    /// Lines of an athlete's stream, visible by their manifests.
    Stream(Stream),
    /// Parquet files of readings, each visible by itself.
    Weather,
}

impl Folder {
    /// Every folder that there is.
    pub fn all() -> Vec<Folder> {
        let streams = Stream::ALL.iter().copied().map(Folder::Stream);
        streams.chain([Folder::Weather]).collect()
    }

    /// Where it lies below the landing URL.
    pub fn prefix(self) -> String {
        match self {
            Folder::Stream(stream) => keys::stream_prefix(stream),
            Folder::Weather => keys::weather_prefix().to_owned(),
        }
    }

    /// What its rows are called in `_stream`.
    pub fn stream(self) -> &'static str {
        match self {
            Folder::Stream(stream) => stream.as_str(),
            Folder::Weather => "weather",
        }
    }

    /// Where it goes.
    pub fn table(self) -> Table {
        let (schema, name, key) = match self {
            Folder::Stream(stream) => (
                "strava",
                format!("ods_strava__{stream}"),
                "\"_athlete_id\", \"_id\", \"_origin\"",
            ),
            // The id of a reading has its source in it, and nobody owns the weather.
            Folder::Weather => ("weather", "ods_weather__readings".to_owned(), "\"_id\""),
        };
        Table {
            schema: schema.to_owned(),
            name,
            key,
        }
    }
}
