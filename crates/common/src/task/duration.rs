//! Durations on a command line.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads `90s`, `15m` or `1h30m`; for clap's `value_parser`.
///
/// # Errors
/// Anything else, and a negative one, in words for clap's message.
pub fn duration(text: &str) -> Result<Duration, String> {
    let duration: SignedDuration = text
        .parse()
        .map_err(|_| format!("`{text}` is no duration such as 15m"))?;
    duration
        .try_into()
        .map_err(|_| format!("`{text}` is negative"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_may_be_joined() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5_400)));
    }

    #[test]
    fn what_is_none_is_named() {
        for wrong in ["", "15", "soon", "-5m"] {
            let refusal = duration(wrong).unwrap_err();
            assert!(refusal.starts_with(&format!("`{wrong}`")), "{refusal}");
        }
    }
}
