//! The listing of a local lake.

use std::fs::{self, DirEntry};
use std::io;
use std::path::Path;

use super::fault::{explain, is_missing};
use super::path_of;
use crate::error::Result;
use crate::lake::store::Listed;
use crate::lake::store::key::{HIDDEN, folder_of, is_key};

/// All objects below `root` whose key starts with `prefix` and is greater than `after`, by key. What vanishes
/// meanwhile is not there; what is no file, or has a name that is no key, is no object.
pub(super) fn list(root: &Path, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
    let mut listing = Listing { prefix, after, found: Vec::new() };
    let folder = folder_of(prefix)?;
    let path = path_of(root, folder)?;
    listing.enter(&path, folder).map_err(|error| explain("list", &path, error))?;
    listing.found.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    Ok(listing.found)
}

struct Listing<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    found: Vec<Listed>,
}

impl Listing<'_> {
    fn enter(&mut self, path: &Path, folder: &str) -> io::Result<()> {
        let entries = match fs::read_dir(path) {
            Err(error) if is_missing(&error) => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            self.visit(&entry?, folder)?;
        }
        Ok(())
    }

    fn visit(&mut self, entry: &DirEntry, folder: &str) -> io::Result<()> {
        let Ok(name) = entry.file_name().into_string() else { return Ok(()) };
        let key = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        if key == HIDDEN || !key.starts_with(self.prefix) {
            return Ok(());
        }
        let kind = entry.file_type()?;
        if kind.is_dir() {
            return self.enter(&entry.path(), &key);
        }
        if kind.is_file() && is_key(&key) && self.after.is_none_or(|after| key.as_str() > after) {
            self.add(entry, key)?;
        }
        Ok(())
    }

    fn add(&mut self, entry: &DirEntry, key: String) -> io::Result<()> {
        match entry.metadata() {
            Ok(metadata) => self.found.push(Listed { key, len: metadata.len() }),
            Err(error) if is_missing(&error) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
