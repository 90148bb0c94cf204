//! Learns from rows that do not fit which columns are missing or too narrow, and settles their types.

use std::collections::{BTreeMap, HashMap};

use jiter::{Jiter, Peek};

use crate::{
    columns::{Change, Columns, MOST},
    flatten::Leaves,
    lattice::{Fit, Scalar, Seen, Type, Value},
    reasons::{Fault, Reason},
    tree::{Tree, WHOLE},
    value::{Checker, Look, out_of_range},
};

/// In a new column one value in so many may be of another kind and count as bad; more, and the column is
/// text (or jsonb), which holds them all.
pub const ODD_ONE_OUT: u64 = 100;

/// Types that a restart has settled, by path.
pub type Pins = HashMap<String, Type>;

/// What rows asked for since the last time the columns changed.
#[derive(Debug, Default)]
pub struct Survey {
    row: Vec<(usize, Value)>,
    profiles: BTreeMap<usize, Profile>,
}

/// What values at one place were.
#[derive(Clone, Copy, Debug, Default)]
struct Profile {
    /// How many scalars of each family.
    families: [u64; FAMILIES.len()],
    scalars: Seen,
    arrays: u64,
    elements: Seen,
    json: u64,
}

/// Kinds of scalars that no column but text holds together.
const FAMILIES: [Seen; 5] = [
    Seen::NUMBERS,
    Seen::BOOLEAN,
    Seen::TIMESTAMP,
    Seen::DATE,
    Seen::TEXT,
];

/// Collects the leaves of one row.
#[derive(Debug)]
pub struct Surveyor<'a> {
    pub survey: &'a mut Survey,
    pub columns: &'a Columns,
    pub checker: &'a mut Checker,
}

impl Leaves for Surveyor<'_> {
    fn leaf(
        &mut self,
        node: usize,
        column: Option<usize>,
        json: &mut Jiter<'_>,
        peek: Peek,
    ) -> Result<(), Fault> {
        let value = match self.checker.look(json, peek)? {
            Look::Value(value) => value,
            Look::OutOfRange if column.is_some_and(|index| self.columns.is_text(index)) => {
                Value::One(Seen::TEXT)
            }
            Look::OutOfRange => return Err(out_of_range()),
        };
        self.survey.row.push((node, value));
        Ok(())
    }

    fn empty_object(&mut self, node: usize, _column: Option<usize>) -> Result<(), Fault> {
        self.survey.row.push((node, Value::Json));
        Ok(())
    }
}

impl Survey {
    pub fn begin_row(&mut self) {
        self.row.clear();
    }

    /// What the row that was looked at last has for a column.
    pub fn value_of(&self, tree: &Tree, column: usize) -> Option<Value> {
        let mut values = self
            .row
            .iter()
            .filter(|(node, _)| tree.column(*node) == Some(column));
        values.next().map(|(_, value)| *value)
    }

    /// Takes what the row asks for, unless a value in it fits its column in no way: that row will be set
    /// aside and must leave no trace.
    pub fn take_row(
        &mut self,
        tree: &Tree,
        columns: &mut Columns,
        changes: &mut Vec<Change>,
    ) -> Result<(), Fault> {
        let held = |node: &usize| tree.column(*node);
        for (node, value) in &self.row {
            if let Some(index) = held(node) {
                let column = columns.at(index);
                if column.kind.fit(column.wide, *value) == Fit::Conflicts {
                    return Err(Fault::Misfit(Some(index)));
                }
            }
        }
        let unknown = self.row.iter().filter(|(node, _)| held(node).is_none());
        let more = unknown
            .filter(|(node, _)| !self.profiles.contains_key(node))
            .count();
        if columns.len() + self.profiles.len() + more > MOST {
            return Err(Fault::reject(
                Reason::TooWide,
                format!("a table has at most {MOST} columns here"),
            ));
        }
        for (node, value) in self.row.drain(..) {
            let Some(index) = tree.column(node) else {
                self.profiles.entry(node).or_default().count(value);
                continue;
            };
            let column = columns.at(index);
            if let Fit::Widens(to) = column.kind.fit(column.wide, value) {
                columns.retype(index, to, changes);
            }
            let column = columns.at(index);
            column.wide |= value.is_wide();
        }
        Ok(())
    }

