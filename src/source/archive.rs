//! A snapshot on disk: a zip archive or a folder, and the files of its tables.
//!
//! Members are read straight from the zip, as a stream. Everything that the archive says of itself is checked against what
//! comes out: sizes, CRCs, and limits on how much may come out at all. Member names are never used as paths.

mod find;
mod lone;
pub(crate) mod parts;
pub(crate) mod paths;
mod pattern;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use xxhash_rust::xxh3::Xxh3;
use zip::{CompressionMethod, ZipArchive};

use self::find::{Format, find};
use super::ahead::ReadAhead;
use super::inflate::Checked;
use crate::ahead::no_thread;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::table::{CsvFile, FileChoice, ParquetTable, TableFile};
use crate::workspace::{WorkFile, Workspace};

/// How deep a folder is searched.
const MAX_DEPTH: usize = 8;

const READ_BUFFER: usize = 256 * 1024;

/// A snapshot's files.
#[derive(Clone, Debug)]
pub struct Archive {
    path: WorkFile,
    members: Arc<Vec<Member>>,
    limits: Limits,
    /// Whether it is no archive but one table's file itself.
    lone: bool,
}

#[derive(Clone, Debug)]
struct Member {
    /// The path inside the archive or folder, in its normal form.
    name: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Zipped {
        start: u64,
        compressed: u64,
        size: u64,
        crc32: u32,
        method: CompressionMethod,
        encrypted: bool,
    },
    /// Its bytes were not fetched: it is no table's that was asked for.
    Elsewhere,
}

impl Member {
    /// Its length in bytes, as the archive or the file system says.
    fn size(&self) -> Result<u64> {
        match &self.place {
            Place::Zipped { size, .. } => Ok(*size),
            Place::Elsewhere => Err(not_fetched(&self.name)),
            Place::File(path) => fs::metadata(path).map(|found| found.len()).map_err(|error| {
                Error::data("UnreadableFile", format!("cannot open `{}`", self.name))
                    .caused_by(error)
                    .hint("fetch the snapshot again")
            }),
        }
    }
}

