//! Reads single JSON values, with every check that PostgreSQL would fail a whole COPY for.

use std::hash::{BuildHasher as _, RandomState};

use jiter::{Jiter, Peek};

use crate::{
    instant::{Instant, parse_date},
    lattice::{Seen, Value},
    number::{Decimal, Number},
    reasons::{Fault, Reason},
};

/// Levels of nesting in one value.
const DEEPEST: usize = 200;

/// Checks values that are kept as jsonb; holds what it needs from one value to the next.
#[derive(Debug, Default)]
pub struct Checker {
    hasher: RandomState,
    keys: Vec<u64>,
}

impl Checker {
    /// Reads a value of any shape, checked: no U+0000, no half character, no number beyond numeric, no
    /// key twice in one object.
    pub fn any(&mut self, json: &mut Jiter<'_>, peek: Peek) -> Result<(), Fault> {
        self.nested(json, peek, 1)
    }

    /// Reads the one value of a line, for the error that it has none.
    pub fn any_of_line(&mut self, json: &mut Jiter<'_>) -> Result<(), Fault> {
        let peek = json.peek()?;
        self.any(json, peek)?;
        Ok(json.finish()?)
    }

    fn nested(&mut self, json: &mut Jiter<'_>, peek: Peek, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Err(Fault::reject(
                Reason::TooDeep,
                format!("more than {DEEPEST} levels"),
            ));
        }
        match peek {
            Peek::Null => json.known_null()?,
            Peek::True | Peek::False => drop(json.known_bool(peek)?),
            Peek::String => drop(text(json)?),
            Peek::Array => {
                let mut element = json.known_array()?;
                while let Some(peek) = element {
                    self.nested(json, peek, depth + 1)?;
                    element = json.array_step()?;
                }
            }
            Peek::Object => self.object(json, depth)?,
            _ => {
                let token = json.known_number_bytes(peek)?;
                if Decimal::read(token).is_out_of_range() {
                    return Err(out_of_range());
                }
            }
        }
        Ok(())
    }

    fn object(&mut self, json: &mut Jiter<'_>, depth: usize) -> Result<(), Fault> {
        let begin = self.keys.len();
        let read = self.members(json, depth);
        let keys = &mut self.keys[begin..];
        keys.sort_unstable();
        let twice = keys.windows(2).any(|pair| pair[0] == pair[1]);
        self.keys.truncate(begin);
        read?;
        if twice {
            return Err(Fault::reject(
                Reason::DuplicateKey,
                format!("before byte {}", json.current_index()),
            ));
        }
        Ok(())
    }

    /// Leaves the hashes of the keys behind.
    fn members(&mut self, json: &mut Jiter<'_>, depth: usize) -> Result<(), Fault> {
        let mut key = json.known_object()?;
        while let Some(name) = key {
            if name.as_bytes().contains(&0) {
                return Err(Fault::reject(Reason::Nul, "a key has U+0000"));
            }
            self.keys.push(self.hasher.hash_one(name));
            let peek = json.peek()?;
            self.nested(json, peek, depth + 1)?;
            key = json.next_key()?;
        }
        Ok(())
    }

    /// Reads a value and says what a column must be to hold it; the value is not null.
    pub fn look(&mut self, json: &mut Jiter<'_>, peek: Peek) -> Result<Look, Fault> {
        Ok(match peek {
            Peek::Array => {
                let (mut seen, mut nested) = (Seen::NOTHING, false);
                let mut element = json.known_array()?;
                while let Some(peek) = element {
                    match peek {
                        Peek::Null => json.known_null()?,
                        Peek::Array | Peek::Object => {
                            self.any(json, peek)?;
                            nested = true;
                        }
                        peek => seen = seen.and(scalar(json, peek)?.ok_or_else(out_of_range)?),
                    }
                    element = json.array_step()?;
                }
                Look::Value(if nested {
                    Value::Json
                } else {
                    Value::Many(seen)
                })
            }
            Peek::Object => {
                self.any(json, peek)?;
                Look::Value(Value::Json)
            }
            peek => {
                scalar(json, peek)?.map_or(Look::OutOfRange, |seen| Look::Value(Value::One(seen)))
            }
        })
    }
}

/// What a value turned out to be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Look {
    Value(Value),
    /// A number that only text can hold.
    OutOfRange,
}

pub fn out_of_range() -> Fault {
    Fault::reject(Reason::OutOfRange, "a number beyond what numeric holds")
}

/// Reads a string that PostgreSQL can store.
pub fn text<'t>(json: &'t mut Jiter<'_>) -> Result<&'t str, Fault> {
    let text = json.known_str()?;
    if text.as_bytes().contains(&0) {
        return Err(Fault::reject(Reason::Nul, "a text has U+0000"));
    }
    Ok(text)
}

fn scalar(json: &mut Jiter<'_>, peek: Peek) -> Result<Option<Seen>, Fault> {
    Ok(match peek {
        Peek::True | Peek::False => {
            json.known_bool(peek)?;
            Some(Seen::BOOLEAN)
        }
        Peek::String => {
            let text = text(json)?;
            Some(
                if Instant::parse(text).is_some_and(|instant| instant.exact) {
                    Seen::TIMESTAMP
                } else if parse_date(text).is_some() {
                    Seen::DATE
                } else {
                    Seen::TEXT
                },
            )
        }
        _ => Number::read(json.known_number_bytes(peek)?).seen(),
    })
}
