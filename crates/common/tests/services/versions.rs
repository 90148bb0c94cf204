//! A bucket that keeps every version of its objects, which a directory does not.

use aws_config::BehaviorVersion;
use aws_sdk_s3::{
    Client,
    types::{BucketVersioningStatus, CreateBucketConfiguration, VersioningConfiguration},
};
use aws_smithy_http_client::Builder;

use crate::places::{open, unique, variable};

#[tokio::test]
async fn a_versioned_bucket_keeps_no_version_of_what_was_purged() {
    let bucket = unique("versioned");
    let client = s3_client().await;
    // The one region whose buckets must not name it.
    let region = client
        .config()
        .region()
        .map(AsRef::as_ref)
        .filter(|region| *region != "us-east-1");
    let place = region.map(|region| {
        CreateBucketConfiguration::builder()
            .location_constraint(region.into())
            .build()
    });
    client
        .create_bucket()
        .bucket(&bucket)
        .set_create_bucket_configuration(place)
        .send()
        .await
        .unwrap();
    let on = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    client
        .put_bucket_versioning()
        .bucket(&bucket)
        .versioning_configuration(on)
        .send()
        .await
        .unwrap();

    let storage = open(&format!("s3://{bucket}/landing")).await;
    storage
        .replace("athlete=1/a", "1".into(), None)
        .await
        .unwrap();
    let (_, first) = storage.get("athlete=1/a").await.unwrap().unwrap();
    storage
        .replace("athlete=1/a", "2".into(), Some(&first))
        .await
        .unwrap();
    storage.delete("athlete=1/a").await.unwrap();
    for key in ["athlete=1/b", "athlete=2/a"] {
        storage.put_if_absent(key, "".into()).await.unwrap();
    }
    assert_eq!(storage.purge("athlete=1/").await.unwrap(), 4);
    let left = client
        .list_object_versions()
        .bucket(&bucket)
        .send()
        .await
        .unwrap();
    assert_eq!(
        left.versions()
            .iter()
            .filter_map(|version| version.key())
            .collect::<Vec<_>>(),
        ["landing/athlete=2/a"]
    );
    assert!(left.delete_markers().is_empty());
}

async fn s3_client() -> Client {
    variable("DEVSTACK_BUCKET");
    let http = Builder::new().build_http();
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .load()
        .await;
    Client::from_conf(
        aws_sdk_s3::config::Builder::from(&config)
            .force_path_style(true)
            .build(),
    )
}