impl Archive {
    /// Opens a zip archive, a folder, or the file of one table: text, also gzipped, or Parquet, by the end of its name.
    ///
    /// # Errors
    /// `SnapshotNotFound` and `UnreadableFolder` (kind `Config`), `DamagedArchive` and `DoubtfulArchive` (kind `Data`).
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let lone = if path.is_dir() { None } else { lone::member(path)? };
        let members = match &lone {
            Some(member) => vec![member.clone()],
            None if path.is_dir() => folder(path, Path::new(""), 0)?,
            None => zip_members(path)?,
        };
        Ok(Self { path: path.to_owned().into(), members: Arc::new(members), limits, lone: lone.is_some() })
    }

    /// The file, or files, of a table: those that the configuration names, or else `{name}.csv`, `{name}.csv.gz` or
    /// `{name}.parquet` at any depth, in the exact spelling first.
    ///
    /// # Errors
    /// `TableMissing`, `AmbiguousTable`, `MixedFormats` (kind `Data`), and what is wrong with the archive.
    pub fn table<'a>(&self, choice: impl Into<FileChoice<'a>>, workspace: &Workspace) -> Result<TableFile> {
        let choice = choice.into();
        let found = self.find(choice)?;
        let parts = found.into_iter().map(|(member, format)| self.file(member, format, workspace));
        TableFile::of_parts(choice.file.unwrap_or_default(), parts.collect::<Result<_>>()?)
    }

    fn file(&self, member: &Member, format: Format, workspace: &Workspace) -> Result<TableFile> {
        let (member, archive) = (member.clone(), self.clone());
        let name = member.name.clone();
        if format == Format::Parquet {
            return Ok(TableFile::Parquet(ParquetTable::new(name, archive.on_disk(&member, workspace)?)));
        }
        let open = move || -> Result<Box<dyn Read + Send>> {
            let plain = archive.read(&member)?;
            if format == Format::Text {
                return Ok(Box::new(ReadAhead::new(plain).map_err(no_thread)?));
            }
            let unzipped = MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER, plain));
            let checked = Checked::gzip(unzipped, &member.name, member.size()?, archive.limits);
            Ok(Box::new(ReadAhead::new(checked).map_err(no_thread)?))
        };
        Ok(TableFile::Csv(CsvFile::new(name, Box::new(open))))
    }

    /// The paths of all files, sorted.
    pub(crate) fn paths(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        paths.sort_unstable();
        paths
    }

    /// The paths of a table's files; none where it is not clear which they are.
    pub(crate) fn names_of(&self, choice: FileChoice<'_>) -> Vec<&str> {
        let found = self.find(choice).unwrap_or_default();
        found.into_iter().map(|(member, _)| member.name.as_str()).collect()
    }

    /// A digest of names and contents: equal for equal snapshots, wherever they are.
    pub fn digest(&self) -> Result<Position> {
        let mut members: Vec<&Member> = self.members.iter().collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let mut digest = Xxh3::new();
        for member in members {
            digest.update(member.name.as_bytes());
            match &member.place {
                Place::Zipped { size, crc32, .. } => {
                    digest.update(&[size.to_le_bytes(), u64::from(*crc32).to_le_bytes()].concat());
                }
                Place::File(path) => digest.update(&file_digest(path)?.to_le_bytes()),
                Place::Elsewhere => return Err(not_fetched(&member.name)),
            }
        }
        Ok(Position::Mark(format!("xxh3:{:032x}", digest.digest128())))
    }

    /// Whether all of a table's files can be read and are what the archive says, as far as bytes that were damaged on their
    /// way can be at fault.
    pub(crate) fn is_intact(&self, choice: FileChoice<'_>) -> bool {
        let read = |member: &Member| {
            let mut bytes = self.read(member)?;
            io::copy(&mut bytes, &mut io::sink()).map_err(|error| {
                error.downcast::<Error>().unwrap_or_else(|error| Error::data("UnreadableFile", "").caused_by(error))
            })
        };
        let damaged = |error: Error| error.code() == "DamagedMember";
        self.find(choice).map_or(true, |found| !found.into_iter().any(|(member, _)| read(member).is_err_and(damaged)))
    }

    fn find(&self, choice: FileChoice<'_>) -> Result<Vec<(&Member, Format)>> {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        let found = match find(&names, choice) {
            Err(error) if error.code() == "TableMissing" => self.lone_of(choice).ok_or(error)?,
            found => found?,
        };
        Ok(found.into_iter().map(|(index, format)| (&self.members[index], format)).collect())
    }

    /// The one file that there is, whatever its ending, if it is called like the table.
    fn lone_of(&self, choice: FileChoice<'_>) -> Option<Vec<(usize, Format)>> {
        let only = self.members.first().filter(|_| self.lone && choice.file.is_none())?;
        let stem = only.name.split('.').next().unwrap_or_default().to_lowercase();
        (stem == paths::composed(choice.name.as_str()).to_lowercase()).then(|| vec![(0, Format::of(&only.name))])
    }

    fn read(&self, member: &Member) -> Result<Box<dyn Read + Send>> {
        let unreadable = |error: io::Error| {
            Error::data("UnreadableFile", format!("cannot open `{}`", member.name))
                .caused_by(error)
                .hint("fetch the snapshot again")
        };
        let (start, compressed, size, crc32, method) = match &member.place {
            Place::File(path) => return Ok(Box::new(File::open(path).map_err(unreadable)?)),
            Place::Elsewhere => return Err(not_fetched(&member.name)),
            Place::Zipped { encrypted: true, .. } => {
                return Err(Error::data("EncryptedMember", format!("`{}` is encrypted", member.name))
                    .hint("publish the dataset without a password"));
            }
            Place::Zipped { start, compressed, size, crc32, method, .. } => {
                (*start, *compressed, *size, *crc32, *method)
            }
        };
        let mut file = File::open(&self.path).map_err(unreadable)?;
        file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
        let raw = BufReader::with_capacity(READ_BUFFER, file).take(compressed);
        match method {
            CompressionMethod::Stored => {
                Ok(Box::new(Checked::member(raw, &member.name, size, crc32, compressed, self.limits)))
            }
            CompressionMethod::Deflated => Ok(Box::new(Checked::member(
                DeflateDecoder::new(raw),
                &member.name,
                size,
                crc32,
                compressed,
                self.limits,
            ))),
            other => {
                Err(Error::data("UnsupportedCompression", format!("`{}` is compressed with {other}", member.name))
                    .hint("publish the archive with the usual compression (deflate)"))
            }
        }
    }

    /// The path of a file with the member's bytes, unpacked where it has to be.
    fn on_disk(&self, member: &Member, workspace: &Workspace) -> Result<WorkFile> {
        if let Place::File(path) = &member.place {
            return Ok(path.clone().into());
        }
        let path = workspace.new_file("member.parquet");
        let copy = |mut source: Box<dyn Read + Send>| io::copy(&mut source, &mut File::create(&path)?);
        let failed = |error: io::Error| {
            Error::data("UnreadableFile", format!("cannot unpack `{}`", member.name))
                .caused_by(error)
                .hint("fetch the snapshot again; if the disk is full, set TMPDIR to a larger one")
        };
        copy(self.read(member)?).map_err(|error| error.downcast::<Error>().unwrap_or_else(failed))?;
        Ok(path)
    }
}

