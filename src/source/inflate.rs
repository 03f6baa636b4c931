//! Readers that hold what comes out of an archive against what the archive says, and against limits.

use std::io::{self, Read};

use crc32fast::Hasher;

use crate::config::Limits;
use crate::error::Error;

/// Small members may have any ratio.
const RATIO_APPLIES_FROM: u64 = 64 * 1024 * 1024;

/// A reader that ends in an error where the bytes are not those announced, or too many.
pub(crate) struct Checked<R> {
    inner: R,
    name: String,
    crc: Hasher,
    out: u64,
    announced: Option<(u64, u32)>,
    most: u64,
}

impl<R: Read> Checked<R> {
    /// A zip member of `size` bytes with the checksum `crc32`, which takes `compressed` bytes in the archive.
    pub(crate) fn member(inner: R, name: &str, size: u64, crc32: u32, compressed: u64, limits: Limits) -> Self {
        let most = most(limits, compressed);
        Self { inner, name: name.to_owned(), crc: Hasher::new(), out: 0, announced: Some((size, crc32)), most }
    }

    /// A gzip stream of `compressed` bytes, which carries and checks its own checksum.
    pub(crate) fn gzip(inner: R, name: &str, compressed: u64, limits: Limits) -> Self {
        let most = most(limits, compressed);
        Self { inner, name: name.to_owned(), crc: Hasher::new(), out: 0, announced: None, most }
    }

    fn too_large(&self) -> io::Error {
        let error = Error::data("ArchiveBomb", format!("`{}` unpacks to more than {} bytes", self.name, self.most))
            .hint("if the file really is that large, raise `limits.max_uncompressed_bytes` or `limits.max_compression_ratio`");
        io::Error::other(error)
    }

    fn damaged(&self, what: &str) -> io::Error {
        let error = Error::data("DamagedMember", format!("`{}` is damaged: {what}", self.name))
            .hint("fetch the archive again; if it stays so, it is damaged at the source");
        io::Error::new(io::ErrorKind::InvalidData, error)
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = match self.inner.read(buffer) {
            Ok(count) => count,
            Err(error) if is_malformed(&error) => return Err(self.damaged("its compressed data are not valid")),
            Err(error) => return Err(error),
        };
        if count > 0 {
            self.out += count as u64;
            if self.out > self.most {
                return Err(self.too_large());
            }
            if self.announced.is_some_and(|(size, _)| self.out > size) {
                return Err(self.damaged("it is longer than announced"));
            }
            self.crc.update(&buffer[..count]);
        } else if let (Some((size, crc32)), false) = (self.announced, buffer.is_empty()) {
            if self.out != size {
                return Err(self.damaged("it is shorter than announced"));
            }
            if self.crc.clone().finalize() != crc32 {
                return Err(self.damaged("its checksum does not match"));
            }
        }
        Ok(count)
    }
}

/// How many bytes may come out of `compressed` ones.
fn most(limits: Limits, compressed: u64) -> u64 {
    let by_ratio = compressed.saturating_mul(limits.max_compression_ratio).max(RATIO_APPLIES_FROM);
    limits.max_uncompressed_bytes.min(by_ratio)
}

/// Whether the data are at fault, rather than the disk, and nobody has said so in our words yet.
fn is_malformed(error: &io::Error) -> bool {
    let malformed = [io::ErrorKind::InvalidData, io::ErrorKind::InvalidInput, io::ErrorKind::UnexpectedEof];
    let is_ours = || matches!(error.get_ref(), Some(inner) if inner.is::<Error>());
    malformed.contains(&error.kind()) && !is_ours()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_uncompressed_bytes: 1 << 30, max_compression_ratio: 10 };

    #[test]
    fn the_stricter_limit_holds_and_small_files_have_no_ratio() {
        assert_eq!(most(LIMITS, 1), RATIO_APPLIES_FROM);
        assert_eq!(most(LIMITS, 10 << 20), 100 << 20);
        assert_eq!(most(LIMITS, 1 << 30), 1 << 30);
        assert_eq!(most(LIMITS, u64::MAX), 1 << 30);
        assert_eq!(most(Limits { max_uncompressed_bytes: 5, ..LIMITS }, 1), 5);
    }

    #[test]
    fn a_gzip_stream_has_both_limits_too() {
        let limits = Limits { max_uncompressed_bytes: 5, ..LIMITS };
        let mut exact = Checked::gzip(&b"12345"[..], "t.csv.gz", 5, limits);
        assert_eq!(io::copy(&mut exact, &mut io::sink()).unwrap(), 5);
        let mut more = Checked::gzip(&b"123456"[..], "t.csv.gz", 5, limits);
        let error = io::copy(&mut more, &mut io::sink()).unwrap_err().downcast::<Error>().unwrap();
        assert_eq!(error.code(), "ArchiveBomb");
    }

    #[test]
    fn what_was_said_below_is_not_said_again() {
        struct Broken(fn() -> io::Error);
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err((self.0)())
            }
        }
        let code = |cause: fn() -> io::Error| {
            let error = Checked::gzip(Broken(cause), "t", 1, LIMITS).read(&mut [0; 8]).unwrap_err();
            error.downcast::<Error>().map(|error| error.code())
        };
        let below = || io::Error::new(io::ErrorKind::InvalidData, Error::data("ArchiveBomb", "below"));
        assert_eq!(code(below).unwrap(), "ArchiveBomb");
        assert_eq!(code(|| io::ErrorKind::UnexpectedEof.into()).unwrap(), "DamagedMember");
        assert_eq!(
            code(|| io::ErrorKind::PermissionDenied.into()).unwrap_err().kind(),
            io::ErrorKind::PermissionDenied
        );
    }
}
