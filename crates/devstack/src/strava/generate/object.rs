//! A JSON object that is written from front to back, and numbers as Strava writes them.

use std::fmt::{Display, Write as _};

use serde_json::Value;

#[derive(Default)]
pub(super) struct Object(String);

impl Object {
    pub(super) fn raw(&mut self, key: &str, value: impl Display) {
        let before = if self.0.is_empty() { '{' } else { ',' };
        // Writing to a string cannot fail.
        _ = write!(self.0, "{before}\"{key}\":{value}");
    }

    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.raw(key, Value::from(value));
    }

    pub(super) fn null(&mut self, key: &str) {
        self.raw(key, "null");
    }

    pub(super) fn close(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

pub(super) fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

/// Three decimals without trailing zeros, but always one: 3.145, 5.6, 7.0.
pub(super) fn thousandths(value: f64) -> String {
    format!("{:?}", (value * 1_000.0).round() / 1_000.0)
}

/// Strava sends whole metres of climbing now as `34`, now as `34.0`.
pub(super) fn integer_or_tenths(value: f64) -> String {
    let rounded = (value * 10.0).round() as i64;
    if rounded % 20 == 0 {
        (rounded / 10).to_string()
    } else {
        tenths(value)
    }
}
