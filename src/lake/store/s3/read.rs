//! Reading one object: the range asked for, from one version, resumed when the connection breaks.

use std::ops::Range;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::get_object::builders::GetObjectFluentBuilder;
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError, DateTime};
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::fault::{Meaning, Request, explain, meaning};
use super::no_tag;
use crate::error::{Error, Result};
use crate::lake::store::{ByteRange, ETag, Object};

/// How often one body is taken up again.
const RESUMES: u32 = 6;
/// The pause before the first resumption; each one after it is twice as long.
const PAUSE: Duration = Duration::from_millis(50);
/// How often an object is looked at again that changes between two requests for it.
const LOOKS: u32 = 4;

/// The one who reads an object.
pub(super) struct Reader {
    client: Client,
    request: Request,
}

impl Reader {
    /// A reader of the object named by `request`.
    pub(super) fn new(client: Client, request: Request) -> Self {
        Self { client, request }
    }

    /// Opens the object, or the part of it that `range` means; `None` when it is not there.
    ///
    /// A part without a byte cannot be asked for, and S3 refuses one that begins beyond the end: what the answer would
    /// have said about the object is then looked up.
    pub(super) async fn open(self, range: Option<ByteRange>) -> Result<Option<Object>> {
        for _ in 0..LOOKS {
            match self.request_range(range.as_ref()).await? {
                Answer::Body(answer) => return self.object(*answer, range.as_ref()).map(Some),
                Answer::Missing => return Ok(None),
                Answer::NoBytes => {}
            }
            let Some(object) = self.look().await? else { return Ok(None) };
            if range.as_ref().is_none_or(|range| range.resolve(object.len).is_empty()) {
                return Ok(Some(object));
            }
        }
        Err(changed(&self.request))
    }

    async fn request_range(&self, range: Option<&ByteRange>) -> Result<Answer> {
        let get = match range.map(header) {
            None => self.get(),
            Some(Some(header)) => self.get().range(header),
            Some(None) => return Ok(Answer::NoBytes),
        };
        match get.send().await {
            // An answer of status 200 or 206 about an empty object, from endpoints that do not refuse such a range.
            Ok(answer) if range.is_some() && answer.content_length == Some(0) => Ok(Answer::NoBytes),
            Ok(answer) => Ok(Answer::Body(Box::new(answer))),
            Err(error) => match meaning(&error) {
                Meaning::Missing => Ok(Answer::Missing),
                Meaning::OutOfRange => Ok(Answer::NoBytes),
                _ => Err(explain(&self.request, error)),
            },
        }
    }

    fn get(&self) -> GetObjectFluentBuilder {
        self.client.get_object().bucket(&self.request.bucket).key(&self.request.key)
    }

    /// An endpoint may ignore a range and send all: that is taken where all was meant, as with a suffix that is longer
    /// than the object, and nowhere else.
    fn object(self, answer: GetObjectOutput, range: Option<&ByteRange>) -> Result<Object> {
        let etag = ETag(answer.e_tag.ok_or_else(|| no_tag(&self.request))?);
        let sent = match &answer.content_range {
            Some(header) => extent(header),
            None => answer.content_length.and_then(|len| u64::try_from(len).ok()).map(|len| (0..len, len)),
        };
        let meant = |len| range.map_or(0..len, |range| range.resolve(len));
        match sent.filter(|(sent, len)| *sent == meant(*len)) {
            Some((Range { start: next, end }, len)) => {
                let body = Body { reader: self, etag: etag.clone(), stream: answer.body, next, end, resumes: 0 };
                Ok(Object { etag, len, body: body.into_stream() })
            }
            None => Err(self.wrong_bytes()),
        }
    }

    fn wrong_bytes(&self) -> Error {
        Error::internal("BadAnswer", format!("the answer for {} has not the bytes asked for", self.request))
            .hint("the endpoint does not speak S3 faithfully; use another one")
    }

    /// When the object was written, in seconds since 1970; `None` when it is not there.
    pub(super) async fn written_at(&self) -> Result<Option<i64>> {
        Ok(self.head().await?.and_then(|answer| answer.last_modified.as_ref().map(DateTime::secs)))
    }

    /// The object's tag and length, with no body.
    async fn look(&self) -> Result<Option<Object>> {
        let Some(answer) = self.head().await? else { return Ok(None) };
        let etag = ETag(answer.e_tag.ok_or_else(|| no_tag(&self.request))?);
        let len = answer.content_length.and_then(|len| len.try_into().ok()).unwrap_or(0);
        Ok(Some(Object { etag, len, body: stream::empty().boxed() }))
    }

