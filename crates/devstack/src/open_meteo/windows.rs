//! The spans of time that are asked for, within what a host has.

use jiff::civil::{Date, DateTime};
use jiff::{SignedDuration, Timestamp, ToSpan as _, tz::Offset};

use super::query::{Parameters, invalid};
use super::simulator::Host;

/// The windows of the hourly part, one or one per coordinate; without any, the next seven days.
pub(super) fn windows(
    parameters: &Parameters,
    host: Host,
    now: Timestamp,
    offset: Offset,
) -> Result<Vec<(Timestamp, Timestamp)>, String> {
    let utc = |local: DateTime| {
        offset
            .to_timestamp(local)
            .map_err(|error| error.to_string())
    };
    let by_hours = pairs(parameters, "start_hour", "end_hour", |text| {
        text.parse::<DateTime>()
            .map_err(|_| invalid("IsoDateTime", text))
    })?;
    let by_dates = pairs(parameters, "start_date", "end_date", |text| {
        text.parse::<Date>()
            .map(|date| date.at(0, 0, 0, 0))
            .map_err(|_| invalid("IsoDate", text))
    })?;
    let today = offset.to_datetime(now).date();
    let allowed = match host {
        Host::Forecast => (today - 93.days(), today + 16.days()),
        Host::Archive => (Date::constant(1940, 1, 1), today),
        Host::HistoricalForecast => (Date::constant(2016, 1, 1), today + 16.days()),
    };
    let mut windows = Vec::new();
    let with_lengths = by_hours
        .iter()
        .map(|pair| (pair, 1.hour()))
        .chain(by_dates.iter().map(|pair| (pair, 1.day())));
    for (&(from, to), last) in with_lengths {
        if to < from {
            return Err("End-date must be larger or equals than start-date".to_owned());
        }
        for (name, date) in [("start_date", from.date()), ("end_date", to.date())] {
            if date < allowed.0 || date > allowed.1 {
                let (first, last) = allowed;
                return Err(format!(
                    "Parameter '{name}' is out of allowed range from {first} to {last}"
                ));
            }
        }
        windows.push((utc(from)?, utc(to + last)?));
    }
    if windows.is_empty() {
        let days = |name: &str, default: i64, most: i64| match parameters
            .get(name)
            .map(|text| text.parse::<i64>())
        {
            None => Ok(default),
            Some(Ok(days)) if (0..=most).contains(&days) => Ok(days),
            Some(_) => Err(format!(
                "Parameter '{name}' is invalid. Allowed range 0 to {most}."
            )),
        };
        let (past, ahead) = (days("past_days", 0, 92)?, days("forecast_days", 7, 16)?);
        if host == Host::Archive {
            return Err("Both 'start_date' and 'end_date' must be set".to_owned());
        }
        let midnight = utc(today.at(0, 0, 0, 0))?;
        let at = |days: i64| midnight + SignedDuration::from_hours(24 * days);
        windows.push((at(-past), at(ahead)));
    }
    Ok(windows)
}

fn pairs(
    parameters: &Parameters,
    start: &str,
    end: &str,
    read: impl Fn(&str) -> Result<DateTime, String>,
) -> Result<Vec<(DateTime, DateTime)>, String> {
    let list = |name: &str| match parameters.get(name) {
        None => Ok(Vec::new()),
        Some(text) => text
            .split(',')
            .map(|item| read(item.trim()))
            .collect::<Result<Vec<_>, _>>(),
    };
    let (starts, ends) = (list(start)?, list(end)?);
    if starts.len() != ends.len() {
        return Err(format!(
            "Both '{start}' and '{end}' must be set, with the same number of elements"
        ));
    }
    Ok(starts.into_iter().zip(ends).collect())
}
