//! Reads a message, or says in one word of a closed list why it is none.

use std::{borrow::Cow, fmt, str::FromStr};

use jiff::Timestamp;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::{Decimal, Extra, Message, VALUES, VERSION, event_id};

/// Reads the record with this key and value.
///
/// # Errors
/// A [`Defect`] of the data. The same bytes always give the same one, so trying again does not help,
/// but for [`Reason::FutureVersion`], which a newer reader may know.
pub fn decode<'a>(key: Option<&[u8]>, value: Option<&'a [u8]>) -> Result<Message<'a>, Defect> {
    let value = value.ok_or_else(|| Defect::new(Reason::NotJson, "the record has no value"))?;
    let json = std::str::from_utf8(value).map_err(|error| Defect::new(Reason::NotJson, error))?;
    let found: Found<'a> =
        serde_json::from_str(json).map_err(|error| Defect::new(Reason::NotJson, unread(&error)))?;
    found.version()?;
    if let Some(name) = found.double {
        return Err(Defect::new(Reason::DoubleField, name));
    }
    if has_nul(value) {
        return Err(Defect::new(Reason::NulCharacter, "a text holds U+0000"));
    }

    let location_id = found.text("location_id")?;
    let key = key.ok_or_else(|| Defect::new(Reason::MissingKey, "the record has no key"))?;
    if key != location_id.as_bytes() {
        return Err(Defect::new(
            Reason::OtherKey,
            "the key is not the location_id",
        ));
    }

    let slot = found.time("slot")?;
    let slot_seconds = found.parsed("slot_seconds", "900 or 3600", |json| {
        json.parse()
            .ok()
            .filter(|seconds| [900, 3600].contains(seconds))
    })?;
    let source = found.text("source")?;
    let source = source
        .parse()
        .map_err(|_| Defect::new(Reason::BadValue, "source is none of those known"))?;
    let message = Message {
        event_id: found.text("event_id")?,
        latitude: found.number("latitude")?,
        longitude: found.number("longitude")?,
        elevation_metres: found.number_or_null("elevation_metres")?,
        slot,
        slot_seconds,
        source,
        model: found.text("model")?,
        fetched_at: found.time("fetched_at")?,
        values: found.values()?,
        location_id,
        extra: Extra(found.extra),
    };
    let hash = event_id(&message.location_id, slot, slot_seconds, source);
    if message.event_id != hash {
        return Err(Defect::new(
            Reason::ForeignEventId,
            format!("event_id should be {hash}"),
        ));
    }
    Ok(message)
}

/// serde_json quotes what it found where it expected an object.
fn unread(error: &serde_json::Error) -> String {
    if error.is_data() {
        let (line, column) = (error.line(), error.column());
        return format!("no object at line {line} column {column}");
    }
    error.to_string()
}

/// Why a record is no weather message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {detail}")]
pub struct Defect {
    pub reason: Reason,
    /// Names fields, never their values.
    pub detail: String,
}

impl Defect {
    fn new(reason: Reason, detail: impl fmt::Display) -> Self {
        Self {
            reason,
            detail: detail.to_string(),
        }
    }
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// The closed list of what can be wrong with a record.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)*
                }
            }
        }
    };
}

reasons! {
    /// The value is missing, no UTF-8, no JSON, or no object.
    NotJson = "not_json",
    /// Written by a newer program.
    FutureVersion = "future_version",
    /// One field twice: which one is meant?
    DoubleField = "double_field",
    MissingField = "missing_field",
    /// A field of another JSON type, null where there must be a value included.
    WrongType = "wrong_type",
    /// The right JSON type, but not what the field can hold: a time that is none, an unknown source.
    BadValue = "bad_value",
    /// Postgres has no U+0000 in texts.
    NulCharacter = "nul_character",
    MissingKey = "missing_key",
    /// The key is another location than the value's.
    OtherKey = "other_key",
    /// `event_id` is not the hash of the reading's own fields.
    ForeignEventId = "foreign_event_id",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let known = Self::ALL.iter().find(|reason| reason.as_str() == text);
        known
            .copied()
            .ok_or_else(|| format!("no such reason: {text}"))
    }
}

/// Known fields outside the ten values.
const HEAD: [&str; 11] = [
    "version",
    "event_id",
    "location_id",
    "latitude",
    "longitude",
    "elevation_metres",
    "slot",
    "slot_seconds",
    "source",
    "model",
    "fetched_at",
];

