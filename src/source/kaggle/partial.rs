//! The partial file of a download: the bytes so far, and the identity of the object they belong to.
//!
//! Its name carries dataset and version; the identity (tag, length, hashes) lives in memory, because a partial file never
//! outlives its download: it becomes the archive or is removed.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderMap;
use tokio::fs::File;
use tokio::io::{AsyncWriteExt, BufWriter};

use super::headers::{ContentRange, content_length, content_range, etag, is_strong};
use super::verify::{Offered, Running};
use super::{Archive, fault};
use crate::config::Dataset;
use crate::error::Result;
use crate::source::foreign::{self, Foreign};

const BUFFER: usize = 1 << 20;

/// The shortest zip archive: an end record.
const SHORTEST_ZIP: u64 = 22;

/// What a response's headers say about its body.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) etag: Option<String>,
    pub(super) length: Option<u64>,
    pub(super) range: Option<ContentRange>,
    pub(super) offered: Offered,
}

impl Head {
    pub(super) fn new(headers: &HeaderMap) -> Self {
        Self {
            etag: etag(headers).map(str::to_owned),
            length: content_length(headers),
            range: content_range(headers),
            offered: Offered::from_headers(headers),
        }
    }
}

/// Why bytes cannot belong to the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// It does not begin as a zip archive does; what it is instead, where that shows.
    NoZip(Option<Foreign>),
    /// There are more bytes than the object has.
    TooLong,
}

/// The partial file of one download.
pub(super) struct Partial {
    part: PathBuf,
    whole: PathBuf,
    file: BufWriter<File>,
    len: u64,
    etag: Option<String>,
    total: Option<u64>,
    offered: Offered,
    running: Running,
    kept: bool,
}

impl Partial {
    /// An empty file in the folder `into`.
    pub(super) async fn create(into: &Path, dataset: &Dataset, version: u64) -> Result<Self> {
        let name = format!("{}_{}_v{version}", dataset.owner(), dataset.slug());
        let (part, whole) = (into.join(format!("{name}.partial")), into.join(format!("{name}.zip")));
        let file = File::create(&part).await.map_err(|error| fault::disk(&part, error))?;
        Ok(Self {
            part,
            whole,
            file: BufWriter::with_capacity(BUFFER, file),
            len: 0,
            etag: None,
            total: None,
            offered: Offered::default(),
            running: Running::default(),
            kept: false,
        })
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of the whole object, where the store told.
    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether bytes are missing that the store announced.
    pub(super) fn is_short(&self) -> bool {
        self.total.is_some_and(|total| self.len < total)
    }

    /// Whether the store offered any hash of the object.
    pub(super) fn is_checkable(&self) -> bool {
        !self.offered.is_none()
    }

    /// The first missing byte and the tag that proves the object is still the same: what a resume needs.
    pub(super) fn resume_point(&self) -> Option<(u64, &str)> {
        let etag = self.etag.as_deref().filter(|etag| is_strong(etag))?;
        (self.len > 0).then_some((self.len, etag))
    }

    /// Begins again at the first byte, now with the object that `head` describes.
    pub(super) async fn restart(&mut self, head: Head) -> Result<()> {
        self.discard().await?;
        self.etag = head.etag;
        self.total = head.length;
        self.offered = head.offered;
        self.running = Running::new(head.offered);
        Ok(())
    }

    /// Forgets all bytes and the object they belonged to.
    pub(super) async fn discard(&mut self) -> Result<()> {
        // A write still under way would land in the new file; whether the old one could be written no longer matters.
        let _ = self.file.flush().await;
        let file = File::create(&self.part).await.map_err(|error| fault::disk(&self.part, error))?;
        self.file = BufWriter::with_capacity(BUFFER, file);
        (self.len, self.etag, self.total) = (0, None, None);
        Ok(())
    }

    /// Whether a 206 carries exactly the missing bytes of the very object; only then they may be appended.
    pub(super) fn accept(&mut self, head: &Head) -> bool {
        let (Some(range), Some((first, etag))) = (head.range, self.resume_point()) else { return false };
        let exact = range.first == first
            && range.last + 1 == range.total
            && self.total.is_none_or(|total| total == range.total)
            && head.length.is_none_or(|length| length == range.total - first)
            && head.etag.as_deref().is_none_or(|tag| tag == etag);
        if exact {
            self.total = Some(range.total);
        }
        exact
    }

    /// Whether the next bytes can belong to the object.
    pub(super) fn fits(&self, bytes: &[u8]) -> Result<(), Misfit> {
        let already = usize::try_from(self.len).unwrap_or(usize::MAX);
        if !b"PK".iter().skip(already).zip(bytes).all(|(expected, byte)| expected == byte) {
            return Err(Misfit::NoZip(foreign::recognised(bytes).filter(|_| already == 0)));
        }
        let len = self.len + bytes.len() as u64;
        if self.total.is_some_and(|total| len > total) { Err(Misfit::TooLong) } else { Ok(()) }
    }

    /// Appends the next bytes, which fit.
    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).await.map_err(|error| fault::disk(&self.part, error))?;
        self.running.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// What is wrong with the complete bytes, if anything.
    pub(super) fn damage(&self) -> Option<String> {
        if self.len < SHORTEST_ZIP {
            return Some(format!("{} bytes are no zip archive", self.len));
        }
        self.running.mismatch().map(|hash| format!("its {hash} is wrong"))
    }

