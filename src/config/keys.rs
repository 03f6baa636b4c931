//! Every key of the document, described once: what may occur, what the reference says of it, and the JSON Schema.

use super::sqlserver::{ENCRYPTION, IMAGES, METADATA_COLUMNS};
use super::tables::{ESCAPE, HEADER, ON_DUPLICATE_KEY, ON_NULL_KEY, SCHEMA, UPDATE_DETECTION};
use super::{UNITS, source};

/// A key of an object of the document.
pub(super) struct Key {
    /// Its name.
    pub(super) name: &'static str,
    /// What its value may be.
    pub(super) form: Form,
    /// Whether it has to be there.
    pub(super) required: bool,
    /// What holds where it is not there, as the reference says it.
    pub(super) default: &'static str,
    /// What it means, in Markdown.
    pub(super) meaning: &'static str,
}

/// What the value of a key may be. Null is as good as no key.
pub(super) enum Form {
    /// A text.
    Text,
    /// A text or a list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// A whole number of at least 1.
    Count,
    /// A number above 0.
    Positive,
    /// A number from 0.
    FromZero,
    /// A number from 0 to 1.
    Share,
    /// One of some texts.
    Choice(fn() -> Vec<&'static str>),
    /// An object of column types, whose keys are columns.
    ColumnTypes,
    /// An object.
    Object(&'static [Key]),
    /// A list of at least one object.
    Objects(&'static [Key]),
}

/// The names of some keys, in their order.
pub(super) fn names(keys: &[Key]) -> Vec<&'static str> {
    keys.iter().map(|key| key.name).collect()
}

/// The document itself.
pub(super) static ROOT: [Key; 7] = [
    key("$schema", Form::Text, "where an editor finds the JSON Schema of this document", ""),
    key("dataset_name", Form::Text, "the Kaggle dataset, `owner/slug`", ""),
    key(
        "source",
        Form::Object(&SQLSERVER),
        "what is read, if it is not the Kaggle dataset `dataset_name`, and more about that: see below",
        "Kaggle",
    ),
    key("aws", Form::Object(&AWS), "where the lake is, if it is in S3", "`CDC_LAKE`, `--lake`"),
    key("timer", Form::Object(&TIMER), "the time between two runs of the command line's `run`", "run once"),
    key("tables", Form::Objects(&TABLE), "the tables, at least one; of a SQL Server by default all", ""),
    key("limits", Form::Object(&LIMITS), "what an archive may unpack to", ""),
];

/// `source` where it is Kaggle.
pub(super) static KAGGLE: [Key; 2] = [
    required("type", Form::Choice(|| choices(&source::TYPES)), "`kaggle`, or `sqlserver` with the keys below"),
    key(
        "not_ready_after_minutes",
        Form::FromZero,
        "how long Kaggle may take to prepare a new version; 0 for ever",
        "1440",
    ),
];

/// `source` where it is a SQL Server.
pub(super) static SQLSERVER: [Key; 16] = [
    required("type", Form::Choice(|| choices(&source::TYPES)), "`kaggle`, or `sqlserver` with the keys below"),
    key("host", Form::Text, "the server", "from the secret"),
    key("port", Form::Count, "its TCP port; for a named instance the one it listens at", "from the secret, else 1433"),
    key("database", Form::Text, "the database", "from the secret"),
    key("secret_id", Form::Text, "the secret that holds the login, by name or ARN", "`SQLSERVER_SECRET_ID` wins"),
    key("encrypt", Form::Choice(|| choices(&ENCRYPTION)), "what of the connection is encrypted", "`required`"),
    key("trust_ca", Form::Text, "certificates to trust: a file, `s3://bucket/key`, or the PEM text itself", "none"),
    key("host_in_certificate", Form::Text, "the name that the server's certificate carries", "`host`"),
    key("read_only_intent", Form::Flag, "lets a listener send the connection to a readable secondary", "`false`"),
    key("schema_in_path", Form::Flag, "puts the schema into the objects' keys", "`false`"),
    key(
        "metadata_columns",
        Form::Choice(|| choices(&METADATA_COLUMNS)),
        "the columns behind the captured ones",
        "`default`",
    ),
    key("as_text", Form::Texts, "types to write as text: any of `datetime2`, `datetimeoffset`, `time`", "none"),
    key("start", Form::Text, START, "`snapshot`"),
    key("images", Form::Choice(|| choices(&IMAGES)), "the rows of an update", "`after`"),
    key("idle_after_minutes", Form::FromZero, "how long the capture job may be silent; 0 for ever", "15"),
    key(
        "not_ready_after_minutes",
        Form::FromZero,
        "how long the capture job may take to start with a table; 0 for ever",
        "60",
    ),
];

const START: &str = "what the first run reads: `snapshot`, `earliest`, `now`, `lsn:0x…` or `time:…`";

/// `aws`.
pub(super) static AWS: [Key; 6] = [
    key("bucket", Form::Text, "the lake's bucket; `CDC_LAKE` and `--lake` lie over it", ""),
    key("prefix", Form::Text, "what all its keys begin with", "none"),
    key("region", Form::Text, "the bucket's region, like `us-east-1`", "the SDK's own"),
    key("endpoint_url", Form::Text, "an S3-compatible service, http or https", "the SDK's own"),
    key(
        "path_style",
        Form::Flag,
        "whether the bucket is put into the path and not into the host name",
        "the SDK's own",
    ),
    key("kms_key_id", Form::Text, "the KMS key to encrypt with", "the bucket's default"),
];

/// `timer`.
pub(super) static TIMER: [Key; 2] = [
    required("unit", Form::Choice(|| choices(&UNITS)), "the unit of `value`"),
    required("value", Form::Positive, "how many units, a year at the most"),
];

/// `limits`.
pub(super) static LIMITS: [Key; 2] = [
    key("max_uncompressed_bytes", Form::Count, "the most that one file may unpack to", "64 GiB"),
    key("max_compression_ratio", Form::Count, "the same, as a multiple of its packed size (above 64 MiB)", "200"),
];

const ESCAPE_MEANING: &str = "how a cell holds a quote: doubled, or behind a backslash, which then escapes backslashes, delimiters and line ends, too";

const HEADER_MEANING: &str = "what names the columns of a text file: its `first_line`, or, with `none`, the keys of `columns`, all of them in the order of the file";

const COLUMNS: &str =
    "types that are fixed: `{\"vl\": \"decimal(10,2)\"}`; `auto` infers one, as for a column that is not named";

const FILE: &str = "the file's path within the dataset, such as `train/data.csv`, or a pattern (`*`, `?`, `[0-9]`, `**`) of the paths of several files that make one table, such as `sales.csv/part-*`";

/// An element of `tables`.
pub(super) static TABLE: [Key; 16] = [
    required(
        "name",
        Form::Text,
        "the table; its file is `{name}.csv` (or `.csv.gz`, `.parquet`) at any depth of the zip",
    ),
    key("file", Form::Text, FILE, "by `name`"),
    key("sep", Form::Text, "the delimiter: one character, or `tab`", "what a first line `sep=;` says, else `,`"),
    key("quote", Form::Text, "what is around a cell that needs it: one character, or `none`", "`\"`"),
    key("escape", Form::Choice(|| choices(&ESCAPE)), ESCAPE_MEANING, "`doubled`"),
    key("header", Form::Choice(|| choices(&HEADER)), HEADER_MEANING, "`first_line`"),
    required("pk", Form::Texts, "the key: a column or a list of columns"),
    key("date_field", Form::Text, "the column whose increase marks an update, compared in its own type", "none"),
    key(
        "update_detection",
        Form::Choice(|| choices(&UPDATE_DETECTION)),
        "`date`: the date field moved on; `content`: any other column differs",
        "`date` with a `date_field`, else `content`",
    ),
    key(
        "encoding",
        Form::Text,
        "what the file's text is in: `utf-8`, `utf-16`, `latin-1`, `windows-1251`, `shift_jis` or another label of the WHATWG; `auto` guesses, with a warning",
        "UTF-8, else guessed",
    ),
    key("null_values", Form::Texts, "cell texts that mean null, beside the empty one", "none"),
    key("columns", Form::ColumnTypes, COLUMNS, "inferred"),
    key(
        "on_duplicate_key",
        Form::Choice(|| choices(&ON_DUPLICATE_KEY)),
        "what becomes of rows that repeat a key: the table fails, or the first or the last of them is kept",
        "`fail`",
    ),
    key(
        "on_null_key",
        Form::Choice(|| choices(&ON_NULL_KEY)),
        "what becomes of rows whose key is null: the table fails, or they are dropped and counted",
        "`fail`",
    ),
    key("max_deleted_fraction", Form::Share, "the greatest share of rows that a run may delete", "0.5"),
    key("schema", Form::Choice(|| choices(&SCHEMA)), "`evolve` with the source's columns, or `freeze`", "`evolve`"),
];

/// An element of `tables` of a SQL Server.
pub(super) static CAPTURED_TABLE: [Key; 3] = [
    required("name", Form::Text, "`schema.table`, with brackets around a part that holds a dot"),
    key("start", Form::Text, START, "`source.start`"),
    key("images", Form::Choice(|| choices(&IMAGES)), "the rows of an update", "`source.images`"),
];

const fn key(name: &'static str, form: Form, meaning: &'static str, default: &'static str) -> Key {
    Key { name, form, required: false, default, meaning }
}

const fn required(name: &'static str, form: Form, meaning: &'static str) -> Key {
    Key { name, form, required: true, default: "", meaning }
}

fn choices<T>(choices: &[(&'static str, T)]) -> Vec<&'static str> {
    choices.iter().map(|(name, _)| *name).collect()
}
