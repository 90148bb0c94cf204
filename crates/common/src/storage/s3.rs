//! A bucket of S3: conditional writes make one winner, streams keep memory small.

use std::{path::Path, sync::Arc};

use anyhow::{Context as _, anyhow};
use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::{get_object::GetObjectOutput, put_object::PutObjectOutput},
    primitives::ByteStream,
    types::{Delete, ObjectIdentifier},
};
use bytes::Bytes;
use jiff::Timestamp;

use super::{ObjectMeta, Reader, Replaced, Version, Written};
use crate::aws;

/// How often the body of a small object is asked for; the SDK retries only up to its beginning.
const BODY_ATTEMPTS: usize = 3;

#[derive(Clone, Debug)]
/// A bucket and the prefix of its keys.
pub struct Bucket {
    client: Client,
    name: Arc<str>,
    /// Empty, or ending in `/`.
    prefix: Arc<str>,
}

impl Bucket {
    pub(super) async fn open(name: &str, prefix: &str) -> anyhow::Result<Self> {
        let config = aws::config().await?;
        let s3 = aws_sdk_s3::config::Builder::from(config)
            .force_path_style(aws::s3_is_local(config))
            .build();
        let prefix = if prefix.is_empty() {
            String::new()
        } else {
            format!("{prefix}/")
        };
        Ok(Self {
            client: Client::from_conf(s3),
            name: name.into(),
            prefix: prefix.into(),
        })
    }

    pub(super) async fn check(&self) -> anyhow::Result<()> {
        let listed = self
            .client
            .list_objects_v2()
            .bucket(&*self.name)
            .prefix(&*self.prefix)
            .max_keys(1)
            .send()
            .await;
        listed
            .map(drop)
            .map_err(|error| self.failed("list", "", error))
    }

    pub(super) async fn get(&self, key: &str) -> anyhow::Result<Option<(Bytes, Version)>> {
        let mut attempt = 1;
        loop {
            let Some(object) = self.open_object(key).await? else {
                return Ok(None);
            };
            let version = self.version(key, object.e_tag)?;
            match object.body.collect().await {
                Ok(body) => return Ok(Some((body.into_bytes(), version))),
                Err(error) if attempt == BODY_ATTEMPTS => {
                    return Err(error)
                        .with_context(|| format!("read s3://{}/{}{key}", self.name, self.prefix));
                }
                Err(_) => attempt += 1,
            }
        }
    }

    pub(super) async fn read(&self, key: &str) -> anyhow::Result<Option<Reader>> {
        let object = self.open_object(key).await?;
        Ok(object.map(|object| Box::new(object.body.into_async_read()) as Reader))
    }

    async fn open_object(&self, key: &str) -> anyhow::Result<Option<GetObjectOutput>> {
        match self
            .client
            .get_object()
            .bucket(&*self.name)
            .key(self.full(key))
            .send()
            .await
        {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(None),
            Err(error) => Err(self.failed("read", key, error)),
        }
    }

    pub(super) async fn put_if_absent(&self, key: &str, body: Bytes) -> anyhow::Result<Written> {
        Ok(self
            .put(key, body.into(), None)
            .await?
            .map_or(Written::Exists, |_| Written::Created))
    }

    pub(super) async fn put_file_if_absent(
        &self,
        key: &str,
        file: &Path,
    ) -> anyhow::Result<Written> {
        let body = ByteStream::from_path(file).await;
        let body = body.with_context(|| format!("write {key}: read {}", file.display()))?;
        Ok(self
            .put(key, body, None)
            .await?
            .map_or(Written::Exists, |_| Written::Created))
    }

    pub(super) async fn replace(
        &self,
        key: &str,
        body: Bytes,
        expected: Option<&Version>,
    ) -> anyhow::Result<Replaced> {
        match self.put(key, body.into(), expected).await? {
            Some(put) => Ok(Replaced::Done(self.version(key, put.e_tag)?)),
            None => Ok(Replaced::Changed),
        }
    }

    /// Puts where the object has the version `expected`, or is absent; none where that does not hold.
    async fn put(
        &self,
        key: &str,
        body: ByteStream,
        expected: Option<&Version>,
    ) -> anyhow::Result<Option<PutObjectOutput>> {
        let put = self
            .client
            .put_object()
            .bucket(&*self.name)
            .key(self.full(key))
            .body(body);
        let put = match expected {
            Some(Version(e_tag)) => put.if_match(e_tag),
            None => put.if_none_match("*"),
        };
        match put.send().await {
            Ok(put) => Ok(Some(put)),
            Err(error) => match error.code() {
                Some("PreconditionFailed" | "ConditionalRequestConflict") => Ok(None),
                // What is to be replaced is gone: it has changed.
                Some("NoSuchKey") if expected.is_some() => Ok(None),
                _ => Err(self.failed("write", key, error)),
            },
        }
    }

