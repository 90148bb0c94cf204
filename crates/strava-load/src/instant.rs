//! ISO 8601 times and dates, strictly: only what PostgreSQL stores without changing the instant.

/// Days from 1970-01-01 to 2000-01-01, where PostgreSQL begins to count.
const EPOCH_DAYS: i64 = 10_957;
/// The same in microseconds.
pub const EPOCH_MICROS: i64 = EPOCH_DAYS * 86_400 * MICROS_PER_SECOND;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// A time that carries its offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instant {
    /// Microseconds since 2000-01-01T00:00:00Z.
    pub micros: i64,
    /// Whether nothing finer than a microsecond was written.
    pub exact: bool,
}

impl Instant {
    /// Reads `YYYY-MM-DDTHH:MM:SS[.f](Z|±HH:MM)` of the years 1 to 9999, without leap seconds.
    pub fn parse(text: &str) -> Option<Instant> {
        let bytes = text.as_bytes();
        if bytes.len() < 20 || !matches!(bytes[10], b'T' | b't') {
            return None;
        }
        let days = i64::from(parse_date(&text[..text.floor_char_boundary(10)])?);
        let (hour, minute, second) = (two(bytes, 11)?, two(bytes, 14)?, two(bytes, 17)?);
        if bytes[13] != b':' || bytes[16] != b':' || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut rest = &bytes[19..];
        let (mut micros, mut exact) = (0, true);
        if let [b'.', behind @ ..] = rest {
            let digits = behind
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if digits == 0 {
                return None;
            }
            let mut unit = MICROS_PER_SECOND;
            for byte in &behind[..digits] {
                unit /= 10;
                micros += i64::from(byte - b'0') * unit;
                exact &= unit > 0 || *byte == b'0';
            }
            rest = &behind[digits..];
        }
        let offset = match rest {
            [b'Z' | b'z'] => 0,
            [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
                let (hours, minutes) = (two(rest, 1)?, two(rest, 4)?);
                if hours > 15 || minutes > 59 {
                    return None;
                }
                (hours * 60 + minutes) * if *sign == b'-' { -1 } else { 1 }
            }
            _ => return None,
        };
        let seconds = days * 86_400 + hour * 3_600 + (minute - offset) * 60 + second;
        Some(Instant {
            micros: seconds * MICROS_PER_SECOND + micros,
            exact,
        })
    }
}

/// Reads `YYYY-MM-DD` of the years 1 to 9999 as days since 2000-01-01.
pub fn parse_date(text: &str) -> Option<i32> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 || bytes[4] != b'-' || bytes[7] != b'-' {
        return None;
    }
    let year = two(bytes, 0)? * 100 + two(bytes, 2)?;
    let (month, day) = (two(bytes, 5)?, two(bytes, 8)?);
    if year == 0 || !(1..=12).contains(&month) || day == 0 || day > days_in_month(year, month) {
        return None;
    }
    i32::try_from(days_from_civil(year, month, day) - EPOCH_DAYS).ok()
}

fn two(bytes: &[u8], at: usize) -> Option<i64> {
    match bytes.get(at..at + 2)? {
        [a @ b'0'..=b'9', b @ b'0'..=b'9'] => Some(i64::from(a - b'0') * 10 + i64::from(b - b'0')),
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of the proleptic Gregorian calendar, counted in years that begin in March.
/// Source: Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micros(text: &str) -> Option<i64> {
        Instant::parse(text)
            .filter(|instant| instant.exact)
            .map(|instant| instant.micros)
    }

    #[test]
    fn the_same_instant_in_every_offset_is_the_same_number() {
        assert_eq!(micros("2000-01-01T00:00:00Z"), Some(0));
        assert_eq!(
            micros("2026-11-21T06:00:00+08:00"),
            micros("2026-11-20T22:00:00Z")
        );
        assert_eq!(micros("2000-01-01T00:00:00.000001Z"), Some(1));
        assert_eq!(micros("1999-12-31T23:59:59.5-00:30"), Some(1_799_500_000));
    }

    #[test]
    fn agrees_with_the_calendar_of_jiff() {
        for text in [
            "0001-01-01T00:00:00Z",
            "1900-02-28T23:59:59Z",
            "2024-02-29T12:00:00Z",
            "9999-12-30T21:59:59.999999Z",
        ] {
            let theirs: jiff::Timestamp = text.parse().unwrap();
            assert_eq!(
                micros(text),
                Some(theirs.as_microsecond() - EPOCH_MICROS),
                "{text}"
            );
        }
    }

    #[test]
    fn what_would_change_is_no_time() {
        for text in [
            "2026-11-21T06:00:00",
            "2026-11-21 06:00:00Z",
            "2026-11-21T06:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-12-31T23:59:60Z",
            "0000-01-01T00:00:00Z",
            "yesterday",
            "2026-11-21T06:00:00.1234567Z",
            "2026-11-21T06:00:00.Z",
            "2026-11-21T06:00:00+0800",
            "2026-11-2\u{e9}T06:00:00Z",
        ] {
            assert_eq!(micros(text), None, "{text}");
        }
        assert_eq!(parse_date("2000-01-02"), Some(1));
        assert_eq!(parse_date("2026-11-2"), None);
    }
}
