//! What a file is that is neither a zip archive nor a table, by its first bytes.

use std::io::{BufReader, Read};

use flate2::bufread::MultiGzDecoder;

/// So many first bytes are enough.
pub(crate) const HEAD: usize = 512;

/// A kind of file that is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Foreign {
    /// What it is, with its article.
    pub(crate) what: &'static str,
    /// What to do about it.
    pub(crate) hint: &'static str,
    /// Whether it is that whenever it is fetched; a page may come from a proxy on the way.
    pub(crate) lasting: bool,
}

const UNPACK: &str = "unpack it and give the folder, or have it published as a zip archive";
const RENAME_GZIP: &str = "if it is one text table, give it a name that ends in .csv.gz";
const RENAME_PARQUET: &str = "if it is a table, give it a name that ends in .parquet";
const EXPORT: &str = "have its tables published as CSV or Parquet";
const PAGE: &str = "some address answered with a page, perhaps to sign in, in place of the file: fetch it again";

/// The first bytes of each kind, with what it is and what to do.
const KINDS: [(&[u8], &str, &str); 13] = [
    (b"7z\xBC\xAF\x27\x1C", "a 7-Zip archive", UNPACK),
    (b"Rar!\x1A\x07", "a RAR archive", UNPACK),
    (b"\xFD7zXZ\0", "an xz archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\x28\xB5\x2F\xFD", "a Zstandard archive", UNPACK),
    (b"\x1F\x8B", "a gzip file", RENAME_GZIP),
    (b"MZ", "a Windows program, perhaps a self-extracting archive", UNPACK),
    (b"\x7FELF", "a Linux program, perhaps a self-extracting archive", UNPACK),
    (b"PAR1", "a Parquet file", RENAME_PARQUET),
    (b"%PDF-", "a PDF document", EXPORT),
    (b"SQLite format 3\0", "an SQLite database", EXPORT),
    (b"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1", "a document of an older Microsoft Office", EXPORT),
    (b"Obj\x01", "an Avro file", EXPORT),
];

/// What begins with `head`, if it is one of the kinds that are not read.
pub(crate) fn recognised(head: &[u8]) -> Option<Foreign> {
    if is_page(head) {
        return Some(Foreign { what: "an HTML page", hint: PAGE, lasting: false });
    }
    let foreign = |what, hint| Some(Foreign { what, hint, lasting: true });
    if is_tar(head) {
        return foreign("a tar archive", UNPACK);
    }
    if head.starts_with(b"\x1F\x8B") && unzipped(head).is_some_and(|inner| is_tar(&inner)) {
        return foreign("a gzipped tar archive (.tar.gz)", UNPACK);
    }
    KINDS.iter().find(|(magic, ..)| head.starts_with(magic)).and_then(|(_, what, hint)| foreign(what, hint))
}

fn is_page(head: &[u8]) -> bool {
    let text = String::from_utf8_lossy(head).trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).to_lowercase();
    text.starts_with("<!doctype html") || text.starts_with("<html")
}

fn is_tar(head: &[u8]) -> bool {
    head.get(257..262) == Some(b"ustar")
}

/// As much of what is packed in `head` as it shows.
fn unzipped(head: &[u8]) -> Option<Vec<u8>> {
    let mut inner = vec![0; HEAD];
    let mut reader = MultiGzDecoder::new(BufReader::new(head));
    let mut count = 0;
    while count < inner.len() {
        match reader.read(&mut inner[count..]) {
            Ok(0) | Err(_) => break,
            Ok(more) => count += more,
        }
    }
    inner.truncate(count);
    (count > 0).then_some(inner)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn what(head: &[u8]) -> Option<&'static str> {
        recognised(head).map(|foreign| foreign.what)
    }

    #[test]
    fn files_are_told_by_their_first_bytes() {
        assert_eq!(what(b"7z\xBC\xAF\x27\x1C\0\x04"), Some("a 7-Zip archive"));
        assert_eq!(what(b"\xEF\xBB\xBF\n<!DOCTYPE HTML><p>"), Some("an HTML page"));
        assert_eq!(what(b"id,v\n1,a\n"), None);
        assert_eq!(what(b"PK\x03\x04"), None);
        let mut tar = vec![0; HEAD];
        tar[257..262].copy_from_slice(b"ustar");
        assert_eq!(what(&tar), Some("a tar archive"));
        let mut gz = GzEncoder::new(Vec::new(), Compression::default());
        gz.write_all(&[tar, vec![0; 100_000]].concat()).unwrap();
        let packed = gz.finish().unwrap();
        assert_eq!(what(&packed[..HEAD.min(packed.len())]), Some("a gzipped tar archive (.tar.gz)"));
    }
}
