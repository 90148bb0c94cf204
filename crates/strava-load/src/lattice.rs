//! The column types, what a value asks of a column, and which widenings lose nothing.

use std::fmt;

/// The type of one value in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scalar {
    Boolean,
    Bigint,
    Double,
    Numeric,
    Date,
    Timestamptz,
    Text,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    One(Scalar),
    Many(Scalar),
    /// Only empty arrays so far: jsonb in the database, any array type as soon as one has content.
    Empty,
    Json,
}

/// What was seen at one place: a set, so that many values add up to one question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen(u8);

impl Seen {
    pub const NOTHING: Seen = Seen(0);
    pub const BOOLEAN: Seen = Seen(1);
    /// An integer that a double holds: at most 2^53 from zero.
    pub const INTEGER: Seen = Seen(2);
    /// A bigint that a double may round.
    pub const WIDE_INTEGER: Seen = Seen(4);
    pub const DOUBLE: Seen = Seen(8);
    pub const NUMERIC: Seen = Seen(16);
    pub const DATE: Seen = Seen(32);
    pub const TIMESTAMP: Seen = Seen(64);
    pub const TEXT: Seen = Seen(128);

    pub const NUMBERS: Seen = Seen(2 | 4 | 8 | 16);
    const STRINGS: Seen = Seen(32 | 64 | 128);

    pub fn and(self, other: Seen) -> Seen {
        Seen(self.0 | other.0)
    }

    pub fn is_nothing(self) -> bool {
        self.0 == 0
    }

    pub fn among(self, some: Seen) -> Seen {
        Seen(self.0 & some.0)
    }

    pub fn is_wide(self) -> bool {
        self.has(Seen::WIDE_INTEGER)
    }

    fn has(self, other: Seen) -> bool {
        self.0 & other.0 != 0
    }

    pub fn only(self, allowed: Seen) -> bool {
        self.0 & !allowed.0 == 0
    }

    /// The narrowest scalar that holds all of it, text where kinds are mixed.
    pub fn scalar(self) -> Scalar {
        if self.only(Seen::NUMBERS) {
            self.number()
        } else if self.only(Seen::BOOLEAN) {
            Scalar::Boolean
        } else if self.only(Seen::DATE) {
            Scalar::Date
        } else if self.only(Seen::TIMESTAMP) {
            Scalar::Timestamptz
        } else {
            Scalar::Text
        }
    }

    /// The array type that holds elements like these.
    ///
    /// Strings in arrays stay text: an array of times could not become jsonb again as it was written.
    pub fn array(self) -> Type {
        if self.is_nothing() {
            Type::Empty
        } else if self.only(Seen::NUMBERS) {
            Type::Many(self.number())
        } else if self.only(Seen::BOOLEAN) {
            Type::Many(Scalar::Boolean)
        } else if self.only(Seen::STRINGS) {
            Type::Many(Scalar::Text)
        } else {
            Type::Json
        }
    }

    fn number(self) -> Scalar {
        let fractions = self.has(Seen::DOUBLE);
        if self.has(Seen::NUMERIC) || (fractions && self.has(Seen::WIDE_INTEGER)) {
            Scalar::Numeric
        } else if fractions {
            Scalar::Double
        } else {
            Scalar::Bigint
        }
    }
}

/// What one value of a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    One(Seen),
    Many(Seen),
    /// An empty object, an object below the third level, an array of more than scalars.
    Json,
}

impl Value {
    /// Whether an integer beyond 2^53 is in it.
    pub fn is_wide(self) -> bool {
        matches!(self, Value::One(seen) | Value::Many(seen) if seen.is_wide())
    }
}

/// What has to happen to a column before it takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    Fits,
    Widens(Type),
    Conflicts,
}

impl Scalar {
    /// What a column of this type is known to hold; `wide` says that a bigint holds one beyond 2^53.
    fn seen(self, wide: bool) -> Seen {
        match self {
            Scalar::Boolean => Seen::BOOLEAN,
            Scalar::Bigint if wide => Seen::WIDE_INTEGER,
            Scalar::Bigint => Seen::INTEGER,
            Scalar::Double => Seen::DOUBLE,
            Scalar::Numeric => Seen::NUMERIC,
            Scalar::Date => Seen::DATE,
            Scalar::Timestamptz => Seen::TIMESTAMP,
            Scalar::Text => Seen::TEXT,
        }
    }

    fn is_number(self) -> bool {
        matches!(self, Scalar::Bigint | Scalar::Double | Scalar::Numeric)
    }

    fn sql(self) -> &'static str {
        match self {
            Scalar::Boolean => "boolean",
            Scalar::Bigint => "bigint",
            Scalar::Double => "double precision",
            Scalar::Numeric => "numeric",
            Scalar::Date => "date",
            Scalar::Timestamptz => "timestamp with time zone",
            Scalar::Text => "text",
        }
    }

    /// The object id of the type, the same in every PostgreSQL.
    pub fn oid(self) -> u32 {
        match self {
            Scalar::Boolean => 16,
            Scalar::Bigint => 20,
            Scalar::Double => 701,
            Scalar::Numeric => 1700,
            Scalar::Date => 1082,
            Scalar::Timestamptz => 1184,
            Scalar::Text => 25,
        }
    }
}

