//! What an archive may unpack to: a guard against damaged and malicious ones.

/// How much may come out of one member of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// At most so many bytes.
    pub max_uncompressed_bytes: u64,
    /// At most so many times the compressed size, once 64 MiB are out.
    pub max_compression_ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_uncompressed_bytes: 64 << 30, max_compression_ratio: 200 }
    }
}
