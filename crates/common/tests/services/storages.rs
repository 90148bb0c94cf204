//! The promises of a storage.

use bytes::Bytes;
use common::{
    storage::{Replaced, Storage, Version, Written},
    task::is_refused,
};
use futures_util::future::join_all;
use tokio::io::AsyncReadExt as _;

use crate::places::{Place, open, over_both, unique};

over_both! {
    a_put_creates_an_object_once_and_never_touches_it_again,
    what_is_not_there_is_none_and_no_error,
    a_replacement_needs_the_version_that_it_replaces,
    a_replacement_by_the_same_content_is_done_already,
    of_many_writers_at_once_one_wins,
    a_list_is_sorted_and_takes_a_prefix_to_the_letter,
    a_list_goes_on_behind_its_first_page,
    folders_are_those_that_hold_something,
    a_large_file_is_put_and_read_as_a_stream,
    a_deleted_object_is_gone_and_may_be_deleted_again,
    a_purge_takes_all_below_a_prefix_and_nothing_else,
    a_key_stays_inside_the_storage,
    a_place_that_is_missing_is_refused,
}

async fn put(storage: &Storage, key: &str, body: &'static str) -> Written {
    storage.put_if_absent(key, body.into()).await.unwrap()
}

async fn body(storage: &Storage, key: &str) -> Bytes {
    storage.get(key).await.unwrap().unwrap().0
}

async fn keys(storage: &Storage, prefix: &str) -> Vec<String> {
    storage
        .list(prefix)
        .await
        .unwrap()
        .into_iter()
        .map(|object| object.key)
        .collect()
}

fn done(replaced: Replaced) -> Version {
    match replaced {
        Replaced::Done(version) => version,
        Replaced::Changed => panic!("somebody else wrote in between"),
    }
}

async fn a_put_creates_an_object_once_and_never_touches_it_again(place: Place) {
    let storage = &place.storage;
    storage.check().await.unwrap();
    assert_eq!(put(storage, "a/b.json", "first").await, Written::Created);
    assert_eq!(put(storage, "a/b.json", "second").await, Written::Exists);
    assert_eq!(body(storage, "a/b.json").await, "first");
    assert_eq!(put(storage, "a/empty", "").await, Written::Created);
    assert_eq!(body(storage, "a/empty").await, "");
}

async fn what_is_not_there_is_none_and_no_error(place: Place) {
    let storage = &place.storage;
    assert!(storage.get("a/b").await.unwrap().is_none());
    assert!(storage.read("a/b").await.unwrap().is_none());
    assert!(storage.list("a/").await.unwrap().is_empty());
    assert!(storage.list_folders("").await.unwrap().is_empty());
    assert_eq!(storage.purge("a").await.unwrap(), 0);
}

async fn a_replacement_needs_the_version_that_it_replaces(place: Place) {
    let storage = &place.storage;
    let first = done(
        storage
            .replace("state.json", "1".into(), None)
            .await
            .unwrap(),
    );
    assert_eq!(
        storage
            .replace("state.json", "2".into(), None)
            .await
            .unwrap(),
        Replaced::Changed
    );
    let (content, read) = storage.get("state.json").await.unwrap().unwrap();
    assert_eq!((content, &read), ("1".into(), &first));
    let second = done(
        storage
            .replace("state.json", "2".into(), Some(&first))
            .await
            .unwrap(),
    );
    assert_ne!(first, second);
    assert_eq!(
        storage
            .replace("state.json", "3".into(), Some(&first))
            .await
            .unwrap(),
        Replaced::Changed
    );
    assert_eq!(body(storage, "state.json").await, "2");
    assert_eq!(
        storage
            .replace("other.json", "3".into(), Some(&first))
            .await
            .unwrap(),
        Replaced::Changed
    );
    assert!(storage.get("other.json").await.unwrap().is_none());
}

async fn a_replacement_by_the_same_content_is_done_already(place: Place) {
    let storage = &place.storage;
    let first = done(
        storage
            .replace("state.json", "1".into(), None)
            .await
            .unwrap(),
    );
    let second = done(
        storage
            .replace("state.json", "2".into(), Some(&first))
            .await
            .unwrap(),
    );
    assert_eq!(
        storage
            .replace("state.json", "2".into(), Some(&first))
            .await
            .unwrap(),
        Replaced::Done(second)
    );
}

async fn of_many_writers_at_once_one_wins(place: Place) {
    let storage = &place.storage;
    let puts = (0..8).map(|n| storage.put_if_absent("once", format!("writer {n}").into()));
    let created = join_all(puts)
        .await
        .into_iter()
        .filter(|put| *put.as_ref().unwrap() == Written::Created);
    assert_eq!(created.count(), 1);

    let first = done(
        storage
            .replace("state.json", "0".into(), None)
            .await
            .unwrap(),
    );
    let replacements =
        (1..=8).map(|n| storage.replace("state.json", format!("writer {n}").into(), Some(&first)));
    let won: Vec<_> = join_all(replacements)
        .await
        .into_iter()
        .filter(|it| *it.as_ref().unwrap() != Replaced::Changed)
        .collect();
    assert_eq!(won.len(), 1);
    assert_eq!(
        storage.get("state.json").await.unwrap().unwrap().1,
        done(won.into_iter().next().unwrap().unwrap())
    );
}

