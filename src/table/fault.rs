//! What is wrong with a file that cannot be read: the errors that name its line.

use std::io::Read;

use super::file::{CsvFile, PassError};
use super::findings::Finding;
use super::records::{Block, MAX_RECORD, RecordError};
use super::schema::Column;
use super::spec::{Header, TableSpec};
use super::text::TextError;
use super::types::ColumnType;
use crate::error::Error;

/// The error for a file without a single row.
pub(crate) fn empty(file: &str, table: &str) -> Error {
    Error::data("EmptyTable", format!("`{file}` holds no rows"))
        .hint(format!("if table `{table}` really became empty, run once with `approve_deletes`"))
}

impl CsvFile {
    /// What there is to do about a value that does not fit its column: an error where the column's type is declared.
    pub(super) fn misfit(&self, column: &Column, finding: &Finding, line: u64, spec: &TableSpec) -> PassError {
        let Column { name, column_type, .. } = column;
        if !spec.columns.contains_key(name) {
            return PassError::Misfit;
        }
        let is_wrong = match finding.separators.are_mixed() {
            true => "is written with a point where others have a comma, or the other way round".to_owned(),
            false => format!("is no {column_type}"),
        };
        let message = format!("`{}` line {line}: the value of `{name}` {is_wrong}", self.name());
        let table = &spec.name;
        let hint = match column_type {
            _ if matches!(spec.header, Header::Configured(_)) && spec.pk.contains(name) => {
                format!(
                    "repair the value, or set `columns.{name}` of table `{table}` to auto: the key's type then follows its values"
                )
            }
            _ if !spec.pk.contains(name) => {
                format!("repair the value, or set `columns.{name}` of table `{table}` to string, which takes all")
            }
            // A key is the same key as text; and learnt, not declared, it also takes whole numbers with a point.
            ColumnType::Int64 | ColumnType::Date => {
                format!(
                    "repair the value, or take `columns.{name}` of table `{table}` out: the key's type then follows its values"
                )
            }
            _ => format!(
                "repair the value: a key of this type cannot become another one; to start the table again with `columns.{name}` string, give it a new `name`, and its file as `file`"
            ),
        };
        Error::data("CellMisfit", message).hint(hint).into()
    }

    /// The error where a record of the block is the header once more. A table of one column may have its name for a value.
    pub(super) fn refuse_second_header(&self, block: &Block<'_>, names: &[String]) -> Result<(), PassError> {
        let Some(line) = block.line_of(names).filter(|_| names.len() > 1) else { return Ok(()) };
        let message = format!("`{}` line {line} has the names of all columns in place of values", self.name());
        Err(Error::data("HeaderRepeated", message).hint(JOINED_HINT).into())
    }

    /// What to do about a file that is no text, by its first bytes.
    fn why_binary(&self) -> &'static str {
        let mut head = [0; 4];
        match self.bytes().map(|mut bytes| bytes.read_exact(&mut head)) {
            Ok(Ok(())) if head == *b"PAR1" => "it is a Parquet file: give it a name that ends in .parquet",
            Ok(Ok(())) if head.starts_with(b"PK") => {
                "it is a zip archive or an Excel workbook: unpack it, or have its tables published as CSV"
            }
            _ => "the file is damaged or binary; if it is UTF-16 set the table's `encoding`",
        }
    }

    /// The error of a record that was to have `width` fields.
    pub(super) fn fault(&self, error: RecordError, width: usize) -> PassError {
        let name = self.name();
        match error {
            RecordError::Ragged { line, fields } => {
                let message = format!("`{name}` line {line}: {fields} fields where the first record has {width}");
                let hint = "repair the line at the source (a delimiter inside a value needs quotes), or check the table's `sep`, `quote` and `escape`";
                Error::data("RaggedRow", message).hint(hint).into()
            }
            RecordError::Text { error: TextError::Invalid { assumed: true, .. }, .. } => PassError::NotUtf8,
            RecordError::Text { error: TextError::Invalid { offset, .. }, line } => Error::data(
                "BadEncoding",
                format!("`{name}` line {line}: byte {offset} of the file is not valid in its encoding"),
            )
            .hint("set the table's `encoding` to what the file is in (utf-8, windows-1252, shift_jis, …), or repair the line")
            .into(),
            RecordError::Text { error: TextError::Nul, line } => {
                Error::data("NulCharacter", format!("`{name}` line {line}: a NUL character"))
                    .hint(self.why_binary())
                    .into()
            }
            RecordError::Text { error: TextError::IsUtf8(declared), .. } => {
                let message = format!("`{name}` is UTF-8 from its first byte to its last, and was to be read as {}", declared.name());
                Error::data("EncodingMismatch", message)
                    .hint("set the table's `encoding` to utf-8, or leave it out: text would be read wrong otherwise")
                    .into()
            }
            RecordError::Text { error: TextError::Utf32, line } => {
                Error::data("BadEncoding", format!("`{name}` line {line}: the file is UTF-32, which is not read"))
                    .hint("have it published as UTF-8, or convert it (`iconv -f UTF-32 -t UTF-8`)")
                    .into()
            }
            RecordError::Text { error: TextError::Io(cause), line } => unreadable(name, line, cause).into(),
            RecordError::UnclosedQuote { line } => {
                Error::data("UnclosedQuote", format!("`{name}` line {line}: a quote is opened and never closed"))
                    .hint("the file may be truncated; otherwise double the quote inside the value (`\"\"`), or set the table's `quote` to `none` if its writer quotes nothing")
                    .into()
            }
            RecordError::TextAfterQuote { line } => {
                Error::data("TextAfterQuote", format!("`{name}` line {line}: text follows a quote that closes a cell"))
                    .hint(QUOTE_HINT)
                    .into()
            }
            RecordError::OpenEscape { line } => {
                Error::data("OpenEscape", format!("`{name}` line {line}: the file ends in a backslash that escapes nothing"))
                    .hint("the file may be truncated; if the last cell ends in a backslash, its writer has to double it (`\\\\`)")
                    .into()
            }
            RecordError::Mark { line } => Error::data(
                "ByteOrderMark",
                format!("`{name}` line {line} starts with a byte order mark (U+FEFF), which only the first line may"),
            )
            .hint(JOINED_HINT)
            .into(),
            RecordError::TooLong { line } => Error::data(
                "RecordTooLong",
                format!("`{name}` line {line}: the record is longer than {MAX_RECORD} bytes"),
            )
            .hint("a quote may be missing on that line")
            .into(),
        }
    }
}

/// What to do where a quote closes a cell too early.
const QUOTE_HINT: &str = "how are quotes inside of values written? as `\\\"`: set the table's `escape` to `\\` (`\"\\\\\"` in JSON); as \
they are, in a file without quotes around its values: set `quote` to `none`; otherwise double them at the source (`\"\"`)";

/// What to do where files were put one behind the other.
const JOINED_HINT: &str = "files were joined into one here: publish them one by one and name them all with the table's `file` (a pattern \
such as `parts/*.csv`), or join them without their marks and headers";

/// An I/O error that carries one of ours is that; anything else is an unreadable file.
fn unreadable(name: &str, line: u64, cause: std::io::Error) -> Error {
    cause.downcast::<Error>().unwrap_or_else(|cause| {
        Error::data("UnreadableFile", format!("cannot read `{name}` beyond line {line}"))
            .caused_by(cause)
            .hint("the archive is damaged or truncated: fetch it again")
    })
}
