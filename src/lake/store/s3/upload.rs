//! Uploading an object in parts, under a condition that S3 checks when the upload is completed.
//!
//! The parts are invisible until then. Whatever goes wrong, the upload is aborted, so that no parts stay to be paid
//! for; those of a killed process are for the next run of the table (see `lake::uploads`) or the bucket's lifecycle rule. An upload whose completion was answered with 409
//! is lost: S3 wants all of it again, so that is a new `put` and for the caller to decide.

use std::ops::Range;

use aws_sdk_s3::primitives::{ByteStream, Length};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, ServerSideEncryption,
};
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::client::attempt_timeout;
use super::fault::{Meaning, explain, meaning};
use super::{S3Store, no_tag, refused, written};
use crate::error::{Error, Result};
use crate::lake::store::{Condition, Payload, Put, payload_changed};

/// S3 takes no more parts than this.
pub(super) const MAX_PARTS: u64 = 10_000;
/// Files are read in pieces of this size, in bytes.
const READ_BUFFER: usize = 128 * 1024;

/// The content of `range` of a payload, as a body that the SDK can send again. Files are read as they are sent.
pub(super) async fn body(payload: &Payload, range: Range<u64>) -> Result<ByteStream> {
    match payload {
        Payload::Memory(bytes) => Ok(bytes.slice(range.start as usize..range.end as usize).into()),
        Payload::File { path, .. } | Payload::Staged { path, .. } => {
            let length = Length::Exact(range.end - range.start);
            let source = ByteStream::read_from().path(&**path).offset(range.start).length(length);
            source.buffer_size(READ_BUFFER).build().await.map_err(|error| payload_changed(path).caused_by(error))
        }
    }
}

/// Refuses a file that has not the length it should have: S3 would take what is there.
pub(super) async fn check_length(payload: &Payload) -> Result<()> {
    let (Payload::File { path, len } | Payload::Staged { path, len, .. }) = payload else { return Ok(()) };
    match tokio::fs::metadata(&**path).await {
        Ok(metadata) if metadata.len() == *len => Ok(()),
        Ok(_) => Err(payload_changed(path)),
        Err(error) => Err(payload_changed(path).caused_by(error)),
    }
}

impl S3Store {
    /// Writes the object at `key` (in the bucket) in parts.
    pub(super) async fn put_in_parts(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        let upload = self.begin_upload(key).await?;
        let outcome = match upload.send(payload).await {
            Ok(parts) => upload.complete(parts, payload.len(), condition).await,
            Err(error) => Err(error),
        };
        if !matches!(outcome, Ok(Put::Written(_))) {
            upload.abort().await;
        }
        outcome
    }

    /// Begins an upload of the object at `key` (in the bucket).
    pub(super) async fn begin_upload(&self, key: &str) -> Result<Upload> {
        let mut create = self.client.create_multipart_upload().bucket(&self.options.bucket).key(key);
        create = create.checksum_algorithm(ChecksumAlgorithm::Crc64Nvme).checksum_type(ChecksumType::FullObject);
        if let Some(id) = &self.options.kms_key_id {
            create = create.server_side_encryption(ServerSideEncryption::AwsKms).ssekms_key_id(id);
        }
        let request = self.request("write", "s3:PutObject", key);
        let answer = create.send().await.map_err(|error| explain(&request, error))?;
        let id = answer.upload_id.ok_or_else(|| {
            Error::internal("BadAnswer", format!("the answer for {request} has no upload id"))
                .hint("the endpoint does not speak S3 faithfully; use another one")
        })?;
        Ok(Upload { store: self.clone(), key: key.to_owned(), id })
    }
}

/// An upload under way. Whoever does not complete it aborts it.
#[derive(Clone)]
pub(super) struct Upload {
    pub(super) store: S3Store,
    /// The key in the bucket.
    pub(super) key: String,
    id: String,
}

