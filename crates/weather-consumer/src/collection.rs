//! The collection's end of the arrow: readings under their event ids, the newer one wins.
//!
//! Written by the `insert` and `update` commands themselves, which every server version takes; the
//! driver's helpers do not tell of each statement. They are repeated as often as need be: what is there
//! already, or newer, stays.

mod document;
mod errors;
mod writer;

use std::time::Duration;

use anyhow::Context as _;
use common::task::Refused;
use mongodb::{
    Client, Database,
    bson::{Document, RawArrayBuf, RawDocumentBuf, doc, raw::cstr},
    options::ClientOptions,
};
use secrecy::{ExposeSecret as _, SecretString};

pub use document::{Unfit, document};
pub use errors::{Error, Rejection, Why};
pub use writer::{Write, write};

/// Where the readings go. The address is a secret: it may hold a password.
#[derive(Clone, Debug)]
pub struct Address {
    pub uri: SecretString,
    pub database: String,
    pub collection: String,
}

/// The collection of the near-realtime readings.
#[derive(Clone, Debug)]
pub struct Collection {
    database: Database,
    name: String,
}

impl Collection {
    /// Opens it; nothing is asked of the server yet.
    ///
    /// # Errors
    /// An address that is none, marked [`Refused`].
    pub async fn open(address: &Address) -> anyhow::Result<Self> {
        let unusable = || Refused::new("read MONGODB_URI: it is no address of a MongoDB server");
        // The driver's own error would quote the address, password and all.
        let mut options = ClientOptions::parse(address.uri.expose_secret())
            .await
            .map_err(|_| unusable())?;
        options
            .app_name
            .get_or_insert_with(|| "weather-consumer".to_owned());
        // Also how long the driver's own heartbeat waits before it breaks off every command under way:
        // a server that is merely busy must not be taken for one that is gone.
        options.connect_timeout.get_or_insert(COMMAND_LIMIT);
        options
            .server_selection_timeout
            .get_or_insert(Duration::from_secs(5));
        let client = Client::with_options(options).map_err(|_| unusable())?;
        Ok(Self {
            database: client.database(&address.database),
            name: address.collection.clone(),
        })
    }

    /// Asks the server for its name; changes nothing.
    pub async fn check(&self) -> Result<(), Error> {
        self.database
            .run_command(doc! { "ping": 1 })
            .await
            .map_err(Error::from)?;
        let count = doc! { "count": &self.name, "query": {}, "limit": 1 };
        self.database
            .run_command(count)
            .await
            .map(drop)
            .map_err(Error::from)
    }

    /// Makes the indexes that are missing: readings of a place by time, and the one that lets the
    /// server delete what is older than `expire_after`, counted from the slot.
    pub async fn prepare(&self, expire_after: Option<Duration>) -> Result<(), Error> {
        let by_place = doc! { "key": { "location_id": 1, "slot": -1 }, "name": "location_id_slot" };
        self.create_index(by_place).await?;
        let Some(expire_after) = expire_after else {
            return Ok(());
        };
        let seconds = i64::try_from(expire_after.as_secs()).unwrap_or(i64::MAX);
        let by_age =
            doc! { "key": { "slot": 1 }, "name": "slot_expiry", "expireAfterSeconds": seconds };
        match self.create_index(by_age).await {
            Err(error) if error.is_index_with_other_options() => {
                let index = doc! { "keyPattern": { "slot": 1 }, "expireAfterSeconds": seconds };
                let change = doc! { "collMod": &self.name, "index": index };
                self.database
                    .run_command(change)
                    .await
                    .map(drop)
                    .map_err(Error::from)
            }
            made => made,
        }
    }

    async fn create_index(&self, index: Document) -> Result<(), Error> {
        let command = doc! { "createIndexes": &self.name, "indexes": [index] };
        self.database
            .run_command(command)
            .await
            .map(drop)
            .map_err(Error::from)
    }

    /// Stores these readings, in any order. Gives those that were rejected.
    ///
    /// # Errors
    /// The whole command failed; some of it may have been stored.
    pub async fn store(
        &self,
        how: How,
        documents: impl Iterator<Item = &RawDocumentBuf>,
    ) -> Result<Vec<Rejection>, Error> {
        let mut readings = RawArrayBuf::new();
        for document in documents {
            match how {
                How::Insert => readings.push(document),
                How::Upsert => readings.push(&document::upsert(document)?),
            }
        }
        let mut concern = RawDocumentBuf::new();
        concern.append(cstr!("w"), "majority");
        let (verb, list) = match how {
            How::Insert => (cstr!("insert"), cstr!("documents")),
            How::Upsert => (cstr!("update"), cstr!("updates")),
        };
        let mut command = RawDocumentBuf::new();
        command.append(verb, self.name.as_str());
        command.append(list, readings);
        command.append(cstr!("ordered"), false);
        command.append(cstr!("writeConcern"), concern);
        let answer = self
            .database
            .run_raw_command(command)
            .await
            .map_err(Error::from)?;
        errors::rejections(&answer)
    }
}

/// How readings are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Those whose id is not there: for a server half the work, and most readings are new.
    Insert,
    /// Those than which there is no newer.
    Upsert,
}

/// How long one command may take before the connection counts as broken: the driver has no such limit.
pub const COMMAND_LIMIT: Duration = Duration::from_secs(30);

/// In words for a person: what was attempted.
pub(crate) trait Attempted<T> {
    fn attempted(self, what: &'static str) -> anyhow::Result<T>;
}

impl<T> Attempted<T> for Result<T, Error> {
    fn attempted(self, what: &'static str) -> anyhow::Result<T> {
        match self {
            Err(Error::Refused(detail)) => {
                Err(Refused::new(format!("MongoDB refused: {detail}"))).context(what)
            }
            other => other.context(what),
        }
    }
}
