//! A snapshot on disk: a zip archive or a folder, and the files of its tables.
//!
//! Members are read straight from the zip, as a stream. Everything that the archive says of itself is checked against what
//! comes out: sizes, CRCs, and limits on how much may come out at all. Member names are never used as paths.

pub(crate) mod parts;

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use xxhash_rust::xxh3::Xxh3;
use zip::{CompressionMethod, ZipArchive};

use super::ahead::ReadAhead;
use super::inflate::Checked;
use crate::ahead::no_thread;
use crate::config::Limits;
use crate::error::{Error, Result};
use crate::position::Position;
use crate::table::{CsvFile, ParquetTable, TableFile, TableName};
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
}

#[derive(Clone, Debug)]
struct Member {
    /// The path inside the archive or folder, `/`-separated.
    name: String,
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Zipped { start: u64, compressed: u64, size: u64, crc32: u32, method: CompressionMethod, encrypted: bool },
}

impl Member {
    /// Its length in bytes, as the archive or the file system says.
    fn size(&self) -> Result<u64> {
        match &self.place {
            Place::Zipped { size, .. } => Ok(*size),
            Place::File(path) => fs::metadata(path).map(|found| found.len()).map_err(|error| {
                Error::data("UnreadableFile", format!("cannot open `{}`", self.name))
                    .caused_by(error)
                    .hint("fetch the snapshot again")
            }),
        }
    }
}

/// The formats that a table's file can have, by the end of its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Csv,
    CsvGz,
    Parquet,
}

const FORMATS: [(&str, Format); 3] = [(".csv", Format::Csv), (".csv.gz", Format::CsvGz), (".parquet", Format::Parquet)];

impl Archive {
    /// Opens a zip archive or a folder.
    pub fn open(path: &Path, limits: Limits) -> Result<Self> {
        let members = if path.is_dir() { folder(path, Path::new(""), 0)? } else { zip_members(path)? };
        Ok(Self { path: path.to_owned().into(), members: Arc::new(members), limits })
    }

    /// The file of a table: `{name}.csv`, `{name}.csv.gz` or `{name}.parquet` at any depth, in the exact spelling first.
    pub fn table(&self, table: &TableName, workspace: &Workspace) -> Result<TableFile> {
        let (member, format) = self.find(table)?;
        let member = member.clone();
        let name = member.name.clone();
        let archive = self.clone();
        if format == Format::Parquet {
            return Ok(TableFile::Parquet(ParquetTable::new(name, archive.on_disk(&member, workspace)?)));
        }
        let open = move || -> Result<Box<dyn Read + Send>> {
            let plain = archive.read(&member)?;
            if format == Format::Csv {
                return Ok(Box::new(ReadAhead::new(plain).map_err(no_thread)?));
            }
            let unzipped = MultiGzDecoder::new(BufReader::with_capacity(READ_BUFFER, plain));
            let checked = Checked::gzip(unzipped, &member.name, member.size()?, archive.limits);
            Ok(Box::new(ReadAhead::new(checked).map_err(no_thread)?))
        };
        Ok(TableFile::Csv(CsvFile::new(name, Box::new(open))))
    }

