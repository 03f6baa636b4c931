//! A zip archive of which only some bytes are here: its directory, and the members of one table.
//!
//! The file has the whole archive's length and is empty wherever nothing was fetched, so that each byte is at its own place and
//! the ordinary reader reads it. It is that reader, too, that says which bytes are still needed: what it wants to read and
//! does not find is fetched next.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use zip::ZipArchive;

use super::{Archive, Member, Place, find, listed_name, zipped};
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::table::FileChoice;
use crate::workspace::WorkFile;

/// How much of the directory is fetched at a time.
const BLOCK: u64 = 1 << 20;

/// The fixed part of a local header, and the most that its name and its extra fields can have.
const LOCAL_HEADER: u64 = 30;
const LONGEST_NAME_AND_EXTRA: u64 = 2 * u16::MAX as u64;

/// An archive of which some bytes are here.
pub(crate) struct Parts {
    path: WorkFile,
    file: File,
    len: u64,
    /// What is here: in order, neither touching nor overlapping.
    here: Vec<Range<u64>>,
}

/// What reading a table takes.
#[derive(Debug)]
pub(crate) enum Next {
    /// These bytes.
    Fetch(Range<u64>),
    /// Nothing more: an archive with the bytes of those members alone; of none where the table has none.
    Ready(Archive),
    /// The whole archive, because something about it is out of the ordinary: to be told by who reads all of it.
    Whole,
}

/// A member, as the directory describes it.
struct Listed {
    index: usize,
    name: String,
    header_start: u64,
    compressed: u64,
}

impl Listed {
    /// Where its bytes end at the latest, by what a local header can hold.
    fn longest(&self) -> u64 {
        self.header_start.saturating_add(LOCAL_HEADER + LONGEST_NAME_AND_EXTRA).saturating_add(self.compressed)
    }
}

impl Parts {
    /// An archive of `len` bytes, none of which is here.
    pub(crate) fn create(path: PathBuf, len: u64) -> Result<Self> {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let file = file.and_then(|file| file.set_len(len).map(|()| file)).map_err(|error| unwritable(&path, error))?;
        Ok(Self { path: WorkFile::owned(path), file, len, here: Vec::new() })
    }