impl Upload {
    async fn send(&self, payload: &Payload) -> Result<Vec<CompletedPart>> {
        let parts = parts(payload.len(), self.store.options.part_size);
        let sending = stream::iter(parts.map(|(number, range)| self.send_part(payload, number, range)));
        sending.buffered(self.store.options.concurrent_parts.max(1)).try_collect().await
    }

    pub(super) async fn send_part(&self, payload: &Payload, number: i32, range: Range<u64>) -> Result<CompletedPart> {
        let len = range.end - range.start;
        let part = self.store.client.upload_part().bucket(&self.store.options.bucket).key(&self.key);
        let part = part.upload_id(&self.id).part_number(number).checksum_algorithm(ChecksumAlgorithm::Crc64Nvme);
        let part = part
            .body(body(payload, range).await?)
            .customize()
            .config_override(attempt_timeout(&self.store.client, len));
        let request = self.store.request("write", "s3:PutObject", &self.key);
        let answer = part.send().await.map_err(|error| explain(&request, error))?;
        let etag = answer.e_tag.ok_or_else(|| no_tag(&request))?;
        let part = CompletedPart::builder().part_number(number).e_tag(etag);
        Ok(part.set_checksum_crc64_nvme(answer.checksum_crc64_nvme).build())
    }

    pub(super) async fn complete(&self, parts: Vec<CompletedPart>, len: u64, condition: &Condition) -> Result<Put> {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let complete = self.store.client.complete_multipart_upload().bucket(&self.store.options.bucket).key(&self.key);
        let complete = complete.upload_id(&self.id).multipart_upload(parts);
        let complete = complete.checksum_type(ChecksumType::FullObject).set_mpu_object_size(i64::try_from(len).ok());
        let complete = match condition {
            Condition::Absent => complete.if_none_match("*"),
            Condition::Matches(tag) => complete.if_match(&tag.0),
        };
        let request = self.store.request("write", "s3:PutObject", &self.key);
        match complete.customize().config_override(attempt_timeout(&self.store.client, len)).send().await {
            Ok(answer) => written(&request, answer.e_tag),
            Err(error) => refused(&request, condition, error),
        }
    }

    /// The outcome is known already, so a failure here is only logged.
    pub(super) async fn abort(&self) {
        let abort = self.store.client.abort_multipart_upload().bucket(&self.store.options.bucket).key(&self.key);
        if let Err(error) = abort.upload_id(&self.id).send().await
            && meaning(&error) != Meaning::UploadGone
        {
            let error =
                explain(&self.store.request("abort the upload of", "s3:AbortMultipartUpload", &self.key), error);
            tracing::warn!(key = self.key, error = %error.chain(), "parts of a failed upload stay in the bucket");
        }
    }
}

/// The numbers, from 1, and the ranges of the parts of `len` bytes, all of `part_size` but the last one; longer where
/// there would be too many.
fn parts(len: u64, part_size: u64) -> impl Iterator<Item = (i32, Range<u64>)> {
    let size = part_size.max(len.div_ceil(MAX_PARTS)).max(1);
    (1..).zip(
        (0..len).step_by(usize::try_from(size).unwrap_or(usize::MAX)).map(move |start| start..len.min(start + size)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cover_the_object_once_and_in_order() {
        for (len, size) in [(1, 5), (5, 5), (11, 5), (1_000_003, 7)] {
            let parts: Vec<_> = parts(len, size).collect();
            assert!(parts.len() as u64 <= MAX_PARTS);
            assert_eq!(parts.first().unwrap().1.start, 0);
            assert_eq!(parts.last().unwrap().1.end, len);
            assert!(parts.windows(2).all(|pair| pair[0].1.end == pair[1].1.start && pair[0].0 + 1 == pair[1].0));
        }
    }

    #[test]
    fn a_part_has_the_size_asked_for_where_ten_thousand_are_enough() {
        assert_eq!(parts(11, 5).map(|(_, range)| range).collect::<Vec<_>>(), [0..5, 5..10, 10..11]);
    }
}