    async fn head(&self) -> Result<Option<HeadObjectOutput>> {
        let head = self.client.head_object().bucket(&self.request.bucket).key(&self.request.key);
        match head.send().await {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if meaning(&error) == Meaning::Missing => Ok(None),
            Err(error) => Err(explain(&self.request, error)),
        }
    }
}

enum Answer {
    Body(Box<GetObjectOutput>),
    Missing,
    /// The range has no byte of the object.
    NoBytes,
}

/// A body on its way. The SDK's own check of the whole comes as an error after the last byte.
struct Body {
    reader: Reader,
    etag: ETag,
    stream: ByteStream,
    /// The place in the object of the next byte to come.
    next: u64,
    end: u64,
    resumes: u32,
}

impl Body {
    fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, |mut body| async move { Ok(body.chunk().await?.map(|chunk| (chunk, body))) }).boxed()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.stream.next().await {
                Some(Ok(chunk)) if chunk.is_empty() => {}
                Some(Ok(chunk)) => return self.advance(chunk).map(Some),
                None if self.next == self.end => return Ok(None),
                None => self.resume(None).await?,
                Some(Err(error)) if self.next == self.end => return Err(self.mismatch(error)),
                Some(Err(error)) => self.resume(Some(error)).await?,
            }
        }
    }

    fn advance(&mut self, chunk: Bytes) -> Result<Bytes> {
        self.next += chunk.len() as u64;
        if self.next > self.end {
            let message = format!("the body of {} is longer than announced", self.reader.request);
            return Err(Error::internal("BadAnswer", message));
        }
        Ok(chunk)
    }

    /// Asks for the rest of the same version.
    async fn resume(&mut self, cause: Option<ByteStreamError>) -> Result<()> {
        if self.resumes == RESUMES {
            return Err(self.broken(cause));
        }
        tokio::time::sleep(PAUSE * 2_u32.pow(self.resumes)).await;
        self.resumes += 1;
        let rest = format!("bytes={}-{}", self.next, self.end - 1);
        match self.reader.get().range(rest).if_match(&self.etag.0).send().await {
            Ok(answer) => {
                let sent = answer.content_range.as_deref().and_then(extent);
                if sent.is_none_or(|(sent, _)| sent != (self.next..self.end)) {
                    return Err(self.reader.wrong_bytes());
                }
                self.stream = answer.body;
                Ok(())
            }
            Err(error) => match meaning(&error) {
                Meaning::ConditionFailed | Meaning::Missing => Err(changed(&self.reader.request)),
                _ => Err(explain(&self.reader.request, error)),
            },
        }
    }

    fn broken(&self, cause: Option<ByteStreamError>) -> Error {
        let message = format!("the body of {} broke off at byte {}", self.reader.request, self.next);
        let error = Error::transient("StoreUnavailable", message).hint("run again; the connection does not hold");
        match cause {
            Some(cause) => error.caused_by(cause),
            None => error,
        }
    }

    fn mismatch(&self, cause: ByteStreamError) -> Error {
        let message = format!("the body of {} does not have the object's checksum", self.reader.request);
        Error::transient("ChecksumMismatch", message)
            .hint("run again; if it stays, the object is damaged")
            .caused_by(cause)
    }
}

fn changed(request: &Request) -> Error {
    Error::transient("ObjectChanged", format!("{request} was replaced while it was being read")).hint("run again")
}

/// The `Range` header for a range; `None` for one that HTTP cannot express, because it is empty.
fn header(range: &ByteRange) -> Option<String> {
    match range {
        ByteRange::Within(range) if range.is_empty() => None,
        ByteRange::Within(range) => Some(format!("bytes={}-{}", range.start, (range.end - 1).min(i64::MAX as u64))),
        ByteRange::Suffix(0) => None,
        ByteRange::Suffix(count) => Some(format!("bytes=-{count}")),
    }
}

/// The range and the total length in a `Content-Range` header such as `bytes 0-9/100`.
fn extent(header: &str) -> Option<(Range<u64>, u64)> {
    let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last, total): (u64, u64, u64) = (first.parse().ok()?, last.parse().ok()?, total.parse().ok()?);
    (first <= last && last < total).then_some((first..last + 1, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_range_is_read_and_nonsense_is_not() {
        assert_eq!(extent("bytes 0-9/100"), Some((0..10, 100)));
        for nonsense in ["bytes */100", "bytes 9-0/100", "bytes 0-100/100", "0-9/100", "bytes 0-9/*", ""] {
            assert_eq!(extent(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn empty_ranges_have_no_header() {
        assert_eq!(header(&ByteRange::Within(0..4)).unwrap(), "bytes=0-3");
        assert_eq!(header(&ByteRange::Suffix(4)).unwrap(), "bytes=-4");
        assert_eq!(header(&ByteRange::Within(4..4)), None);
        assert_eq!(header(&ByteRange::Suffix(0)), None);
    }
}
