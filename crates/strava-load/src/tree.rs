//! The keys met so far, as a tree that is walked along with each payload.

use crate::{
    columns::{Column, Columns, MOST},
    names,
};

/// Where a payload begins.
pub const ROOT: usize = 0;
/// A payload that is no object, as a leaf.
pub const WHOLE: usize = 1;

/// Keys that are only ever null have a node and no column; more than this many is no record any more.
const MOST_NODES: usize = 8 * MOST;

#[derive(Debug, Default)]
struct Node {
    key: Box<str>,
    parent: usize,
    column: Option<usize>,
    children: Vec<usize>,
    /// Which child comes next if this object has its keys in the order of the one before.
    expected: usize,
    /// The last row that had this key: a second time in one row is a duplicate.
    row: u64,
}

#[derive(Debug)]
pub struct Tree {
    nodes: Vec<Node>,
}

impl Tree {
    /// The tree of the columns that a table has.
    pub fn new(columns: &Columns) -> Tree {
        let mut tree = Tree {
            nodes: vec![Node::default(), Node::default()],
        };
        for (index, column) in columns.iter().enumerate() {
            tree.plant(column, index);
        }
        tree
    }

    fn plant(&mut self, column: &Column, index: usize) {
        let keys = names::keys(&column.path);
        let node = if keys.is_empty() {
            WHOLE
        } else {
            keys.iter()
                .fold(ROOT, |parent, key| match self.known_child(parent, key) {
                    Some(child) => child,
                    None => self.grow(parent, key),
                })
        };
        self.nodes[node].column = Some(index);
    }

    /// The node of `key` below `parent`, made where it is new; `None` when there are too many.
    pub fn child(&mut self, parent: usize, key: &str) -> Option<usize> {
        match self.known_child(parent, key) {
            Some(child) => Some(child),
            None if self.nodes.len() < MOST_NODES => Some(self.grow(parent, key)),
            None => None,
        }
    }

    fn known_child(&mut self, parent: usize, key: &str) -> Option<usize> {
        let children = self.nodes[parent].children.len();
        let expected = self.nodes[parent].expected;
        // Objects of one kind have their keys in one order: the first guess is nearly always right.
        for step in 0..children {
            let place = (expected + step) % children;
            let child = self.nodes[parent].children[place];
            if &*self.nodes[child].key == key {
                self.nodes[parent].expected = place + 1;
                return Some(child);
            }
        }
        None
    }

    fn grow(&mut self, parent: usize, key: &str) -> usize {
        let child = self.nodes.len();
        self.nodes.push(Node {
            key: key.into(),
            parent,
            ..Node::default()
        });
        self.nodes[parent].children.push(child);
        child
    }

    /// Notes that this row has the key; false when it had it before.
    pub fn visit(&mut self, node: usize, row: u64) -> bool {
        std::mem::replace(&mut self.nodes[node].row, row) != row
    }

    pub fn column(&self, node: usize) -> Option<usize> {
        self.nodes[node].column
    }

    pub fn set_column(&mut self, node: usize, column: usize) {
        self.nodes[node].column = Some(column);
    }

    /// The keys that lead to a node.
    pub fn keys(&self, node: usize) -> Vec<&str> {
        let mut keys = Vec::new();
        let mut at = node;
        while at > WHOLE {
            keys.push(&*self.nodes[at].key);
            at = self.nodes[at].parent;
        }
        keys.reverse();
        keys
    }
}
