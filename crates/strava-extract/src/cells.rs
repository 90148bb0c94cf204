//! What stands in one cell of an export's CSV: numbers kept as text with every digit, and dates.

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

/// What Strava writes where it had no value to write.
const NO_VALUE: [&str; 5] = ["", "#error#", "NaN", "Infinity", "-Infinity"];

/// The cell without surrounding blanks, `None` where the export says that it has no value.
pub fn value(cell: &str) -> Option<&str> {
    let cell = cell.trim();
    (!NO_VALUE.contains(&cell)).then_some(cell)
}

/// The text of a JSON number with the digits of the cell, or `None` where it is no number.
///
/// Commas are taken only where they part thousands (`1,250`): anything else, such as a decimal
/// comma, is not guessed at.
pub fn number(cell: &str) -> Option<String> {
    let (sign, digits) = match cell.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", cell),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => digits.split_at(at),
        None => (digits, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let whole = without_thousands(whole)?;
    if !all_digits(&whole) || fraction.is_some_and(|digits| !all_digits(digits)) {
        return None;
    }
    if !exponent.is_empty() && !all_digits(exponent[1..].trim_start_matches(['+', '-'])) {
        return None;
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        digits => digits,
    };
    let fraction = fraction.map_or_else(String::new, |digits| format!(".{digits}"));
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}

/// `2833.0` as `2833`; a number with a fraction worth keeping stays as it is.
pub fn whole(number: String) -> String {
    match number.split_once('.') {
        Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole.to_owned(),
        _ => number,
    }
}

/// A number of kilometres as one of metres, by moving the decimal point. `None` for a number
/// written with an exponent.
pub fn kilometres_as_metres(number: &str) -> Option<String> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if !all_digits(whole.trim_start_matches('-')) || !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let padded = format!("{fraction:0<3}");
    let (metres, rest) = padded.split_at(3);
    let moved = if rest.is_empty() {
        format!("{whole}{metres}")
    } else {
        format!("{whole}{metres}.{rest}")
    };
    self::number(&moved)
}

/// `true`, `false`, or a number that is not or is zero.
pub fn boolean(cell: &str) -> Option<bool> {
    match cell {
        "true" => Some(true),
        "false" => Some(false),
        _ => Some(number(cell)?.parse::<f64>().ok()? != 0.0),
    }
}

/// The instant of an `Activity Date`, which an export writes in UTC without saying so (seen equal
/// to the first point of every track that was compared).
///
/// English only: `May 2, 2022, 8:54:21 AM`, also with the day first and with 24 hours, and the
/// ISO form. Other languages are other words, which nobody should guess at.
pub fn instant(cell: &str) -> Option<Timestamp> {
    // Newer exports part the time from AM by U+202F.
    let words: Vec<&str> = cell
        .split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| !word.is_empty() && *word != "at")
        .collect();
    let (date, clock) = match words.as_slice() {
        [iso, clock] => (iso_date(iso)?, clock_time(clock, None)?),
        [a, b, year, clock] => (english_date(a, b, year)?, clock_time(clock, None)?),
        [a, b, year, clock, half] => (english_date(a, b, year)?, clock_time(clock, Some(half))?),
        _ => return None,
    };
    let (year, month, day) = date;
    let (hour, minute, second) = clock;
    let local = DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

fn english_date(a: &str, b: &str, year: &str) -> Option<(i16, i8, i8)> {
    let (month, day) = month(a).map_or_else(
        || month(b).map(|month| (month, a)),
        |month| Some((month, b)),
    )?;
    (year.len() == 4).then_some(())?;
    Some((year.parse().ok()?, month, day.parse().ok()?))
}

fn iso_date(text: &str) -> Option<(i16, i8, i8)> {
    let mut parts = text.split('-');
    let year = parts.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let date = (
        year,
        parts.next()?.parse().ok()?,
        parts.next()?.parse().ok()?,
    );
    parts.next().is_none().then_some(date)
}

fn month(word: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let word = word.trim_end_matches('.').to_ascii_lowercase();
    let at = MONTHS
        .iter()
        .position(|month| word.len() >= 3 && month.starts_with(&word))?;
    i8::try_from(at + 1).ok()
}

fn clock_time(text: &str, half: Option<&&str>) -> Option<(i8, i8, i8)> {
    let mut parts = text.split(':');
    let hour: i8 = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next()?.parse().ok()?;
    if parts.next().is_some() {
        return None;
    }
    let hour = match half.map(|half| half.to_ascii_uppercase()).as_deref() {
        None => hour,
        Some("AM") if (1..=12).contains(&hour) => hour % 12,
        Some("PM") if (1..=12).contains(&hour) => hour % 12 + 12,
        Some(_) => return None,
    };
    Some((hour, minute, second))
}