    /// Where the file is.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(&self.path)
    }

    /// How many bytes are here.
    pub(crate) fn present(&self) -> u64 {
        self.here.iter().map(|part| part.end - part.start).sum()
    }

    /// Puts `bytes` where they belong.
    pub(crate) fn write(&mut self, at: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, at).map_err(|error| unwritable(&self.path, error))?;
        let mut added = at..at + bytes.len() as u64;
        let touches = |part: &Range<u64>| part.start <= added.end && added.start <= part.end;
        for part in self.here.extract_if(.., |part| touches(part)).collect::<Vec<_>>() {
            added = added.start.min(part.start)..added.end.max(part.end);
        }
        let place = self.here.partition_point(|part| part.start < added.start);
        self.here.insert(place, added);
        Ok(())
    }

    /// What is to be done next to read the table of `choice`.
    pub(crate) fn next<'a>(&self, choice: impl Into<FileChoice<'a>>, limits: Limits) -> Next {
        let missed = Rc::new(Cell::new(None));
        let opened = ZipArchive::new(self.reader(&missed));
        if let Some(at) = missed.take() {
            return Next::Fetch(self.gap(at, at.saturating_add(BLOCK)));
        }
        let Ok(mut archive) = opened else { return Next::Whole };
        if archive.has_duplicate_names() {
            return Next::Whole;
        }
        let Some(members) = listed(&archive) else { return Next::Whole };
        let names: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
        let found = find(&names, choice.into()).unwrap_or_default();
        let wanted: Vec<&Listed> = found.into_iter().map(|(index, _)| &members[index]).collect();
        let Some(bounds) = self.bounds(&wanted, &archive) else { return Next::Whole };
        if let Some(gap) = self.first_gap(&bounds) {
            return Next::Fetch(gap);
        }
        let elsewhere = |name: &&str| Member { name: (*name).to_owned(), place: Place::Elsewhere };
        let Some(here) = self.ready(&mut archive, &wanted, &bounds) else { return Next::Whole };
        let at_hand: BTreeSet<&str> = here.iter().map(|member| member.name.as_str()).collect();
        let mut all: Vec<Member> = names.iter().filter(|name| !at_hand.contains(*name)).map(elsewhere).collect();
        all.extend(here);
        Next::Ready(Archive { path: self.path.clone(), members: Arc::new(all), limits, lone: false })
    }

    /// For each member the bytes that it can have; `None` where it says that it has more.
    fn bounds<R: Read + Seek>(&self, wanted: &[&Listed], archive: &ZipArchive<R>) -> Option<Vec<Range<u64>>> {
        let starts = (0..archive.len()).filter_map(|index| Some(archive.by_index_data(index).ok()?.header_start()));
        let mut starts: Vec<u64> = starts.collect();
        starts.sort_unstable();
        let bounds = wanted.iter().map(|member| {
            let next = starts.get(starts.partition_point(|start| *start <= member.header_start)).copied();
            let end =
                next.unwrap_or(u64::MAX).min(archive.central_directory_start()).min(self.len).min(member.longest());
            let data = member.header_start.saturating_add(LOCAL_HEADER).saturating_add(member.compressed);
            (data <= end).then_some(member.header_start..end)
        });
        bounds.collect()
    }

    /// The first bytes that are missing; those of members that touch are fetched as one.
    fn first_gap(&self, bounds: &[Range<u64>]) -> Option<Range<u64>> {
        let mut bounds = bounds.to_vec();
        bounds.sort_unstable_by_key(|bound| bound.start);
        bounds.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        bounds.iter().find_map(|bound| Some(self.gap(self.first_missing(bound.start, bound.end)?, bound.end)))
    }

    /// The members, whose bytes are here; `None` where one has more of them than it can have.
    fn ready<R: Read + Seek>(
        &self,
        archive: &mut ZipArchive<R>,
        wanted: &[&Listed],
        bounds: &[Range<u64>],
    ) -> Option<Vec<Member>> {
        let ready = wanted.iter().zip(bounds).map(|(member, bound)| {
            let raw = archive.by_index_raw(member.index).ok()?;
            let data_end = raw.data_start().and_then(|start| start.checked_add(raw.compressed_size()))?;
            let read = zipped(&raw, &|what| Error::data("DoubtfulArchive", what)).ok()?;
            (data_end <= bound.end).then_some(read)
        });
        ready.collect()
    }

    fn reader(&self, missed: &Rc<Cell<Option<u64>>>) -> PartsReader<'_> {
        PartsReader { parts: self, at: 0, missed: Rc::clone(missed) }
    }

    /// The end of the bytes that are here from `at` on; `at` itself where there is none.
    fn here_until(&self, at: u64) -> u64 {
        self.here.iter().find(|part| part.contains(&at)).map_or(at, |part| part.end)
    }

    /// The first byte in the range that is not here.
    fn first_missing(&self, start: u64, end: u64) -> Option<u64> {
        Some(self.here_until(start)).filter(|at| *at < end)
    }

    /// From `at`, which is not here, to the next byte that is, or to `end`.
    fn gap(&self, at: u64, end: u64) -> Range<u64> {
        let next = self.here.iter().map(|part| part.start).find(|start| *start > at);
        at..next.unwrap_or(self.len).min(end).min(self.len)
    }
}

/// Every file of the directory; `None` where an entry cannot be read.
fn listed<R: Read + Seek>(archive: &ZipArchive<R>) -> Option<Vec<Listed>> {
    let entries = (0..archive.len()).map(|index| Some((index, archive.by_index_data(index).ok()?)));
    let entries: Vec<_> = entries.collect::<Option<_>>()?;
    let files = entries.into_iter().filter(|(_, entry)| entry.is_file()).map(|(index, entry)| Listed {
        index,
        name: listed_name(entry.name().ok(), entry.name_raw()),
        header_start: entry.header_start(),
        compressed: entry.compressed_size(),
    });
    Some(files.collect())
}

/// Reads what is here, and notes the place of the first byte that is not.
struct PartsReader<'p> {
    parts: &'p Parts,
    at: u64,
    missed: Rc<Cell<Option<u64>>>,
}

impl Read for PartsReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.parts.len || buffer.is_empty() {
            return Ok(0);
        }
        let there = self.parts.here_until(self.at) - self.at;
        if there == 0 {
            self.missed.set(self.missed.get().or(Some(self.at)));
            return Err(io::Error::other("not here yet"));
        }
        let most = usize::try_from(there).map_or(buffer.len(), |there| there.min(buffer.len()));
        let count = self.parts.file.read_at(&mut buffer[..most], self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for PartsReader<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.parts.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        Ok(self.at)
    }
}

fn unwritable(path: &Path, error: io::Error) -> Error {
    let place = path.display();
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        return Error::config("DiskFull", format!("no space left while writing {place}"))
            .hint("raise EphemeralStorageMb in template.yaml (the size of /tmp), or free space in the work folder")
            .caused_by(error);
    }
    Error::config("WorkFolder", format!("cannot write {place}"))
        .hint("the work folder must exist and be writable")
        .caused_by(error)
}

#[cfg(test)]
mod tests;