/// The fields of an object before anything is known of their types.
struct Found<'a> {
    head: [Option<&'a RawValue>; HEAD.len()],
    values: [Option<&'a RawValue>; VALUES.len()],
    extra: Vec<(Cow<'a, str>, &'a RawValue)>,
    double: Option<Cow<'a, str>>,
}

impl<'a> Found<'a> {
    fn version(&self) -> Result<(), Defect> {
        let version = self.parsed("version", "a number from 1", |json| {
            json.parse::<u64>().ok().filter(|&version| version > 0)
        })?;
        if version > VERSION {
            let detail = format!("version {version}, this program knows up to {VERSION}");
            return Err(Defect::new(Reason::FutureVersion, detail));
        }
        Ok(())
    }

    fn field(&self, name: &'static str) -> Result<&'a str, Defect> {
        let index = HEAD.iter().position(|known| *known == name);
        let raw = index.and_then(|index| self.head[index]);
        raw.map(RawValue::get)
            .ok_or_else(|| Defect::new(Reason::MissingField, name))
    }

    fn text(&self, name: &'static str) -> Result<Cow<'a, str>, Defect> {
        let json = self.field(name)?;
        let inner = json
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'));
        match inner {
            Some(inner) if !inner.contains('\\') => Ok(Cow::Borrowed(inner)),
            Some(_) => serde_json::from_str(json)
                .map(Cow::Owned)
                .map_err(|_| Defect::new(Reason::BadValue, name)),
            None => Err(Defect::new(Reason::WrongType, format!("{name} is no text"))),
        }
    }

    fn time(&self, name: &'static str) -> Result<Timestamp, Defect> {
        let parsed = self.text(name)?.parse();
        parsed.map_err(|_| Defect::new(Reason::BadValue, format!("{name} is no time")))
    }

    fn parsed<T>(
        &self,
        name: &'static str,
        expected: &str,
        parse: impl FnOnce(&'a str) -> Option<T>,
    ) -> Result<T, Defect> {
        let json = self.field(name)?;
        parse(json).ok_or_else(|| {
            let is_number = Decimal::parse(json).is_some();
            let reason = if is_number {
                Reason::BadValue
            } else {
                Reason::WrongType
            };
            Defect::new(reason, format!("{name} is not {expected}"))
        })
    }

    fn number(&self, name: &'static str) -> Result<Decimal<'a>, Defect> {
        number(name, self.field(name)?)
    }

    fn number_or_null(&self, name: &'static str) -> Result<Option<Decimal<'a>>, Defect> {
        match self.field(name)? {
            "null" => Ok(None),
            json => number(name, json).map(Some),
        }
    }

    fn values(&self) -> Result<[Option<Decimal<'a>>; VALUES.len()], Defect> {
        let mut values = [const { None }; VALUES.len()];
        for ((name, raw), value) in VALUES.iter().zip(self.values).zip(&mut values) {
            let raw = raw.ok_or_else(|| Defect::new(Reason::MissingField, name))?;
            if raw.get() != "null" {
                *value = Some(number(name, raw.get())?);
            }
        }
        Ok(values)
    }
}

fn number<'a>(name: &str, json: &'a str) -> Result<Decimal<'a>, Defect> {
    Decimal::parse(json).ok_or_else(|| {
        let looks_like_one = json.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let reason = if looks_like_one {
            Reason::BadValue
        } else {
            Reason::WrongType
        };
        Defect::new(
            reason,
            format!("{name} is no number that a double can hold"),
        )
    })
}

impl<'de> Deserialize<'de> for Found<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Found<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Found {
                    head: [None; HEAD.len()],
                    values: [None; VALUES.len()],
                    extra: Vec::new(),
                    double: None,
                };
                while let Some(Name(name)) = map.next_key()? {
                    let raw: &RawValue = map.next_value()?;
                    let place = if let Some(index) = HEAD.iter().position(|known| *known == name) {
                        &mut found.head[index]
                    } else if let Some(index) = VALUES.iter().position(|known| *known == name) {
                        &mut found.values[index]
                    } else {
                        found.extra.push((name, raw));
                        continue;
                    };
                    if place.replace(raw).is_some() {
                        found.double = Some(name);
                    }
                }
                let mut names: Vec<_> = found.extra.iter().map(|(name, _)| name).collect();
                names.sort_unstable();
                if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
                    found.double = Some(pair[0].clone());
                }
                Ok(found)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

/// A field's name, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Whether valid JSON holds the escape of U+0000, the only way to write it.
fn has_nul(json: &[u8]) -> bool {
    if !json.contains(&b'\\') {
        return false;
    }
    let mut escaped = false;
    let mut rest = json;
    while let Some((&byte, after)) = rest.split_first() {
        if escaped && after.starts_with(b"0000") && byte == b'u' {
            return true;
        }
        escaped = byte == b'\\' && !escaped;
        rest = after;
    }
    false
}
