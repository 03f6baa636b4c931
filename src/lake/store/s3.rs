//! A lake in an S3 bucket.
//!
//! Conditions are S3's own: `If-None-Match: *` and `If-Match`, on a single PUT or, above a threshold, on the completion
//! of a multipart upload. The SDK retries what may pass (time-outs, 5xx, throttling), also conditional writes: a write
//! that landed and whose answer was lost then comes back as [`Put::Refused`], as the contract of the trait allows. An
//! answer that leaves the outcome open (409, no answer at all) is `Transient`.
//!
//! Every body that is sent carries a CRC-64/NVME checksum, which S3 verifies and keeps for the whole object, also when
//! it came in parts (the other algorithms keep a checksum of checksums there, which no reader can verify). A whole body
//! that is read is verified against it by the SDK.

mod client;
mod fault;
mod parts;
mod read;
mod upload;

use std::sync::Arc;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{ChecksumAlgorithm, ServerSideEncryption};
use futures_util::FutureExt;

use self::client::attempt_timeout;
pub use self::client::{S3ClientOptions, S3Timing, s3_client};
use self::fault::{Meaning, Request, explain, meaning};
use super::key::{check_key, folder_of};
use super::{ByteRange, Condition, ETag, Leftover, Listed, Object, ObjectStore, Payload, Put, Stager};
use crate::error::{Error, Result};

const MIB: u64 = 1024 * 1024;

/// Where the objects are, and how they are written.
#[derive(Clone, Debug)]
pub struct S3Options {
    /// The bucket's name.
    pub bucket: String,
    /// What all keys start with, without slashes at its ends; may be empty.
    pub prefix: String,
    /// The KMS key to encrypt with (an id, ARN or alias); without one the bucket's default encryption applies.
    pub kms_key_id: Option<String>,
    /// Objects of more than so many bytes are uploaded in parts. S3 takes up to 5 GiB in one PUT.
    pub multipart_threshold: u64,
    /// The length of a part in bytes, from S3's minimum of 5 MiB; longer where 10,000 parts would not hold the object.
    pub part_size: u64,
    /// How many parts of one object are under way at once.
    pub concurrent_parts: usize,
}

impl S3Options {
    /// The defaults for a bucket and a prefix: parts of 16 MiB, four at once, for objects above 32 MiB.
    pub fn new(bucket: impl Into<String>, prefix: impl Into<String>) -> Self {
        Self {
            bucket: bucket.into(),
            prefix: prefix.into().trim_matches('/').to_owned(),
            kms_key_id: None,
            multipart_threshold: 32 * MIB,
            part_size: 16 * MIB,
            concurrent_parts: 4,
        }
    }
}

/// Objects in a bucket, below a prefix.
#[derive(Clone, Debug)]
pub struct S3Store {
    client: Client,
    options: S3Options,
}

impl S3Store {
    /// A store that works through `client` (see [`s3_client`]). No request is made.
    pub fn new(client: Client, options: S3Options) -> Self {
        Self { client, options }
    }

    /// The key in the bucket.
    fn full(&self, key: &str) -> String {
        if self.options.prefix.is_empty() { key.to_owned() } else { format!("{}/{key}", self.options.prefix) }
    }

