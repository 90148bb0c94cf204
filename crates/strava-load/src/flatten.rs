//! Walks a payload to its leaves: objects three levels deep become columns, what lies deeper is one value.

use jiter::{Jiter, Peek};

use crate::{
    reasons::{Fault, Reason},
    tree::{ROOT, Tree, WHOLE},
};

/// So many keys make a column's path; an object below that is jsonb.
const LEVELS: usize = 3;

/// What happens at the leaves: they are looked at to learn the types, or encoded into the row.
pub trait Leaves {
    /// Reads the value that `json` stands before, which is never null.
    fn leaf(
        &mut self,
        node: usize,
        column: Option<usize>,
        json: &mut Jiter<'_>,
        peek: Peek,
    ) -> Result<(), Fault>;

    /// An object without keys: no column, and yet not null.
    fn empty_object(&mut self, node: usize, column: Option<usize>) -> Result<(), Fault>;
}

/// Walks the value that `json` stands before; `row` tells this row from the one before.
pub fn payload<L: Leaves>(
    json: &mut Jiter<'_>,
    peek: Peek,
    tree: &mut Tree,
    row: u64,
    leaves: &mut L,
) -> Result<(), Fault> {
    match peek {
        Peek::Object => object(json, tree, ROOT, 1, row, leaves).map(drop),
        Peek::Null => Ok(json.known_null()?),
        peek => leaves.leaf(WHOLE, tree.column(WHOLE), json, peek),
    }
}

/// Returns whether the object had any key.
fn object<L: Leaves>(
    json: &mut Jiter<'_>,
    tree: &mut Tree,
    parent: usize,
    level: usize,
    row: u64,
    leaves: &mut L,
) -> Result<bool, Fault> {
    let mut key = json.known_object()?;
    let any = key.is_some();
    while let Some(name) = key {
        if name.as_bytes().contains(&0) {
            return Err(Fault::reject(Reason::Nul, "a key has U+0000"));
        }
        let Some(node) = tree.child(parent, name) else {
            return Err(Fault::reject(
                Reason::TooWide,
                "more keys than a table has columns",
            ));
        };
        if !tree.visit(node, row) {
            return Err(Fault::reject(
                Reason::DuplicateKey,
                format!("at byte {}", json.current_index()),
            ));
        }
        match json.peek()? {
            Peek::Null => json.known_null()?,
            Peek::Object if level < LEVELS => {
                if !object(json, tree, node, level + 1, row, leaves)? {
                    leaves.empty_object(node, tree.column(node))?;
                }
            }
            peek => leaves.leaf(node, tree.column(node), json, peek)?,
        }
        key = json.next_key()?;
    }
    Ok(any)
}
