//! The tag of a version in the stores that are not S3: a 128-bit digest (XXH3) of the content.

use std::io::{self, Read, Write};

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::ETag;

/// The size of the pieces in which a content is copied, in bytes.
const PIECE: usize = 256 * 1024;

/// The tag of a content in memory.
pub(super) fn tag_of(bytes: &[u8]) -> ETag {
    tag(xxh3_128(bytes))
}

/// Copies all of `source` to `target`, and says the tag of what was copied and its length in bytes.
pub(super) fn copy(source: &mut impl Read, target: &mut impl Write) -> io::Result<(ETag, u64)> {
    let (mut digest, mut copied) = (Xxh3::new(), 0);
    let mut buffer = vec![0; PIECE];
    loop {
        let count = source.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok((tag(digest.digest128()), copied));
        };
        digest.update(bytes);
        target.write_all(bytes)?;
        copied += count as u64;
    }
}

fn tag(digest: u128) -> ETag {
    ETag(format!("{digest:032x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_depends_on_the_content_alone() {
        let content: Vec<u8> = (0..3 * PIECE + 7).map(|i| (i % 251) as u8).collect();
        let mut target = Vec::new();
        let (etag, len) = copy(&mut content.as_slice(), &mut target).unwrap();
        assert_eq!((etag, len), (tag_of(&content), content.len() as u64));
        assert_eq!(target, content);
        assert_ne!(tag_of(b"abc"), tag_of(b"abd"));
        assert_eq!(tag_of(b"").0.len(), 32);
    }
}
