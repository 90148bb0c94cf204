//! The columns of a table while it is loaded: the fixed ones, and one for each path of the payload.

use std::collections::HashMap;

use crate::{
    lattice::{Scalar, Type},
    names,
};

/// The columns before the payload's, in the order in which rows are written.
pub const FIXED: [(&str, Scalar); 11] = [
    ("_stream", Scalar::Text),
    ("_id", Scalar::Text),
    ("_athlete_id", Scalar::Text),
    ("_fetched_at", Scalar::Timestamptz),
    ("_origin", Scalar::Text),
    ("_row_hash", Scalar::Bigint),
    ("_deleted", Scalar::Boolean),
    ("_load_id", Scalar::Bigint),
    ("_source_file", Scalar::Text),
    ("_source_row", Scalar::Bigint),
    ("_loaded_at", Scalar::Timestamptz),
];

/// PostgreSQL ends at 1,600 columns, and a table remembers those it dropped.
pub const MOST: usize = 1_500;

/// A column that a path of the payload fills.
#[derive(Clone, Debug)]
pub struct Column {
    pub path: String,
    pub name: String,
    pub kind: Type,
    /// A bigint column that holds an integer beyond 2^53.
    pub wide: bool,
    /// Not in the target yet: no row and no reader depends on its type.
    pub new: bool,
    pub values: u64,
    pub misfits: u64,
    /// One of the misfits was no scalar.
    pub odd_shape: bool,
    depth: usize,
}

/// A step that the private staging table has to go through.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Rename { from: String, to: String },
    Add { name: String, kind: Type },
    Retype { name: String, from: Type, to: Type },
}

/// All columns of the payload, in the order of the table.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    list: Vec<Column>,
    /// Names in use, and which column has it; `None` for one that no path fills.
    taken: HashMap<String, Option<usize>>,
}

impl Columns {
    /// The payload's columns of a table that has only the fixed ones.
    pub fn new() -> Columns {
        let taken = FIXED
            .iter()
            .map(|(name, _)| ((*name).to_owned(), None))
            .collect();
        Columns {
            list: Vec::new(),
            taken,
        }
    }

    /// Takes up a column that the target has.
    pub fn keep(&mut self, path: String, name: String, kind: Type) {
        let depth = names::keys(&path).len();
        self.taken.insert(name.clone(), Some(self.list.len()));
        self.list.push(Column {
            path,
            name,
            kind,
            wide: false,
            new: false,
            values: 0,
            misfits: 0,
            odd_shape: false,
            depth,
        });
    }

    /// Gives a column that the target has another type, where a conflict asked for one.
    pub fn pin(&mut self, path: &str, kind: Type) {
        self.list
            .iter_mut()
            .filter(|column| column.path == path)
            .for_each(|column| column.kind = kind);
    }

    /// Leaves a name alone that somebody else uses in the target.
    pub fn avoid(&mut self, name: String) {
        self.taken.insert(name, None);
    }

    /// Makes a column for a path; the changes are for the table that is being filled.
    pub fn add(&mut self, keys: &[&str], kind: Type, changes: &mut Vec<Change>) -> usize {
        let path = names::path(keys);
        let natural = names::joined(keys, "_");
        let name = match self.taken.get(&natural) {
            None if names::fits(&natural) => natural,
            // The top-level key has the right to the name; who took it earlier moves.
            Some(Some(holder)) if keys.len() == 1 && self.list[*holder].depth > 1 => {
                let holder = *holder;
                let moved = self.nested_name(&self.list[holder].path);
                changes.push(Change::Rename {
                    from: natural.clone(),
                    to: moved.clone(),
                });
                self.taken.insert(moved.clone(), Some(holder));
                self.list[holder].name = moved;
                natural
            }
            Some(Some(holder)) if keys.len() > 1 && self.list[*holder].depth == 1 => {
                self.nested_name(&path)
            }
            _ => names::with_hash(&natural, &path),
        };
        changes.push(Change::Add {
            name: name.clone(),
            kind,
        });
        let index = self.list.len();
        self.taken.insert(name.clone(), Some(index));
        let depth = keys.len();
        self.list.push(Column {
            path,
            name,
            kind,
            wide: false,
            new: true,
            values: 0,
            misfits: 0,
            odd_shape: false,
            depth,
        });
        index
    }

    /// Where a top-level key has the flattened name: joined by two underscores.
    fn nested_name(&self, path: &str) -> String {
        let keys = names::keys(path);
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let name = names::joined(&keys, "__");
        if names::fits(&name) && !self.taken.contains_key(&name) {
            name
        } else {
            names::with_hash(&names::joined(&keys, "_"), path)
        }
    }

    /// Gives a column a wider type.
    pub fn retype(&mut self, index: usize, to: Type, changes: &mut Vec<Change>) {
        let column = &mut self.list[index];
        let from = std::mem::replace(&mut column.kind, to);
        changes.push(Change::Retype {
            name: column.name.clone(),
            from,
            to,
        });
    }

    /// Whether a column is text, which keeps a number that no other type holds.
    pub fn is_text(&self, index: usize) -> bool {
        self.list[index].kind == Type::One(Scalar::Text)
    }

    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Column> {
        self.list.iter()
    }

    pub fn at(&mut self, index: usize) -> &mut Column {
        &mut self.list[index]
    }

    /// All names as SQL wants them, fixed ones first: the order of every row.
    pub fn quoted_names(&self) -> Vec<String> {
        let fixed = FIXED.iter().map(|(name, _)| names::quoted(name));
        fixed
            .chain(self.list.iter().map(|column| names::quoted(&column.name)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(columns: &mut Columns, keys: &[&str]) -> (String, Vec<Change>) {
        let mut changes = Vec::new();
        let index = columns.add(keys, Type::One(Scalar::Text), &mut changes);
        (columns.at(index).name.clone(), changes)
    }

    #[test]
    fn a_top_level_key_keeps_its_name_in_whatever_order_it_comes() {
        let mut first = Columns::new();
        assert_eq!(add(&mut first, &["gear_id"]).0, "gear_id");
        assert_eq!(add(&mut first, &["gear", "id"]).0, "gear__id");

        let mut last = Columns::new();
        assert_eq!(add(&mut last, &["gear", "id"]).0, "gear_id");
        let (name, changes) = add(&mut last, &["gear_id"]);
        assert_eq!(name, "gear_id");
        assert_eq!(
            changes[0],
            Change::Rename {
                from: "gear_id".to_owned(),
                to: "gear__id".to_owned()
            }
        );
        let names = |columns: &Columns| {
            let mut names: Vec<_> = columns
                .iter()
                .map(|c| (c.path.clone(), c.name.clone()))
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(&first), names(&last));
    }

    #[test]
    fn any_further_clash_ends_in_a_hash_of_the_path() {
        let mut columns = Columns::new();
        assert_eq!(add(&mut columns, &["name"]).0, "name");
        let (second, _) = add(&mut columns, &["Name"]);
        assert!(
            second.starts_with("name_") && second.len() == 13,
            "{second}"
        );
        assert_eq!(add(&mut columns, &["a", "b_c"]).0, "a_b_c");
        assert!(add(&mut columns, &["a_b", "c"]).0.starts_with("a_b_c_"));
        assert!(add(&mut columns, &["_id"]).0.starts_with("_id_"));
    }
}
