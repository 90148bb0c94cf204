//! The loader against a real Postgres, over a landing directory and over S3.

mod flow;
mod world;
