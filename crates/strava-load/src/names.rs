//! Column names out of JSON keys: snake case, joined, at most 63 bytes, and the path they came from.

use sha2::{Digest as _, Sha256};

/// PostgreSQL cuts longer identifiers off silently.
const LONGEST: usize = 63;
/// The path of a payload that is no object; a key of this name is written `\$`.
pub const WHOLE: &str = "$";

/// The path as it is kept in `strava_load.columns`: the keys as received, joined by dots.
///
/// A dot or backslash inside a key has a backslash before it, so that two paths never read alike.
pub fn path(keys: &[&str]) -> String {
    match keys {
        [] => WHOLE.to_owned(),
        [WHOLE] => format!("\\{WHOLE}"),
        keys => {
            let escaped = |key: &&str| key.replace('\\', "\\\\").replace('.', "\\.");
            keys.iter().map(escaped).collect::<Vec<_>>().join(".")
        }
    }
}

/// The keys of a path that [`path`] wrote.
pub fn keys(path: &str) -> Vec<String> {
    if path == WHOLE {
        return Vec::new();
    }
    let mut keys = vec![String::new()];
    let mut characters = path.chars();
    while let Some(character) = characters.next() {
        match character {
            '.' => keys.push(String::new()),
            _ => {
                let literal = if character == '\\' {
                    characters.next()
                } else {
                    Some(character)
                };
                if let (Some(key), Some(literal)) = (keys.last_mut(), literal) {
                    key.push(literal);
                }
            }
        }
    }
    keys
}

/// The name that the keys have by themselves, whoever else wants it.
pub fn joined(keys: &[&str], separator: &str) -> String {
    if keys.is_empty() {
        return "payload".to_owned();
    }
    keys.iter()
        .map(|key| snake_case(key))
        .collect::<Vec<_>>()
        .join(separator)
}

/// The name with 8 hex of the hash of its path at the end.
pub fn with_hash(name: &str, path: &str) -> String {
    let hash = Sha256::digest(path);
    let cut = name.floor_char_boundary(LONGEST - 9);
    format!(
        "{}_{:02x}{:02x}{:02x}{:02x}",
        &name[..cut],
        hash[0],
        hash[1],
        hash[2],
        hash[3]
    )
}

pub fn fits(name: &str) -> bool {
    name.len() <= LONGEST
}

fn snake_case(key: &str) -> String {
    let mut name = String::with_capacity(key.len() + 4);
    let (mut before, mut symbol) = ('_', false);
    let mut characters = key.chars().peekable();
    while let Some(character) = characters.next() {
        if character == '_' {
            name.push('_');
        } else if character.is_alphanumeric() {
            if symbol && !name.is_empty() && !name.ends_with('_') {
                name.push('_');
            } else if character.is_uppercase() {
                let next_is_lower = characters.peek().is_some_and(|next| next.is_lowercase());
                let word_begins = before.is_lowercase()
                    || before.is_numeric()
                    || (before.is_uppercase() && next_is_lower);
                if word_begins {
                    name.push('_');
                }
            }
            name.extend(character.to_lowercase());
        }
        symbol = character != '_' && !character.is_alphanumeric();
        before = character;
    }
    if name.is_empty() || name.starts_with(|first: char| first.is_numeric()) {
        name.insert(0, '_');
    }
    name
}

/// An identifier as SQL wants it.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_snake_case() {
        for (key, name) in [
            ("start_latlng", "start_latlng"),
            ("sportType", "sport_type"),
            ("HTTPServer", "http_server"),
            ("userID2", "user_id2"),
            ("avg speed (km/h)", "avg_speed_km_h"),
            ("a__b", "a__b"),
            ("2024", "_2024"),
            ("", "_"),
            ("()", "_"),
            ("Größe", "größe"),
        ] {
            assert_eq!(snake_case(key), name, "{key}");
        }
    }

    #[test]
    fn a_path_is_read_back_whatever_its_keys_hold() {
        for keys_in in [
            vec![],
            vec![""],
            vec!["$"],
            vec!["a.b", "c\\"],
            vec!["", ""],
            vec!["map", "id"],
        ] {
            let path = path(&keys_in);
            assert_eq!(keys(&path), keys_in, "{path}");
        }
        assert_eq!(path(&["map", "id"]), "map.id");
    }

    #[test]
    fn long_names_differ_by_their_hash() {
        let (one, other) = ("k".repeat(70) + "1", "k".repeat(70) + "2");
        let (one, other) = (with_hash(&one, &one), with_hash(&other, &other));
        assert_ne!(one, other);
        assert!(fits(&one) && fits(&with_hash(&"é".repeat(40), "x")));
    }
}