impl Type {
    /// Whether `value` fits this column, and if not, which lossless widening makes it fit.
    pub fn fit(self, wide: bool, value: Value) -> Fit {
        let wanted = match (self, value) {
            (Type::Json, _) | (Type::One(Scalar::Text), Value::One(_)) => self,
            (Type::One(held), Value::One(seen)) if held.is_number() && seen.only(Seen::NUMBERS) => {
                Type::One(held.seen(wide).and(seen).scalar())
            }
            (Type::One(held), Value::One(seen)) if seen.only(held.seen(false)) => self,
            (Type::Many(held), Value::Many(seen)) => held.seen(wide).and(seen).array(),
            (Type::Many(_), Value::Json) => Type::Json,
            (Type::Empty, Value::Many(seen)) => seen.array(),
            (Type::Empty, Value::One(_) | Value::Json) => Type::Json,
            (Type::One(_), _) | (Type::Many(_), Value::One(_)) => return Fit::Conflicts,
        };
        if wanted == self {
            Fit::Fits
        } else {
            Fit::Widens(wanted)
        }
    }

    /// The expression that turns column `name` of this type into `to` without a loss, or as asked for
    /// where `to` is text or jsonb.
    pub fn conversion(self, name: &str, to: Type) -> String {
        use Scalar::{Double, Numeric};
        match (self, to) {
            // The shortest text that reads back as the same double: the decimal that was written.
            (Type::One(Double), Type::One(Numeric)) => format!("{name}::text::numeric"),
            (Type::Many(Double), Type::Many(Numeric)) => format!("{name}::text[]::numeric[]"),
            (Type::Empty, Type::Json) => name.to_owned(),
            (Type::Empty, Type::Many(_)) => format!("translate({name}::text, '[]', '{{}}')::{to}"),
            (Type::One(_) | Type::Many(_), Type::Json) => format!("to_jsonb({name})"),
            _ => format!("{name}::{to}"),
        }
    }

    /// The type of an existing column; `None` for one that this program does not write.
    pub fn from_sql(name: &str) -> Option<Type> {
        let scalar = |name: &str| {
            Some(match name {
                "boolean" => Scalar::Boolean,
                "bigint" => Scalar::Bigint,
                "double precision" => Scalar::Double,
                "numeric" => Scalar::Numeric,
                "date" => Scalar::Date,
                "timestamp with time zone" => Scalar::Timestamptz,
                "text" => Scalar::Text,
                _ => return None,
            })
        };
        match name.strip_suffix("[]") {
            Some(element) => scalar(element).map(Type::Many),
            None if name == "jsonb" => Some(Type::Json),
            None => scalar(name).map(Type::One),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::One(scalar) => f.write_str(scalar.sql()),
            Type::Many(scalar) => write!(f, "{}[]", scalar.sql()),
            Type::Empty | Type::Json => f.write_str("jsonb"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(scalar: Scalar) -> Type {
        Type::One(scalar)
    }

    #[test]
    fn integers_and_fractions_meet_in_a_double_only_while_it_holds_both_exactly() {
        let bigint = one(Scalar::Bigint);
        assert_eq!(bigint.fit(false, Value::One(Seen::WIDE_INTEGER)), Fit::Fits);
        assert_eq!(
            bigint.fit(false, Value::One(Seen::DOUBLE)),
            Fit::Widens(one(Scalar::Double))
        );
        assert_eq!(
            bigint.fit(true, Value::One(Seen::DOUBLE)),
            Fit::Widens(one(Scalar::Numeric))
        );
        let double = one(Scalar::Double);
        assert_eq!(double.fit(false, Value::One(Seen::INTEGER)), Fit::Fits);
        assert_eq!(
            double.fit(false, Value::One(Seen::WIDE_INTEGER)),
            Fit::Widens(one(Scalar::Numeric))
        );
    }

    #[test]
    fn text_takes_every_scalar_and_nothing_else_takes_a_string() {
        assert_eq!(
            one(Scalar::Text).fit(false, Value::One(Seen::BOOLEAN)),
            Fit::Fits
        );
        assert_eq!(one(Scalar::Text).fit(false, Value::Json), Fit::Conflicts);
        for held in [
            Scalar::Boolean,
            Scalar::Bigint,
            Scalar::Numeric,
            Scalar::Date,
            Scalar::Timestamptz,
        ] {
            assert_eq!(
                one(held).fit(false, Value::One(Seen::TEXT)),
                Fit::Conflicts,
                "{held:?}"
            );
        }
        assert_eq!(
            one(Scalar::Timestamptz).fit(false, Value::One(Seen::DATE)),
            Fit::Conflicts
        );
    }

    #[test]
    fn an_empty_array_waits_for_its_type() {
        assert_eq!(
            Type::Empty.fit(false, Value::Many(Seen::NOTHING)),
            Fit::Fits
        );
        assert_eq!(
            Type::Empty.fit(false, Value::Many(Seen::DOUBLE)),
            Fit::Widens(Type::Many(Scalar::Double))
        );
        assert_eq!(
            Type::Many(Scalar::Double).fit(false, Value::Many(Seen::NOTHING)),
            Fit::Fits
        );
        assert_eq!(
            Type::Many(Scalar::Bigint).fit(false, Value::Many(Seen::TEXT)),
            Fit::Widens(Type::Json)
        );
    }

    #[test]
    fn names_of_types_are_read_back() {
        for kind in [
            one(Scalar::Timestamptz),
            Type::Many(Scalar::Double),
            Type::Json,
        ] {
            assert_eq!(Type::from_sql(&kind.to_string()), Some(kind));
        }
        assert_eq!(Type::from_sql("integer"), None);
    }
}
