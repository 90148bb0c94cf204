//! The loader: landed JSON lines into Postgres, exactly, once, at the speed of COPY.

pub mod check;
pub mod columns;
pub mod config;
pub mod copy;
pub mod encode;
pub mod feed;
pub mod flatten;
pub mod instant;
pub mod landed;
pub mod lattice;
pub mod lines;
pub mod load;
pub mod loads;
pub mod merge;
pub mod names;
pub mod number;
pub mod reasons;
pub mod rejects;
pub mod rows;
pub mod staging;
pub mod status;
pub mod survey;
pub mod tree;
pub mod value;
pub mod views;
pub mod warehouse;