    pub(super) async fn list(&self, prefix: &str) -> anyhow::Result<Vec<ObjectMeta>> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&*self.name)
            .prefix(self.full(prefix));
        let mut pages = request.into_paginator().send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            for object in page
                .map_err(|error| self.failed("list", prefix, error))?
                .contents
                .unwrap_or_default()
            {
                let key = object
                    .key
                    .as_deref()
                    .and_then(|key| key.strip_prefix(&*self.prefix));
                let modified = object
                    .last_modified
                    .and_then(|at| Timestamp::from_second(at.secs()).ok());
                let (Some(key), Some(modified)) = (key, modified) else {
                    continue;
                };
                objects.push(ObjectMeta {
                    key: key.to_owned(),
                    bytes: object
                        .size
                        .unwrap_or_default()
                        .try_into()
                        .unwrap_or_default(),
                    modified,
                });
            }
        }
        Ok(objects)
    }

    pub(super) async fn list_folders(&self, prefix: &str) -> anyhow::Result<Vec<String>> {
        let full = self.full(prefix);
        let request = self
            .client
            .list_objects_v2()
            .bucket(&*self.name)
            .prefix(&full)
            .delimiter("/");
        let mut pages = request.into_paginator().send();
        let mut folders = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.failed("list", prefix, error))?;
            let found = page
                .common_prefixes
                .unwrap_or_default()
                .into_iter()
                .filter_map(|found| found.prefix);
            folders.extend(found.filter_map(|found| {
                Some(found.strip_prefix(&full)?.trim_end_matches('/').to_owned())
            }));
        }
        Ok(folders)
    }

    pub(super) async fn delete(&self, key: &str) -> anyhow::Result<()> {
        let deleted = self
            .client
            .delete_object()
            .bucket(&*self.name)
            .key(self.full(key))
            .send()
            .await;
        deleted
            .map(drop)
            .map_err(|error| self.failed("delete", key, error))
    }

    pub(super) async fn purge(&self, prefix: &str) -> anyhow::Result<u64> {
        let mut removed = 0;
        // From the start each time: what is listed first is gone by then.
        loop {
            let request = self
                .client
                .list_object_versions()
                .bucket(&*self.name)
                .prefix(self.full(prefix));
            let page = request
                .send()
                .await
                .map_err(|error| self.failed("list", prefix, error))?;
            let versions = page
                .versions
                .unwrap_or_default()
                .into_iter()
                .map(|it| (it.key, it.version_id));
            let markers = page
                .delete_markers
                .unwrap_or_default()
                .into_iter()
                .map(|it| (it.key, it.version_id));
            let objects = versions
                .chain(markers)
                .filter_map(|(key, version)| {
                    ObjectIdentifier::builder()
                        .key(key?)
                        .set_version_id(version)
                        .build()
                        .ok()
                })
                .collect::<Vec<_>>();
            if objects.is_empty() {
                return Ok(removed);
            }
            removed += objects.len() as u64;
            let batch = Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
                .context("name what to delete")?;
            let answer = self
                .client
                .delete_objects()
                .bucket(&*self.name)
                .delete(batch)
                .send()
                .await;
            let answer = answer.map_err(|error| self.failed("delete", prefix, error))?;
            if let Some(left) = answer.errors.unwrap_or_default().into_iter().next() {
                let reason = left.message.or(left.code).unwrap_or_default();
                return Err(anyhow!("delete {}: {reason}", left.key.unwrap_or_default()));
            }
        }
    }

    fn full(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    fn version(&self, key: &str, e_tag: Option<String>) -> anyhow::Result<Version> {
        let place = || {
            format!(
                "write s3://{}/{}{key}: the answer has no ETag",
                self.name, self.prefix
            )
        };
        e_tag.map(Version).with_context(place)
    }

    fn failed<E, R>(&self, attempt: &str, key: &str, error: SdkError<E, R>) -> anyhow::Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
        R: std::fmt::Debug + Send + Sync + 'static,
    {
        aws::failed(
            format!("{attempt} s3://{}/{}{key}", self.name, self.prefix),
            error,
        )
    }
}