    /// Turns the file into the archive.
    pub(super) async fn keep(mut self) -> Result<Archive> {
        self.file.flush().await.map_err(|error| fault::disk(&self.part, error))?;
        tokio::fs::rename(&self.part, &self.whole).await.map_err(|error| fault::disk(&self.whole, error))?;
        self.kept = true;
        Ok(Archive { path: self.whole.clone(), len: self.len, etag: self.etag.take() })
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.kept
            && let Err(error) = std::fs::remove_file(&self.part)
        {
            tracing::warn!(path = %self.part.display(), %error, "cannot remove a partial download");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(etag: Option<&str>, length: Option<u64>, range: Option<(u64, u64, u64)>) -> Head {
        let range = range.map(|(first, last, total)| ContentRange { first, last, total });
        Head { etag: etag.map(str::to_owned), length, range, offered: Offered::default() }
    }

    async fn partial(into: &Path, etag: &str, total: Option<u64>) -> Partial {
        let mut partial = Partial::create(into, &"owner/slug".parse().unwrap(), 1).await.unwrap();
        partial.restart(head(Some(etag), total, None)).await.unwrap();
        partial.append(b"PK\x03\x04").await.unwrap();
        partial
    }

    #[tokio::test]
    async fn only_the_missing_bytes_of_the_same_object_are_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [
            (head(Some("\"a\""), Some(6), Some((4, 9, 10))), true),
            (head(None, None, Some((4, 9, 10))), true),
            (head(Some("\"b\""), Some(6), Some((4, 9, 10))), false),
            (head(Some("W/\"a\""), Some(6), Some((4, 9, 10))), false),
            (head(Some("\"a\""), Some(7), Some((4, 9, 10))), false),
            (head(Some("\"a\""), None, Some((4, 8, 10))), false),
            (head(Some("\"a\""), None, Some((3, 9, 10))), false),
            (head(Some("\"a\""), None, Some((4, 10, 11))), false),
            (head(Some("\"a\""), Some(6), None), false),
        ];
        for (head, expected) in cases {
            let mut partial = partial(folder.path(), "\"a\"", Some(10)).await;
            assert_eq!(partial.accept(&head), expected, "{head:?}");
        }
        let mut weak = partial(folder.path(), "W/\"a\"", Some(10)).await;
        assert!(!weak.accept(&head(None, None, Some((4, 9, 10)))));
    }

    #[tokio::test]
    async fn an_unknown_length_is_learnt_from_the_part() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = partial(folder.path(), "\"a\"", None).await;
        assert!(partial.accept(&head(None, None, Some((4, 9, 10)))));
        assert_eq!(partial.total(), Some(10));
        assert!(partial.is_short());
    }

    #[tokio::test]
    async fn bytes_that_cannot_belong_to_the_archive_do_not_fit() {
        let folder = tempfile::tempdir().unwrap();
        let mut partial = partial(folder.path(), "\"a\"", Some(10)).await;
        assert_eq!(partial.fits(b"123456"), Ok(()));
        assert_eq!(partial.fits(b"1234567"), Err(Misfit::TooLong));
        partial.discard().await.unwrap();
        assert!(matches!(partial.fits(b"<html>"), Err(Misfit::NoZip(Some(page))) if !page.lasting));
        assert!(matches!(partial.fits(b"7z\xBC\xAF\x27\x1C"), Err(Misfit::NoZip(Some(packed))) if packed.lasting));
        partial.append(b"P").await.unwrap();
        assert_eq!((partial.fits(b"K"), partial.fits(b"X")), (Ok(()), Err(Misfit::NoZip(None))));
    }

    #[tokio::test]
    async fn a_dropped_partial_leaves_no_file_and_a_kept_one_only_the_archive() {
        let folder = tempfile::tempdir().unwrap();
        drop(partial(folder.path(), "\"a\"", None).await);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let archive = partial(folder.path(), "\"a\"", None).await.keep().await.unwrap();
        assert_eq!(std::fs::read(&archive.path).unwrap(), b"PK\x03\x04");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
