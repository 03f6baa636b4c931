//! Which of a dataset's files could be tables, and what the tables would be called.

use std::collections::{BTreeMap, BTreeSet};

use super::{LeftOut, unfit_name};
use crate::error::Error;
use crate::source::archive::Archive;
use crate::source::archive::paths::{base_name, composed, is_clutter};
use crate::table::{FileChoice, TableName};

/// The ends of the names of text and Parquet tables.
const TABLES: [&str; 11] =
    [".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".csv.gz", ".tsv.gz", ".txt.gz", ".gz", ".parquet"];

/// Those of them that are surely tables, also if they have one column.
const SURELY_TABLES: [&str; 8] = [".csv", ".tsv", ".tab", ".psv", ".csv.gz", ".tsv.gz", ".parquet", ".gz.parquet"];

/// The ends of the names of data that is not read, and what it is.
const FOREIGN: [(&str, &str); 14] = [
    (".zip", "an archive inside the archive"),
    (".7z", "an archive inside the archive"),
    (".rar", "an archive inside the archive"),
    (".tar", "an archive inside the archive"),
    (".tar.gz", "an archive inside the archive"),
    (".tgz", "an archive inside the archive"),
    (".xlsx", "an Excel workbook"),
    (".xls", "an Excel workbook"),
    (".json", "JSON"),
    (".jsonl", "JSON"),
    (".avro", "Avro"),
    (".orc", "ORC"),
    (".feather", "Feather"),
    (".sqlite", "an SQLite database"),
];

/// A file, or some files, that could be a table.
pub(super) struct Candidate {
    pub(super) name: TableName,
    /// What the configuration has to say for the file to be found; `None` where the name does.
    pub(super) file: Option<String>,
    /// The path of the file, for messages.
    pub(super) path: String,
    /// Whether it may be prose as well.
    pub(super) doubtful: bool,
}

/// A file or a set of parts before it has a name.
struct Found {
    path: String,
    /// The pattern of a set of parts.
    pattern: Option<String>,
    stem: String,
    folder: String,
    ending: String,
}

/// What could be tables, in the order of their paths, and what cannot, with the reason.
pub(super) fn candidates(archive: &Archive) -> (Vec<Candidate>, Vec<LeftOut>) {
    let (mut found, mut left_out) = (Vec::new(), Vec::new());
    let mut parts: BTreeMap<(String, String), usize> = BTreeMap::new();
    let paths = archive.paths();
    for path in paths.into_iter().filter(|path| !is_clutter(path)) {
        if let Some((_, what)) = FOREIGN.iter().rev().find(|(ending, _)| path.to_lowercase().ends_with(ending)) {
            left_out.push(LeftOut { error: foreign(path, what), file: path.to_owned() });
            continue;
        }
        let Some(file) = Found::new(path) else { continue };
        if is_part(base_name(path)) {
            let key = (file.folder.clone(), file.ending.clone());
            if let Some(first) = parts.get(&key) {
                found.get_mut(*first).map(Found::become_set).unwrap_or_default();
                continue;
            }
            parts.insert(key, found.len());
        }
        found.push(file);
    }
    let mut names = Names::new(archive, &found);
    let mut candidates = Vec::new();
    for file in found {
        match names.name(&file) {
            Ok((name, plain)) => candidates.push(Candidate {
                name,
                doubtful: !SURELY_TABLES.contains(&file.ending.as_str()),
                file: (!plain).then(|| file.pattern.clone().unwrap_or_else(|| literal(&file.path))),
                path: file.path,
            }),
            Err(error) => left_out.push(LeftOut { file: file.path, error }),
        }
    }
    (candidates, left_out)
}

impl Found {
    fn new(path: &str) -> Option<Self> {
        let (folder, base) = path.rsplit_once('/').unwrap_or(("", path));
        let lower = base.to_lowercase();
        let ending = TABLES.iter().filter(|ending| lower.ends_with(**ending)).max_by_key(|ending| ending.len());
        let ending = match ending {
            Some(ending) => *ending,
            None if !base.contains('.') && !base.starts_with('_') => "",
            None => return None,
        };
        let stem = base.get(..base.len() - ending.len())?.to_owned();
        let mut found =
            Self { path: path.to_owned(), pattern: None, stem, folder: folder.to_owned(), ending: ending.to_owned() };
        // A folder of parts is one table even where there is one part.
        if is_part(base) && !folder.is_empty() {
            found.become_set();
        }
        Some(found)
    }

    /// Stands for all parts of its folder from now on.
    fn become_set(&mut self) {
        if self.pattern.is_some() {
            return;
        }
        let folder = if self.folder.is_empty() { String::new() } else { format!("{}/", literal(&self.folder)) };
        self.pattern = Some(format!("{folder}part-*{}", self.ending));
        let folder = base_name(&self.folder);
        let ending =
            TABLES.iter().filter(|ending| folder.to_lowercase().ends_with(**ending)).map(|ending| ending.len());
        let stem = folder.get(..folder.len() - ending.max().unwrap_or_default()).unwrap_or(folder);
        self.stem = if stem.is_empty() { "part".to_owned() } else { stem.to_owned() };
    }
}

/// The text as a pattern of itself.
fn literal(text: &str) -> String {
    text.chars().fold(String::new(), |mut literal, c| {
        match c {
            '*' | '?' | '[' => literal.extend(['[', c, ']']),
            _ => literal.push(c),
        }
        literal
    })
}

/// Whether it is called like a part of what Spark writes.
fn is_part(base: &str) -> bool {
    base.strip_prefix("part-").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// The names that are taken, and what gives a file the right to another.
struct Names<'a> {
    archive: &'a Archive,
    /// How many files have a stem, whatever its case.
    stems: BTreeMap<String, usize>,
    taken: BTreeSet<String>,
    /// The names given to files that they find, whatever their case: two such would be one table.
    given: BTreeSet<String>,
}

impl<'a> Names<'a> {
    fn new(archive: &'a Archive, found: &[Found]) -> Self {
        let mut stems = BTreeMap::new();
        found.iter().for_each(|file| *stems.entry(file.stem.to_lowercase()).or_insert(0) += 1);
        // A file that its name finds has the first right to the name.
        let plain = found.iter().filter(|file| finds(archive, file).is_some());
        let taken = plain.map(|file| file.stem.to_lowercase()).collect();
        Self { archive, stems, taken, given: BTreeSet::new() }
    }

    /// A name for the file, and whether the name alone finds it.
    fn name(&mut self, file: &Found) -> Result<(TableName, bool), Error> {
        if let Some(name) = finds(self.archive, file)
            && self.given.insert(name.as_str().to_lowercase())
        {
            return Ok((name, true));
        }
        let stem = safe(&file.stem);
        let in_folder = (!file.folder.is_empty()).then(|| safe(&format!("{}_{}", base_name(&file.folder), file.stem)));
        let is_twin = self.stems.get(&file.stem.to_lowercase()).is_some_and(|count| *count > 1);
        let with_ending = safe(&format!("{stem}{}", file.ending.replace('.', "_")));
        let wished = in_folder.clone().filter(|_| is_twin).into_iter().chain([stem.clone()]).chain(in_folder);
        let numbered = (2..).map(|number: u32| format!("{stem}_{number}"));
        let mut free =
            wished.chain([with_ending]).chain(numbered).filter(|name| !self.taken.contains(&name.to_lowercase()));
        let name = free.next().unwrap_or_else(|| stem.clone());
        drop(free);
        self.taken.insert(name.to_lowercase());
        TableName::parse(&name).map(|name| (name, false)).map_err(|is_wrong| unfit_name(&file.stem, is_wrong))
    }
}

/// The table's name, where the file's own finds it and nothing else.
fn finds(archive: &Archive, file: &Found) -> Option<TableName> {
    let name = TableName::parse(&file.stem).ok().filter(|name| name.as_str().trim() == name.as_str())?;
    let found = archive.names_of(FileChoice::from(&name));
    (file.pattern.is_none() && found == [file.path.as_str()]).then_some(name)
}

/// The text as a table's name: without what an object key, a catalog or a person would stumble over.
fn safe(text: &str) -> String {
    const LONGEST: usize = 120;
    let plain = |c: char| if c.is_control() || "/\\{}^%`[]\"<>~#|*?:".contains(c) { '_' } else { c };
    let text: String = composed(text).trim().chars().map(plain).collect();
    let text = text.trim_matches(|c: char| c == '_' || c == '.' || c.is_whitespace());
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    if text.is_empty() { "table".to_owned() } else { text[..end].trim_end().to_owned() }
}

fn foreign(path: &str, what: &str) -> Error {
    Error::data("NotATable", format!("`{path}` is {what}: tables are text or Parquet"))
        .hint("have it published as CSV or Parquet; archives have to be unpacked")
}

/// The error for text of which one column is all that could be told.
pub(super) fn prose(path: &str) -> Error {
    Error::data("NotATable", format!("`{path}` has one column: it may be prose, and its name says nothing else"))
        .hint("if it is a table, write it into the configuration by hand, with its `file` and `pk`")
}
