//! What is in the landing, read back from the files.

use std::collections::BTreeSet;

use arrow_array::{Int32Array, Int64Array};
use bytes::Bytes;
use common::storage::{LandingUrl, Storage};
use parquet::{arrow::arrow_reader::ParquetRecordBatchReaderBuilder, file::reader::ChunkReader};
use weather_consumer::landing::{Footer, footer};

use crate::{
    content::{Content, checksum},
    world::World,
};

/// A row of a landed file, and the record that it is from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Landed {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) content: Content,
}

impl World {
    /// Every landed file with its footer.
    pub(crate) fn files(&self) -> Vec<(String, Footer, Bytes)> {
        let url: LandingUrl = self.landing.parse().unwrap();
        self.wait_for(async {
            let storage = Storage::open(&url).await.unwrap();
            let mut files = Vec::new();
            for object in storage.list("source=kafka/type=weather/").await.unwrap() {
                let (body, _) = storage.get(&object.key).await.unwrap().unwrap();
                files.push((object.key, footer(&body).unwrap(), body));
            }
            files
        })
    }

    /// Every landed row, by partition and offset.
    pub(crate) fn rows(&self) -> Vec<Landed> {
        let mut rows: Vec<Landed> = self
            .files()
            .into_iter()
            .flat_map(|(_, _, body)| rows_of(body))
            .collect();
        rows.sort_by_key(|row| (row.partition, row.offset));
        rows
    }

    pub(crate) fn assert_landed(&self, expected: &[Landed]) {
        let landed = self.rows();
        let places: BTreeSet<_> = landed
            .iter()
            .map(|row| (row.partition, row.offset))
            .collect();
        assert_eq!(places.len(), landed.len(), "a record is in two files");
        assert_eq!(
            landed.len(),
            expected.len(),
            "the landing has another number of rows than the topic"
        );
        let sum = |rows: &[Landed]| checksum(rows.iter().map(|row| &row.content));
        assert_eq!(
            sum(&landed),
            sum(expected),
            "the landing differs from the topic"
        );
        assert!(landed == expected, "a row names another record");
    }
}

fn rows_of(body: Bytes) -> Vec<Landed> {
    assert!(body.len() > 8 && ChunkReader::get_bytes(&body, 0, 4).unwrap() == "PAR1");
    let reader = ParquetRecordBatchReaderBuilder::try_new(body)
        .unwrap()
        .build()
        .unwrap();
    let mut rows = Vec::new();
    for batch in reader {
        let batch = batch.unwrap();
        let column = |name: &str| batch.column_by_name(name).unwrap().as_any();
        let partitions = column("_partition").downcast_ref::<Int32Array>().unwrap();
        let offsets = column("_offset").downcast_ref::<Int64Array>().unwrap();
        rows.extend((0..batch.num_rows()).map(|row| Landed {
            partition: partitions.value(row),
            offset: offsets.value(row),
            content: Content::of_row(&batch, row),
        }));
    }
    rows
}
