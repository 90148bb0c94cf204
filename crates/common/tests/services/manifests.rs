//! The promises of a manifest, from the parts that it names to the list in which it is found.

use common::landing::{Counts, Envelope, Manifest, Origin, PartWriter, RunId, Stream, manifests};
use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::places::{Place, over_both};

over_both! {
    a_run_that_comes_again_with_nothing_new_leaves_one_manifest,
    manifests_are_found_among_the_parts_of_their_stream_alone,
}

async fn landed(place: &Place, stream: Stream, id: &str, run_id: &RunId) -> Manifest {
    let payload = RawValue::from_string(format!(r#"{{"id":{id}}}"#)).unwrap();
    let mut part = PartWriter::new(stream, "42", run_id).unwrap();
    part.push(&Envelope::new(
        stream,
        id,
        "42",
        Timestamp::UNIX_EPOCH,
        Origin::Api,
        &payload,
    ))
    .unwrap();
    let finished = part.finish().unwrap();
    place
        .storage
        .put_if_absent(&finished.part.key, finished.body)
        .await
        .unwrap();
    let mut manifest = Manifest::new(stream, Origin::Api, "42", run_id, Timestamp::now());
    manifest.counts = Counts {
        rows: finished.part.rows,
        deleted: finished.deleted,
    };
    manifest.parts = vec![finished.part];
    manifest.put(&place.storage).await.unwrap()
}

async fn a_run_that_comes_again_with_nothing_new_leaves_one_manifest(place: Place) {
    let run_id = "scheduled__2026-11-22T00:00:00+00:00".parse().unwrap();
    let first = landed(&place, Stream::Gear, "1", &run_id).await;
    assert_eq!(landed(&place, Stream::Gear, "1", &run_id).await, first);
    let second = landed(&place, Stream::Gear, "2", &run_id).await;
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(place.storage.list("").await.unwrap().len(), 4);
    assert_eq!(
        Manifest::read(&place.storage, &second.key()).await.unwrap(),
        second
    );
}

async fn manifests_are_found_among_the_parts_of_their_stream_alone(place: Place) {
    let run_id = RunId::random();
    let one = landed(&place, Stream::Activities, "1", &run_id).await;
    landed(&place, Stream::ActivityDetails, "1", &run_id).await;
    let found = manifests(&place.storage, Stream::Activities).await.unwrap();
    assert_eq!(
        found
            .into_iter()
            .map(|object| object.key)
            .collect::<Vec<_>>(),
        [one.key()]
    );
}