async fn a_list_is_sorted_and_takes_a_prefix_to_the_letter(place: Place) {
    let storage = &place.storage;
    for key in [
        "t=b/2.x",
        "t=a_c/1",
        "t=a/d/2",
        "t=a/d/1",
        "t=a/d/1.x",
        "t=ä/1",
        "z",
    ] {
        put(storage, key, key).await;
    }
    assert_eq!(
        keys(storage, "t=a").await,
        ["t=a/d/1", "t=a/d/1.x", "t=a/d/2", "t=a_c/1"]
    );
    assert_eq!(
        keys(storage, "t=a/").await,
        ["t=a/d/1", "t=a/d/1.x", "t=a/d/2"]
    );
    assert_eq!(keys(storage, "t=a/d/1.").await, ["t=a/d/1.x"]);
    assert_eq!(keys(storage, "t=a/d/1/").await, [""; 0]);
    assert_eq!(
        keys(storage, "").await,
        [
            "t=a/d/1",
            "t=a/d/1.x",
            "t=a/d/2",
            "t=a_c/1",
            "t=b/2.x",
            "t=ä/1",
            "z"
        ]
    );
    let object = storage.list("t=b").await.unwrap().remove(0);
    assert_eq!(object.bytes, 7);
    assert!(
        jiff::Timestamp::now()
            .duration_since(object.modified)
            .as_secs()
            .abs()
            < 60,
        "{object:?}"
    );
}

async fn a_list_goes_on_behind_its_first_page(place: Place) {
    let storage = &place.storage;
    let expected: Vec<_> = (0..1003).map(|n| format!("many/{n:04}")).collect();
    for batch in expected.chunks(50) {
        join_all(batch.iter().map(|key| put(storage, key, ""))).await;
    }
    assert_eq!(keys(storage, "many/").await, expected);
}

async fn folders_are_those_that_hold_something(place: Place) {
    let storage = &place.storage;
    for key in ["athlete=2/x", "athlete=10/y/z", "athlete=1/x", "plain"] {
        put(storage, key, "").await;
    }
    assert_eq!(
        storage.list_folders("").await.unwrap(),
        ["athlete=1", "athlete=10", "athlete=2"]
    );
    assert_eq!(storage.list_folders("athlete=10/").await.unwrap(), ["y"]);
    storage.delete("athlete=10/y/z").await.unwrap();
    assert_eq!(
        storage.list_folders("").await.unwrap(),
        ["athlete=1", "athlete=2"]
    );
}

async fn a_large_file_is_put_and_read_as_a_stream(place: Place) {
    let storage = &place.storage;
    let content: Vec<u8> = (0..9_000_001_u32).map(|n| (n % 251) as u8).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &content).unwrap();
    assert_eq!(
        storage
            .put_file_if_absent("large", file.path())
            .await
            .unwrap(),
        Written::Created
    );
    std::fs::write(file.path(), "other").unwrap();
    assert_eq!(
        storage
            .put_file_if_absent("large", file.path())
            .await
            .unwrap(),
        Written::Exists
    );
    let mut read = Vec::new();
    storage
        .read("large")
        .await
        .unwrap()
        .unwrap()
        .read_to_end(&mut read)
        .await
        .unwrap();
    assert!(read == content, "{} bytes came back", read.len());
}

async fn a_deleted_object_is_gone_and_may_be_deleted_again(place: Place) {
    let storage = &place.storage;
    put(storage, "a/b", "1").await;
    storage.delete("a/b").await.unwrap();
    storage.delete("a/b").await.unwrap();
    assert!(storage.get("a/b").await.unwrap().is_none());
    assert_eq!(put(storage, "a/b", "2").await, Written::Created);
    assert_eq!(body(storage, "a/b").await, "2");
}

async fn a_purge_takes_all_below_a_prefix_and_nothing_else(place: Place) {
    let storage = &place.storage;
    for key in ["athlete=1/a", "athlete=1/b/c", "athlete=10/a", "z"] {
        put(storage, key, "").await;
    }
    assert_eq!(storage.purge("athlete=1/").await.unwrap(), 2);
    assert_eq!(keys(storage, "").await, ["athlete=10/a", "z"]);
}

async fn a_key_stays_inside_the_storage(place: Place) {
    let storage = &place.storage;
    for key in [
        "../up",
        "a/../../up",
        "/root",
        "a//b",
        "a/./b",
        "",
        "a/",
        ".lock",
    ] {
        let error = storage.put_if_absent(key, "x".into()).await.unwrap_err();
        assert!(error.to_string().contains("use the key"), "{error:#}");
    }
    assert!(storage.list("../").await.is_err());
    assert!(storage.list("").await.unwrap().is_empty());
    assert_eq!(put(storage, "a/.hidden", "").await, Written::Created);
    assert_eq!(keys(storage, "").await, ["a/.hidden"]);
}

async fn a_place_that_is_missing_is_refused(place: Place) {
    let missing = unique("missing");
    let url = if place.url.starts_with("s3:") {
        format!("s3://{missing}/x")
    } else {
        format!("{}/{missing}", place.url)
    };
    let storage = open(&url).await;
    for error in [
        storage.check().await.unwrap_err(),
        storage.list("").await.unwrap_err(),
        storage.put_if_absent("a", "x".into()).await.unwrap_err(),
        storage.get("a").await.unwrap_err(),
    ] {
        assert!(is_refused(&error), "{error:#}");
        assert!(format!("{error:#}").contains(&missing), "{error:#}");
    }
}

#[tokio::test]
async fn what_a_killed_writer_left_behind_is_never_listed() {
    let place = crate::places::directory().await;
    put(&place.storage, "a", "").await;
    place
        .storage
        .replace("state", "1".into(), None)
        .await
        .unwrap();
    let folder = place.folder.unwrap();
    std::fs::write(folder.path().join(".unfinished/1-dead"), "half").unwrap();
    assert_eq!(keys(&place.storage, "").await, ["a", "state"]);
    assert!(place.storage.list_folders("").await.unwrap().is_empty());
}
