//! What the configuration says about one table, valid by construction.

use std::collections::BTreeMap;
use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

use super::dialect::Dialect;
use super::encoding::Encoding;
use super::types::ColumnType;

/// A table's name: a file name stem and a path segment of the lake.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName(String);

impl TableName {
    /// Accepts a name that is safe as one path segment and as part of a file name; otherwise says what is wrong.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if text.len() > 200 {
            return Err("is longer than 200 bytes");
        }
        if text.starts_with(['.', '_']) {
            return Err("starts with `.` or `_`, which query engines take for hidden");
        }
        if text.chars().any(|c| c.is_control() || "/\\{}^%`[]\"<>~#|*?:".contains(c)) {
            return Err("holds a character that is not safe in an object key");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which file, or files, of a dataset are a table's.
#[derive(Clone, Copy, Debug)]
pub struct FileChoice<'a> {
    /// The table's name, after which a file is looked for where `file` is `None`.
    pub name: &'a TableName,
    /// A path within the dataset, or a pattern of such paths.
    pub file: Option<&'a str>,
}

impl<'a> From<&'a TableName> for FileChoice<'a> {
    fn from(name: &'a TableName) -> Self {
        Self { name, file: None }
    }
}

impl<'a> From<&'a TableSpec> for FileChoice<'a> {
    fn from(spec: &'a TableSpec) -> Self {
        Self { name: &spec.name, file: spec.file.as_deref() }
    }
}

/// When a row that is in both snapshots counts as updated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateDetection {
    /// Its date field is greater than before, compared in the column's type; null is smallest.
    Date,
    /// Any column outside the key differs; null equals null.
    Content,
}

/// What happens to a key that occurs more than once in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicateKey {
    /// The table fails with the first offending lines named.
    Fail,
    /// The first row in file order is kept, the others are counted.
    First,
    /// The last row in file order is kept, the others are counted.
    Last,
}

/// What happens to a row whose key is null, or has a part that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnNullKey {
    /// The table fails with the first offending line named.
    Fail,
    /// The row is left out and counted.
    Drop,
}

/// What happens when the source's columns or types no longer match the stored schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaPolicy {
    /// The stored schema follows: columns are added, types widened, and the report says so.
    Evolve,
    /// The table fails.
    Freeze,
}

/// Where the columns of a text file have their names from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Header {
    /// Its first line.
    #[default]
    FirstLine,
    /// The configuration, which names them all in the order of the file; the first line is a row like the others.
    Configured(Vec<String>),
}

/// One table of the configuration.
#[derive(Clone, Debug)]
pub struct TableSpec {
    /// The table's name; without `file`, its file is `{name}.csv` (or `.csv.gz`, `.parquet`) at any depth of the archive.
    pub name: TableName,
    /// The path of its file within the dataset, or a pattern of the paths of its files.
    pub file: Option<String>,
    /// How its text is cut into cells.
    pub dialect: Dialect,
    /// Where the columns of its text have their names from.
    pub header: Header,
    /// The encoding, or `None` to detect it.
    pub encoding: Option<Encoding>,
    /// Cell texts that mean null, beside the empty text.
    pub null_values: Vec<String>,
    /// The key columns, at least one, in the configured order.
    pub pk: Vec<String>,
    /// The column whose increase marks an update.
    pub date_field: Option<String>,
    /// When a row counts as updated.
    pub update_detection: UpdateDetection,
    /// What happens to repeated keys.
    pub on_duplicate_key: OnDuplicateKey,
    /// What happens to rows without a key.
    pub on_null_key: OnNullKey,
    /// The greatest share of the previous rows (0 to 1) that one run may delete without approval.
    pub max_deleted_fraction: f64,
    /// Column types fixed by the configuration.
    pub columns: BTreeMap<String, ColumnType>,
    /// What happens on schema drift.
    pub schema: SchemaPolicy,
}

/// The version of [`TableSpec::digest`]: it changes with what makes rows of bytes.
const DIGEST_VERSION: u32 = 1;

/// The share of rows that a run may delete where the configuration says nothing.
const DEFAULT_MAX_DELETED_FRACTION: f64 = 0.5;

impl TableSpec {
    /// A digest of all settings that decide what rows and changes come of a file, 32 hexadecimal digits. Where it is another
    /// one than before, the same file has to be read again.
    pub fn digest(&self) -> String {
        // Every field is named, so that a new one has to be decided on.
        let Self {
            name: _,
            file,
            dialect: Dialect { delimiter, quote, escape },
            header,
            encoding,
            null_values,
            pk,
            date_field,
            update_detection,
            on_duplicate_key,
            on_null_key,
            max_deleted_fraction: _,
            columns,
            schema: _,
        } = self;
        let encoding = encoding.map(Encoding::name);
        let columns: Vec<_> = columns.iter().map(|(name, column_type)| (name, column_type.to_string())).collect();
        let text = format!(
            "{DIGEST_VERSION} {file:?} {delimiter:?} {quote:?} {escape:?} {header:?} {encoding:?} {null_values:?} {pk:?} {date_field:?} \
             {update_detection:?} {on_duplicate_key:?} {on_null_key:?} {columns:?}"
        );
        format!("{:032x}", xxh3_128(text.as_bytes()))
    }

    /// A table of which only name and key are configured; everything else has its default.
    pub fn new(name: TableName, pk: Vec<String>) -> Self {
        Self {
            name,
            file: None,
            dialect: Dialect::default(),
            header: Header::default(),
            encoding: None,
            null_values: Vec::new(),
            pk,
            date_field: None,
            update_detection: UpdateDetection::Content,
            on_duplicate_key: OnDuplicateKey::Fail,
            on_null_key: OnNullKey::Fail,
            max_deleted_fraction: DEFAULT_MAX_DELETED_FRACTION,
            columns: BTreeMap::new(),
            schema: SchemaPolicy::Evolve,
        }
    }
}