fn not_fetched(name: &str) -> Error {
    Error::internal("NotAtHand", format!("`{name}` was not fetched with the table's files"))
}

fn folder(root: &Path, below: &Path, depth: usize) -> Result<Vec<Member>> {
    let unreadable = |error: io::Error| {
        Error::config("UnreadableFolder", format!("cannot read the folder `{}`", root.join(below).display()))
            .caused_by(error)
    };
    let mut members = Vec::new();
    for entry in fs::read_dir(root.join(below)).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let relative = below.join(entry.file_name());
        if entry.path().is_file() {
            members.push(Member { name: paths::normal(&relative.to_string_lossy()), place: Place::File(entry.path()) });
        } else if entry.file_type().map_err(unreadable)?.is_dir() && depth < MAX_DEPTH {
            members.extend(folder(root, &relative, depth + 1)?);
        }
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn zip_members(path: &Path) -> Result<Vec<Member>> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let damaged = |error: &dyn Fn() -> Box<dyn std::error::Error + Send + Sync>| {
        match lone::foreign(path) {
        Some(foreign) => lone::not_read(&name, foreign),
        None => Error::data("DamagedArchive", format!("`{name}` is not a readable zip archive"))
            .caused_by(error())
            .hint("fetch it again; if it stays so, it is damaged at the source. One text table needs a name that ends in .csv, .tsv or .txt"),
    }
    };
    let file = File::open(path).map_err(|error| {
        Error::config("SnapshotNotFound", format!("cannot open `{}`", path.display()))
            .caused_by(error)
            .hint("give a folder or a zip archive")
    })?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| {
        let text = error.to_string();
        damaged(&|| text.clone().into())
    })?;
    let doubtful = |what: &str| {
        Error::data("DoubtfulArchive", format!("`{name}` {what}"))
            .hint("it was not made by an ordinary tool: have it made anew at the source")
    };
    if archive.has_duplicate_names() {
        return Err(doubtful("holds two members of one name"));
    }
    if archive.has_overlapping_files().unwrap_or(true) {
        return Err(doubtful("holds members that overlap"));
    }
    let mut members = Vec::new();
    for index in 0..archive.len() {
        let member = archive.by_index_raw(index).map_err(|error| {
            let text = error.to_string();
            damaged(&|| text.clone().into())
        })?;
        if member.is_file() {
            members.push(zipped(&member, &doubtful)?);
        }
    }
    Ok(members)
}

fn zipped<R: Read>(member: &zip::read::ZipFile<'_, R>, doubtful: &dyn Fn(&str) -> Error) -> Result<Member> {
    let start = member.data_start().ok_or_else(|| doubtful("holds a member without data"))?;
    let name = listed_name(member.name().ok(), member.name_raw());
    let place = Place::Zipped {
        start,
        compressed: member.compressed_size(),
        size: member.size(),
        crc32: member.crc32(),
        method: member.compression(),
        encrypted: member.encrypted(),
    };
    Ok(Member { name, place })
}

/// The path of a member in its normal form; its bytes need not be text.
fn listed_name(name: Option<Cow<'_, str>>, raw: &[u8]) -> String {
    paths::normal(&name.unwrap_or_else(|| String::from_utf8_lossy(raw)))
}

fn file_digest(path: &Path) -> Result<u128> {
    let unreadable =
        |error: io::Error| Error::data("UnreadableFile", format!("cannot read `{}`", path.display())).caused_by(error);
    let mut file = File::open(path).map_err(unreadable)?;
    let mut digest = Xxh3::new();
    let mut buffer = vec![0; READ_BUFFER];
    loop {
        match file.read(&mut buffer).map_err(unreadable)? {
            0 => return Ok(digest.digest128()),
            count => digest.update(&buffer[..count]),
        }
    }
}
