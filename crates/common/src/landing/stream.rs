//! The names of what is landed and where it came from.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A text that is none of the known names.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is none of {1}")]
pub struct UnknownName(String, String);

/// What Strava data is landed as; one name in key, envelope, option, closing line and table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "Strava's own names")]
pub enum Stream {
    Activities,
    ActivityDetails,
    ActivityStreams,
    ActivityZones,
    Athletes,
    AthleteZones,
    AthleteStats,
    Gear,
    Routes,
    /// The starred ones.
    Segments,
}

impl Stream {
    /// Every stream, in the order of their dependence: activities first.
    pub const ALL: [Self; 10] = [
        Self::Activities,
        Self::ActivityDetails,
        Self::ActivityStreams,
        Self::ActivityZones,
        Self::Athletes,
        Self::AthleteZones,
        Self::AthleteStats,
        Self::Gear,
        Self::Routes,
        Self::Segments,
    ];

    /// The stream's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Activities => "activities",
            Self::ActivityDetails => "activity_details",
            Self::ActivityStreams => "activity_streams",
            Self::ActivityZones => "activity_zones",
            Self::Athletes => "athletes",
            Self::AthleteZones => "athlete_zones",
            Self::AthleteStats => "athlete_stats",
            Self::Gear => "gear",
            Self::Routes => "routes",
            Self::Segments => "segments",
        }
    }
}

/// Which of Strava's two ways out the data came by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Strava's API.
    Api,
    /// The bulk archive that Strava makes on request.
    Export,
}

impl Origin {
    /// Both origins.
    pub const ALL: [Self; 2] = [Self::Api, Self::Export];

    /// The origin's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Api => "api",
            Self::Export => "export",
        }
    }
}

macro_rules! text_form {
    ($name:ty) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                let known = || Self::ALL.map(Self::as_str).join(", ");
                Self::ALL
                    .into_iter()
                    .find(|known| known.as_str() == text)
                    .ok_or_else(|| UnknownName(text.to_owned(), known()))
            }
        }
    };
}
text_form!(Stream);
text_form!(Origin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_has_one_name_everywhere() {
        for stream in Stream::ALL {
            assert_eq!(stream.to_string().parse::<Stream>().unwrap(), stream);
            assert_eq!(serde_json::to_value(stream).unwrap(), stream.as_str());
        }
        for origin in Origin::ALL {
            assert_eq!(serde_json::to_value(origin).unwrap(), origin.as_str());
        }
        let unknown = "kudos".parse::<Origin>().unwrap_err().to_string();
        assert_eq!(unknown, "`kudos` is none of api, export");
    }
}