    /// The key in the lake of a key in the bucket. The markers that consoles make for folders are no objects.
    fn relative<'a>(&self, full: &'a str) -> Option<&'a str> {
        let key = full.strip_prefix(self.options.prefix.as_str())?;
        let key = if self.options.prefix.is_empty() { key } else { key.strip_prefix('/')? };
        (!key.is_empty() && !key.ends_with('/')).then_some(key)
    }

    fn request(&self, action: &'static str, permission: &'static str, full: &str) -> Request {
        Request { action, permission, bucket: self.options.bucket.clone(), key: full.to_owned() }
    }

    async fn put_whole(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let put = self.encrypted(self.client.put_object().bucket(&self.options.bucket).key(key));
        let put = match condition {
            Condition::Absent => put.if_none_match("*"),
            Condition::Matches(tag) => put.if_match(&tag.0),
        };
        let body = upload::body(payload, 0..payload.len()).await?;
        let put = put.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).body(body);
        let sent = put.customize().config_override(attempt_timeout(&self.client, payload.len())).send().await;
        let request = self.request("write", "s3:PutObject", key);
        match sent {
            Ok(answer) => written(&request, answer.e_tag),
            Err(error) => refused(&request, condition, error),
        }
    }

    /// Whether a listing shows that there is no such object. S3 hides that behind a 403 from a caller whose permission to
    /// list is bound to a prefix, because a read names none.
    async fn is_unlisted(&self, key: &str) -> bool {
        self.list_full(key, None).await.is_ok_and(|found| found.iter().all(|listed| listed.key != key))
    }

    fn encrypted(&self, put: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        match &self.options.kms_key_id {
            Some(id) => put.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(id),
            None => put,
        }
    }

    async fn list_full(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        let list = self.client.list_objects_v2().bucket(&self.options.bucket).prefix(self.full(prefix));
        let list = list.set_start_after(after.map(|after| self.full(after)));
        let mut pages = list.into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page =
                page.map_err(|error| explain(&self.request("list", "s3:ListBucket", &self.full(prefix)), error))?;
            found.extend(page.contents().iter().filter_map(|object| {
                let key = self.relative(object.key()?)?.to_owned();
                Some(Listed { key, len: object.size().and_then(|size| size.try_into().ok()).unwrap_or(0) })
            }));
        }
        Ok(found)
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        check_key(key)?;
        let request = self.request("read", "s3:GetObject", &self.full(key));
        match read::Reader::new(self.client.clone(), request).open(range).await {
            Err(error) if error.code() == "StoreDenied" && self.is_unlisted(key).await => Ok(None),
            read => read,
        }
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        check_key(key)?;
        if let Payload::Staged { ahead, .. } = payload
            && let Some(put) = ahead.put(key, condition).await
        {
            return put;
        }
        upload::check_length(payload).await?;
        let full = self.full(key);
        if payload.len() > self.options.multipart_threshold {
            self.put_in_parts(&full, payload, condition).await
        } else {
            self.put_whole(&full, payload, condition).await
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        folder_of(prefix)?;
        self.list_full(prefix, after).await
    }

    async fn leftovers(&self) -> Result<Vec<Leftover>> {
        let prefix = self.full("");
        let request = self.request("list uploads", "s3:ListBucketMultipartUploads", &prefix);
        let list = self.client.list_multipart_uploads().bucket(&self.options.bucket).prefix(&prefix);
        let (mut found, mut after) = (Vec::new(), (None, None));
        loop {
            let page = list.clone().set_key_marker(after.0).set_upload_id_marker(after.1).send().await;
            let page = page.map_err(|error| explain(&request, error))?;
            found.extend(page.uploads().iter().filter_map(|upload| {
                let key = self.relative(upload.key()?)?.to_owned();
                let (id, since) = (upload.upload_id()?.to_owned(), upload.initiated().map(DateTime::secs));
                Some(Leftover { key, id, since })
            }));
            if !page.is_truncated().unwrap_or_default() || page.next_key_marker().is_none() {
                return Ok(found);
            }
            after = (page.next_key_marker, page.next_upload_id_marker);
        }
    }

    async fn abort(&self, leftover: &Leftover) -> Result<()> {
        let key = self.full(&leftover.key);
        let request = self.request("abort an upload of", "s3:AbortMultipartUpload", &key);
        let abort = self.client.abort_multipart_upload().bucket(&self.options.bucket).key(&key);
        match abort.upload_id(&leftover.id).send().await {
            Err(error) if meaning(&error) != Meaning::UploadGone => Err(explain(&request, error)),
            _ => Ok(()),
        }
    }

    fn takes_in_parts(&self, len: u64) -> bool {
        len > self.options.part_size.min(self.options.multipart_threshold)
    }

    async fn written_at(&self, key: &str) -> Result<Option<i64>> {
        check_key(key)?;
        let request = self.request("read", "s3:GetObject", &self.full(key));
        read::Reader::new(self.client.clone(), request).written_at().await
    }

    fn stager(&self) -> Option<Stager> {
        let store = self.clone();
        Some(Arc::new(move |task| parts::upload_ahead(store.clone(), task).boxed()))
    }

    fn location(&self) -> String {
        let S3Options { bucket, prefix, .. } = &self.options;
        if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") }
    }
}

fn written(request: &Request, etag: Option<String>) -> Result<Put> {
    etag.map(|etag| Put::Written(ETag(etag))).ok_or_else(|| no_tag(request))
}

fn no_tag(request: &Request) -> Error {
    Error::internal("BadAnswer", format!("the answer for {request} has no ETag"))
        .hint("the endpoint does not speak S3 faithfully; use another one")
}

/// The outcome of a conditional write that was answered with `error`.
fn refused<E>(request: &Request, condition: &Condition, error: fault::SdkError<E>) -> Result<Put>
where
    E: aws_sdk_s3::error::ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match (meaning(&error), condition) {
        (Meaning::ConditionFailed, _) | (Meaning::Missing, Condition::Matches(_)) => Ok(Put::Refused),
        _ => Err(explain(request, error)),
    }
}