    /// Makes the columns that were asked for, in the order in which their keys were first met.
    ///
    /// `tolerant`: an odd one out among a hundred is bad data, not a reason for another type.
    pub fn settle(
        &mut self,
        tree: &mut Tree,
        columns: &mut Columns,
        pins: &Pins,
        tolerant: bool,
        changes: &mut Vec<Change>,
    ) {
        for (node, profile) in std::mem::take(&mut self.profiles) {
            let keys: Vec<String> = tree.keys(node).into_iter().map(str::to_owned).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            let pinned = pins.get(&crate::names::path(&keys)).copied();
            let whole = node == WHOLE;
            let kind = pinned.unwrap_or_else(|| {
                if whole {
                    Type::Json
                } else {
                    profile.kind(tolerant)
                }
            });
            let index = columns.add(&keys, kind, changes);
            columns.at(index).wide = profile.scalars.and(profile.elements).is_wide();
            tree.set_column(node, index);
        }
    }
}

impl Profile {
    fn count(&mut self, value: Value) {
        match value {
            Value::One(seen) => {
                self.scalars = self.scalars.and(seen);
                if let Some(family) = FAMILIES.iter().position(|family| seen.only(*family)) {
                    self.families[family] += 1;
                }
            }
            Value::Many(seen) => {
                self.arrays += 1;
                self.elements = self.elements.and(seen);
            }
            Value::Json => self.json += 1,
        }
    }

    /// The narrowest type that holds what was seen.
    fn kind(&self, tolerant: bool) -> Type {
        let scalars: u64 = self.families.iter().sum();
        let others = self.arrays + self.json;
        let negligible = |odd: u64| odd == 0 || (tolerant && odd * ODD_ONE_OUT <= scalars + others);
        if negligible(others) {
            let mut families = FAMILIES.iter().zip(self.families);
            let dominant = families.find(|(_, count)| negligible(scalars + others - count));
            let kind = dominant.map(|(family, _)| self.scalars.among(*family).scalar());
            Type::One(kind.unwrap_or(Scalar::Text))
        } else if negligible(scalars) && self.json == 0 {
            self.elements.array()
        } else {
            Type::Json
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(values: &[(Value, u64)], tolerant: bool) -> Type {
        let mut profile = Profile::default();
        for (value, times) in values {
            (0..*times).for_each(|_| profile.count(*value));
        }
        profile.kind(tolerant)
    }

    #[test]
    fn one_odd_value_in_a_hundred_is_bad_data_and_more_is_another_type() {
        let numbers = |times| (Value::One(Seen::INTEGER), times);
        let text = |times| (Value::One(Seen::TEXT), times);
        assert_eq!(
            kind(&[numbers(100), text(1)], true),
            Type::One(Scalar::Bigint)
        );
        assert_eq!(
            kind(&[numbers(100), text(1)], false),
            Type::One(Scalar::Text)
        );
        assert_eq!(kind(&[numbers(50), text(1)], true), Type::One(Scalar::Text));
        assert_eq!(
            kind(&[text(100), numbers(1)], true),
            Type::One(Scalar::Text)
        );
    }

    #[test]
    fn what_no_scalar_or_array_type_holds_is_jsonb() {
        let arrays = (Value::Many(Seen::DOUBLE), 2);
        assert_eq!(
            kind(&[arrays, (Value::Many(Seen::NOTHING), 3)], true),
            Type::Many(Scalar::Double)
        );
        assert_eq!(kind(&[arrays, (Value::Json, 1)], true), Type::Json);
        assert_eq!(
            kind(&[arrays, (Value::One(Seen::TEXT), 1)], true),
            Type::Json
        );
        assert_eq!(kind(&[(Value::Many(Seen::NOTHING), 1)], true), Type::Empty);
    }
}
