//! Small datasets: zip archives of CSV tables.

use std::io::{Cursor, Write};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// A zip archive of `{name}.csv` members.
pub(crate) fn zipped(tables: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, csv) in tables {
        archive.start_file(format!("{name}.csv"), SimpleFileOptions::default()).expect("a member");
        archive.write_all(csv.as_bytes()).expect("its content");
    }
    archive.finish().expect("an archive").into_inner()
}
