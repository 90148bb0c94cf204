//! A JSON object whose keys keep their order and whose values keep the text they came with.

use std::fmt;
use std::str::FromStr;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

/// Editing a payload this way never rewrites a number: 12.0 stays 12.0, and 3085395771834188816
/// stays what it is.
#[derive(Debug, Clone, Default)]
pub struct Payload(Vec<(String, Box<RawValue>)>);

impl Payload {
    /// The value of a top-level key, as text.
    pub fn text(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name == key)?;
        Some(value.get())
    }

    /// The value of a top-level key; nothing where it is missing, null or of another type.
    pub fn value<T: DeserializeOwned>(&self, key: &str) -> Option<T> {
        serde_json::from_str(self.text(key)?).ok()
    }

    /// Replaces a value in its place, or adds the key at the end.
    pub fn set(&mut self, key: &str, value: Box<RawValue>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.0.push((key.to_owned(), value)),
        }
    }

    /// The same for a value that is not JSON text yet.
    pub fn set_value(&mut self, key: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.set(key, serde_json::value::to_raw_value(value)?);
        Ok(())
    }

    /// The same for a text.
    pub(crate) fn set_text(&mut self, key: &str, value: &str) {
        let quoted = serde_json::Value::from(value).to_string();
        self.set(
            key,
            RawValue::from_string(quoted).expect("a quoted text is JSON"),
        );
    }

    /// Drops every key but these.
    pub(crate) fn keep(&mut self, keys: &[&str]) {
        self.0.retain(|(name, _)| keys.contains(&name.as_str()));
    }

    /// Lays every key of `other` over this one.
    pub fn merge(&mut self, other: Payload) {
        for (key, value) in other.0 {
            self.set(&key, value);
        }
    }
}

impl FromStr for Payload {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (index, (key, value)) in self.0.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let key = serde_json::to_string(key).map_err(|_| fmt::Error)?;
            write!(f, "{comma}{key}:{}", value.get())?;
        }
        f.write_str("}")
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Payload, A::Error> {
                let mut payload = Payload::default();
                while let Some((key, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    payload.set(&key, value);
                }
                Ok(payload)
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_leaves_every_other_value_as_it_was_written() {
        let text =
            r#"{"id": 3085395771834188816, "distance": 12.0, "far": {"x":1e-05}, "name": "a"}"#;
        let mut payload: Payload = text.parse().unwrap();
        payload.merge(r#"{"name": "\u00e4", "new": []}"#.parse().unwrap());
        assert_eq!(
            payload.to_string(),
            r#"{"id":3085395771834188816,"distance":12.0,"far":{"x":1e-05},"name":"\u00e4","new":[]}"#
        );
    }
}
