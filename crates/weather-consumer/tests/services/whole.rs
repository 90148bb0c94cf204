//! What the topic holds, read from its start, and whether both sinks hold the same, each event once.

use std::collections::BTreeMap;

use common::weather;
use mongodb::bson::{Document, doc};
use rdkafka::Message as _;

use crate::{
    content::{Content, checksum},
    landed::Landed,
    world::World,
};

impl World {
    /// The collection by event id.
    pub(crate) fn documents(&self) -> BTreeMap<String, Content> {
        let collection = self.collection();
        self.wait_for(async {
            let mut cursor = collection.find(doc! {}).await.unwrap();
            let mut documents = BTreeMap::new();
            while cursor.advance().await.unwrap() {
                let document: Document = cursor.deserialize_current().unwrap();
                let content = Content::of_document(&document);
                documents.insert(content.event_id.clone(), content);
            }
            documents
        })
    }

    /// The good records of the topic, as both sinks should have them.
    pub(crate) fn expected(&self) -> (BTreeMap<String, Content>, Vec<Landed>) {
        let (mut documents, mut rows) = (BTreeMap::<_, Content>::new(), Vec::new());
        for record in self.records(&self.topic) {
            let Ok(reading) = weather::decode(record.key(), record.payload()) else {
                continue;
            };
            let content = Content::of_message(&reading);
            let newest = documents
                .entry(content.event_id.clone())
                .or_insert_with(|| content.clone());
            if newest.fetched_at < content.fetched_at {
                *newest = content.clone();
            }
            rows.push(Landed {
                partition: record.partition(),
                offset: record.offset(),
                content,
            });
        }
        rows.sort_by_key(|row| (row.partition, row.offset));
        (documents, rows)
    }

    /// Both sinks hold every good record exactly once; says by which checksums.
    pub(crate) fn assert_whole(&self) {
        let (documents, rows) = self.expected();
        let stored = self.documents();
        assert_eq!(stored.len(), documents.len(), "events in MongoDB");
        let (ours, theirs) = (checksum(stored.values()), checksum(documents.values()));
        assert_eq!(ours, theirs, "MongoDB differs from the topic");
        self.assert_landed(&rows);
        let landed = checksum(rows.iter().map(|row| &row.content));
        eprintln!(
            "{}: topic = MongoDB: {} events, sha256 {:.16}; topic = landing: {} records, sha256 {:.16}",
            self.topic,
            documents.len(),
            theirs,
            rows.len(),
            landed
        );
    }
}