    /// The names that the tables of these files would have, each with the file's own, sorted. Hidden files and what the
    /// packers of macOS add are left out.
    pub fn stems(&self) -> Vec<(String, String)> {
        let hidden = |name: &str| name.split(['/', '\\']).any(|part| part.starts_with('.') || part == "__MACOSX");
        let stem = |member: &Member| {
            let base = base_name(&member.name);
            let length = FORMATS.iter().find(|(ending, _)| base.to_lowercase().ends_with(ending))?.0.len();
            Some((base.get(..base.len() - length)?.to_owned(), member.name.clone()))
        };
        let mut stems: Vec<_> = self.members.iter().filter(|member| !hidden(&member.name)).filter_map(stem).collect();
        stems.sort();
        stems
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
            }
        }
        Ok(Position::Mark(format!("xxh3:{:032x}", digest.digest128())))
    }

    /// Whether all of a table's file can be read and is what the archive says, as far as bytes that were damaged on their
    /// way can be at fault.
    pub(crate) fn is_intact(&self, table: &TableName) -> bool {
        let read = || {
            let (member, _) = self.find(table)?;
            let mut bytes = self.read(member)?;
            io::copy(&mut bytes, &mut io::sink()).map_err(|error| {
                error.downcast::<Error>().unwrap_or_else(|error| Error::data("UnreadableFile", "").caused_by(error))
            })
        };
        read().err().is_none_or(|error| error.code() != "DamagedMember")
    }

    fn find(&self, table: &TableName) -> Result<(&Member, Format)> {
        let names: Vec<&str> = self.members.iter().map(|member| member.name.as_str()).collect();
        find(&names, table).map(|(index, format)| (&self.members[index], format))
    }

    fn read(&self, member: &Member) -> Result<Box<dyn Read + Send>> {
        let unreadable = |error: io::Error| {
            Error::data("UnreadableFile", format!("cannot open `{}`", member.name))
                .caused_by(error)
                .hint("fetch the snapshot again")
        };
        let (start, compressed, size, crc32, method) = match &member.place {
            Place::File(path) => return Ok(Box::new(File::open(path).map_err(unreadable)?)),
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

/// Which of the files called `names` is that of a table, and its format.
fn find(names: &[&str], table: &TableName) -> Result<(usize, Format)> {
    let exact = |base: &str, ending: &str| base.strip_suffix(ending) == Some(table.as_str());
    let folded = |base: &str, ending: &str| base.to_lowercase() == format!("{}{ending}", table.as_str().to_lowercase());
    let matching = |same: &dyn Fn(&str, &str) -> bool| -> Vec<(usize, Format)> {
        let format =
            |name: &str| FORMATS.iter().find(|(ending, _)| same(base_name(name), ending)).map(|(_, format)| *format);
        names.iter().enumerate().filter_map(|(index, name)| Some((index, format(name)?))).collect()
    };
    let mut found = matching(&exact);
    if found.is_empty() {
        found = matching(&folded);
    }
    let depth = |index: usize| names[index].matches(['/', '\\']).count();
    found.sort_by_key(|(index, _)| depth(*index));
    match found.as_slice() {
        [] => Err(missing(names, table)),
        [one] => Ok(*one),
        [first, second, ..] if depth(first.0) < depth(second.0) => Ok(*first),
        [first, second, ..] => Err(Error::data(
            "AmbiguousTable",
            format!("table `{table}` could be `{}` or `{}`", names[first.0], names[second.0]),
        )
        .hint("remove or rename one of the two files at the source")),
    }
}

fn missing(names: &[&str], table: &TableName) -> Error {
    let error =
        Error::data("TableMissing", format!("the snapshot has no file `{table}.csv` (nor .csv.gz, nor .parquet)"));
    let near = crate::near::near(&format!("{table}.csv"), names.iter().map(|name| base_name(name)));
    let nested = names.iter().find(|name| name.to_lowercase().ends_with(".zip"));
    match (near, nested) {
        (Some(near), _) => error.hint(format!(
            "did you mean `{near}`? A table's `name` is its file's, without `.csv`; nothing was deleted"
        )),
        (None, Some(nested)) => {
            error.hint(format!("archives inside the archive are not opened: unpack `{nested}` at the source"))
        }
        (None, None) => error.hint("check the table's `name` and the dataset; nothing was deleted"),
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit(['/', '\\']).next().unwrap_or(name)
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
            members.push(Member { name: relative.to_string_lossy().into_owned(), place: Place::File(entry.path()) });
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
        Error::data("DamagedArchive", format!("`{name}` is not a readable zip archive"))
            .caused_by(error())
            .hint("fetch it again; if it stays so, it is damaged at the source")
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

/// The name of a member, whose bytes need not be text.
fn listed_name(name: Option<Cow<'_, str>>, raw: &[u8]) -> String {
    name.unwrap_or_else(|| String::from_utf8_lossy(raw)).into_owned()
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
