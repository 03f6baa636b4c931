//! One table's file in the place of a zip archive or a folder.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Member, Place, paths};
use crate::error::{Error, Result};
use crate::source::foreign::{self, Foreign, HEAD};

/// The ends of the names that such a file can have.
const ENDINGS: [&str; 8] = [".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".gz", ".parquet"];

/// The file at `path` as the only member of a dataset; `None` where it is to be read as a zip archive.
///
/// # Errors
/// `DamagedArchive` (kind `Data`) for what its name says is a table and its first bytes say is not.
pub(super) fn member(path: &Path) -> Result<Option<Member>> {
    let Some(name) = path.file_name().map(|name| name.to_string_lossy().into_owned()) else { return Ok(None) };
    let lower = name.to_lowercase();
    let head = head(path).unwrap_or_default();
    if !path.is_file() || head.starts_with(b"PK") || !ENDINGS.iter().any(|ending| lower.ends_with(ending)) {
        return Ok(None);
    }
    let as_named = |foreign: &Foreign| {
        lower.ends_with(".parquet") && foreign.what == "a Parquet file"
            || lower.ends_with(".gz") && foreign.what == "a gzip file"
    };
    match foreign::recognised(&head).filter(|foreign| !as_named(foreign)) {
        Some(foreign) => Err(not_read(&name, foreign)),
        None => Ok(Some(Member { name: paths::normal(&name), place: Place::File(path.to_owned()) })),
    }
}

/// What the file at `path` is, if it is a kind that is not read.
pub(super) fn foreign(path: &Path) -> Option<Foreign> {
    foreign::recognised(&head(path).ok()?)
}

/// The error for a file of such a kind.
pub(super) fn not_read(name: &str, foreign: Foreign) -> Error {
    Error::data("DamagedArchive", format!("`{name}` is {}, and neither a zip archive nor a table", foreign.what))
        .hint(foreign.hint)
}

fn head(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD as u64).read_to_end(&mut head)?;
    Ok(head)
}
