//! What two tasks need: landing contract, storage, credentials, database URL and how a task runs and ends.

mod aws;
pub mod check;
pub mod credentials;
pub mod database_tls;
pub mod database_url;
pub mod kafka;
pub mod landing;
pub mod storage;
pub mod task;
pub mod vitals;
pub mod weather;