fn without_thousands(whole: &str) -> Option<String> {
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let mut digits = first.to_owned();
    for group in groups {
        if group.len() != 3 || first.is_empty() || first.len() > 3 {
            return None;
        }
        digits.push_str(group);
    }
    Some(digits)
}

fn all_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy as _, any, prop_assert_eq, proptest};

    use super::{boolean, instant, kilometres_as_metres, number, value, whole};

    #[test]
    fn numbers_keep_their_digits() {
        for (cell, expected) in [
            ("13609.2001953125", "13609.2001953125"),
            ("5.645756027661264e-05", "5.645756027661264e-05"),
            ("1,250", "1250"),
            ("12,345,678.50", "12345678.50"),
            ("007", "7"),
            ("-0.5", "-0.5"),
            ("0", "0"),
        ] {
            assert_eq!(number(cell).as_deref(), Some(expected), "{cell}");
        }
    }

    #[test]
    fn what_is_no_number_is_not_guessed_at() {
        for cell in [
            "9,44", "1,2500", ",250", "1,25,000", "12km", "", "-", "1.", ".5", "1e", "--1", "0x10",
        ] {
            assert_eq!(number(cell), None, "{cell}");
        }
    }

    #[test]
    fn a_cell_can_say_that_it_has_no_value() {
        assert_eq!(value(" #error# "), None);
        assert_eq!(value("NaN"), None);
        assert_eq!(value(" 12 "), Some("12"));
    }

    #[test]
    fn words_and_numbers_both_say_yes_and_no() {
        assert_eq!(boolean("true"), Some(true));
        assert_eq!(boolean("0.0"), Some(false));
        assert_eq!(boolean("1.0"), Some(true));
        assert_eq!(boolean("vrai"), None);
    }

    #[test]
    fn kilometres_become_metres_without_a_float() {
        for (kilometres, metres) in [
            ("13.61", "13610"),
            ("5", "5000"),
            ("0.0045", "4.5"),
            ("-1.5", "-1500"),
        ] {
            assert_eq!(kilometres_as_metres(kilometres).as_deref(), Some(metres));
        }
        assert_eq!(kilometres_as_metres("1e3"), None);
    }

    #[test]
    fn english_dates_of_all_kinds_are_instants_in_utc() {
        for cell in [
            "May 2, 2022, 8:54:21 PM",
            "May 2, 2022, 8:54:21\u{202f}PM",
            "2 May 2022, 20:54:21",
            "2 May 2022 at 20:54:21",
            "2022-05-02 20:54:21",
        ] {
            assert_eq!(
                instant(cell).map(|at| at.to_string()).as_deref(),
                Some("2022-05-02T20:54:21Z"),
                "{cell}"
            );
        }
        assert_eq!(
            instant("Jan 1, 2020, 12:00:00 AM")
                .map(|at| at.to_string())
                .as_deref(),
            Some("2020-01-01T00:00:00Z")
        );
    }

    #[test]
    fn other_dates_are_not_guessed_at() {
        for cell in [
            "09.12.2022, 15:24:49",
            "5/2/2022, 8:54:21 AM",
            "Feb 30, 2022, 1:00:00 AM",
            "#error#",
            "",
            "mai 2, 2022, 1:00:00 AM",
        ] {
            assert_eq!(instant(cell), None, "{cell}");
        }
    }

    proptest! {
        #[test]
        fn any_number_that_json_can_write_reads_as_itself(n in any::<f64>().prop_filter("finite", |n| n.is_finite())) {
            let text = serde_json::to_string(&n).unwrap();
            prop_assert_eq!(number(&text), Some(text));
        }

        #[test]
        fn thousands_commas_change_nothing(n in any::<u64>()) {
            let plain = n.to_string();
            let grouped = plain.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect::<Vec<_>>().join(",");
            prop_assert_eq!(number(&grouped), Some(plain));
        }

        #[test]
        fn any_instant_written_as_strava_writes_it_reads_back(second in 0_i64..4_102_444_800) {
            let at = jiff::Timestamp::from_second(second).unwrap();
            let cell = at.strftime("%b %-d, %Y, %-I:%M:%S %p").to_string();
            prop_assert_eq!(instant(&cell), Some(at));
        }

        #[test]
        fn no_cell_makes_the_readers_panic(cell in ".*") {
            let _ = (number(&cell), instant(&cell), boolean(&cell), value(&cell), number(&cell).map(whole), kilometres_as_metres(&cell));
        }
    }
}
