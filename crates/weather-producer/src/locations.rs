//! The places whose weather is wanted: `WEATHER_LOCATIONS`.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context as _, anyhow};
use common::storage::{LandingUrl, Storage};
use common::task::Refused;
use common::weather::Decimal;

use crate::table;

const COLUMNS: [&str; 5] = ["location_id", "name", "latitude", "longitude", "timezone"];
const LONGEST_ID: usize = 64;

/// One configured place. Its coordinates go as written into every message.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    pub id: String,
    pub latitude: Decimal<'static>,
    pub longitude: Decimal<'static>,
}

/// Reads the CSV from a path, or from `s3://bucket/key`.
///
/// # Errors
/// [`Refused`] with the line of what is wrong in it.
pub async fn read(address: &str) -> anyhow::Result<Vec<Location>> {
    let text = if address.starts_with("s3://") {
        let (folder, key) = address.rsplit_once('/').unwrap_or_default();
        let url: LandingUrl = folder
            .parse()
            .map_err(|error| anyhow!(Refused::new(format!("WEATHER_LOCATIONS: {error}"))))?;
        let object = Storage::open(&url)
            .await?
            .get(key)
            .await
            .context("read the locations")?;
        let (body, _) = object
            .ok_or_else(|| Refused::new(format!("WEATHER_LOCATIONS: there is no {address}")))?;
        body.to_vec()
    } else {
        let path = PathBuf::from(address);
        let refused = |error| {
            Refused::new(format!(
                "read WEATHER_LOCATIONS {}: {error}",
                path.display()
            ))
        };
        tokio::fs::read(&path).await.map_err(refused)?
    };
    parse(&text).map_err(|reason| {
        anyhow!(Refused::new(format!(
            "WEATHER_LOCATIONS {address}, {reason}"
        )))
    })
}

/// Reads the text of the CSV; the error names the line.
pub fn parse(csv: &[u8]) -> Result<Vec<Location>, String> {
    let mut locations = Vec::new();
    let mut lines = HashMap::new();
    table::read(csv, COLUMNS, |row| {
        let [id, _, latitude, longitude, _] = row.cells;
        let at = |reason: String| row.at(reason);
        let location = Location {
            id: id_of(id).map_err(at)?,
            latitude: coordinate(latitude, "latitude", 90.0).map_err(at)?,
            longitude: coordinate(longitude, "longitude", 180.0).map_err(at)?,
        };
        if let Some(first) = lines.insert(location.id.clone(), row.line) {
            return Err(row.at(format!(
                "the location_id {} is that of line {first} too",
                location.id
            )));
        }
        locations.push(location);
        Ok(())
    })?;
    if locations.is_empty() {
        return Err("line 2: no location".to_owned());
    }
    Ok(locations)
}

fn id_of(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let is_id = (1..=LONGEST_ID).contains(&text.len()) && text.bytes().all(allowed);
    is_id
        .then(|| text.to_owned())
        .ok_or_else(|| format!("a location_id is 1 to {LONGEST_ID} of A-Z a-z 0-9 . _ -"))
}

/// The message of a wrong one does not repeat it: coordinates stay out of logs.
pub fn coordinate(text: &str, name: &str, most: f64) -> Result<Decimal<'static>, String> {
    let number = Decimal::parse(text.to_owned()).filter(|number| number.as_f64().abs() <= most);
    number.ok_or_else(|| format!("the {name} is no number between -{most} and {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "location_id,name,latitude,longitude,timezone\n";

    fn refused(rows: &str) -> String {
        parse(format!("{HEADER}{rows}").as_bytes()).unwrap_err()
    }

    #[test]
    fn coordinates_keep_their_digits() {
        let locations =
            parse(format!("{HEADER}berlin,Berlin,52.520,13.4050,Europe/Berlin\n").as_bytes())
                .unwrap();
        assert_eq!(locations[0].id, "berlin");
        assert_eq!(
            (
                locations[0].latitude.as_str(),
                locations[0].longitude.as_str()
            ),
            ("52.520", "13.4050")
        );
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        assert_eq!(refused(""), "line 2: no location");
        assert!(
            refused("a,A,1,2,\nb,B,91,2,\n")
                .starts_with("line 3: the latitude is no number between -90 and 90")
        );
        assert!(refused("a,A,1,x,\n").starts_with("line 2: the longitude"));
        assert!(
            refused("a,A,1,2,\na,B,3,4,\n")
                .starts_with("line 3: the location_id a is that of line 2 too")
        );
        assert!(refused("a b,A,1,2,\n").starts_with("line 2: a location_id is"));
        assert!(
            refused(&format!("{},A,1,2,\n", "x".repeat(65)))
                .starts_with("line 2: a location_id is")
        );
        assert!(refused("a,A,1\n").starts_with("line 2: not 5 cells"));
        assert!(
            parse(b"id,lat\n")
                .unwrap_err()
                .starts_with("line 1: no column location_id")
        );
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_locations_or_a_line(csv: Vec<u8>) {
            if let Err(reason) = parse(&csv) {
                proptest::prop_assert!(reason.starts_with("line "), "{}", reason);
            }
        }
    }
}
