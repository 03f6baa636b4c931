//! Rows as a CSV file that the table is read from again: in its dialect, one line feed after each row, in UTF-8, with a byte
//! order mark where the table's `encoding` says otherwise.
//!
//! Null is an empty cell and an empty text is `""`, which tells the two apart for readers that do. A value that such a file
//! does not give back is a warning, and one that would make it unreadable an error.

use std::borrow::Cow;
use std::io::{self, Write};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};

use super::output::{Finished, Restoring};
use crate::error::{Error, Result};
use crate::table::{
    Column, ColumnType, DEFAULT_DELIMITER, Dialect, Encoding, Escape, Header, ReadBack, TableSchema, TableSpec, widen,
};

/// What decides on the encoding before the configuration does.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// A CSV file under construction.
pub(super) struct Csv<'a, W> {
    to: W,
    writing: Writing,
    /// The schema of the rows, and the columns of the file as text.
    schema: &'a TableSchema,
    texts: TableSchema,
    read_back: ReadBack<'a>,
    rows: u64,
}

impl<'a, W: Write> Csv<'a, W> {
    /// Starts with the line of the columns' names, unless the table's files have none. `delimiter` is used in place of the table's own.
    ///
    /// # Errors
    /// `InvalidOutput` (kind `Config`) where the delimiter is the table's quote.
    pub(super) fn begin(to: W, table: &Restoring<'a>, delimiter: Option<u8>) -> Result<Self> {
        let Restoring { schema, spec, .. } = *table;
        let names = names(table);
        let column = |name: &String| Column::new(name, ColumnType::String);
        let texts = TableSchema { columns: names.iter().map(column).collect(), source: names.clone() };
        let read_back = ReadBack::new(&names, schema, spec);
        let mut csv = Self { to, writing: Writing::new(spec, delimiter)?, schema, texts, read_back, rows: 0 };
        if csv.writing.marked {
            csv.to.write_all(BYTE_ORDER_MARK.as_bytes()).map_err(unwritable)?;
        }
        if spec.header == Header::FirstLine {
            csv.line(names.iter().map(|name| Some(name.as_str())))?;
        }
        Ok(csv)
    }

    /// Appends rows.
    ///
    /// # Errors
    /// `NotForCsv` (kind `Data`) for a text that no CSV file of the table's dialect can hold.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = widen(batch, self.schema, &self.texts)?;
        let columns: Vec<&StringArray> = batch.columns().iter().map(AsArray::as_string::<i32>).collect();
        for row in 0..batch.num_rows() {
            self.rows += 1;
            for (number, column) in columns.iter().enumerate() {
                self.read_back.see(number, column.is_valid(row).then(|| column.value(row)));
            }
            self.line(columns.iter().map(|column| column.is_valid(row).then(|| column.value(row))))?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(super) fn finish(mut self) -> Result<Finished> {
        self.to.flush().map_err(unwritable)?;
        Ok(Finished { rows: self.rows, warnings: self.read_back.warnings() })
    }

    fn line<'c>(&mut self, cells: impl Iterator<Item = Option<&'c str>>) -> Result<()> {
        for (index, cell) in cells.enumerate() {
            if index > 0 {
                self.to.write_all(&[self.writing.delimiter]).map_err(unwritable)?;
            }
            let Some(text) = cell else { continue };
            let written = self.writing.cell(text).ok_or_else(|| self.not_for_csv(index))?;
            self.to.write_all(written.as_bytes()).map_err(unwritable)?;
        }
        self.to.write_all(b"\n").map_err(unwritable)
    }

    fn not_for_csv(&self, column: usize) -> Error {
        let (name, row) = (&self.texts.source[column], self.rows);
        let message =
            format!("row {row}: the text of `{name}` has a character that a CSV file of the table cannot hold");
        Error::data("NotForCsv", message).hint("restore to a name that ends in .parquet, which holds all texts")
    }
}

/// The columns of the file: those of the source at the time, in its order, and others where they may have values.
fn names(table: &Restoring<'_>) -> Vec<String> {
    let Restoring { schema, spec, only_source } = table;
    if let Header::Configured(names) = &spec.header {
        return names.clone();
    }
    let known = |name: &&String| schema.position(name).is_some();
    let mut names: Vec<String> = schema.source.iter().filter(known).cloned().collect();
    let others = schema.columns.iter().map(|column| &column.name).filter(|_| !only_source || names.is_empty());
    let others: Vec<String> = others.filter(|name| !names.contains(name)).cloned().collect();
    names.extend(others);
    names
}

/// How cells are written.
struct Writing {
    delimiter: u8,
    quote: Option<u8>,
    escape: Escape,
    /// Whether a byte order mark says that the file is UTF-8.
    marked: bool,
    /// Whether the reader has to find that out, which it does not where the text looks like one of the 7-bit encodings.
    assumed: bool,
}

impl Writing {
    fn new(spec: &TableSpec, delimiter: Option<u8>) -> Result<Self> {
        let Dialect { delimiter: own, quote, escape } = spec.dialect;
        let delimiter = delimiter.or(own).unwrap_or(DEFAULT_DELIMITER);
        if quote == Some(delimiter) || escape == Escape::Backslash && delimiter == b'\\' {
            return Err(Error::config("InvalidOutput", "the delimiter is the table's `quote` or `escape`, too")
                .hint("leave `--delimiter` out to have the table's own, or name another one"));
        }
        let marked = !matches!(spec.encoding, None | Some(Encoding::Utf8));
        Ok(Self { delimiter, quote, escape, marked, assumed: spec.encoding.is_none() })
    }

    /// The text as it is written; `None` where it cannot be.
    fn cell<'t>(&self, text: &'t str) -> Option<Cow<'t, str>> {
        if !self.is_readable(text) {
            return None;
        }
        match (self.quote.map(char::from), self.escape) {
            (None, _) if text.starts_with(BYTE_ORDER_MARK) => None,
            (None, Escape::Doubled) => (!self.ends_cells(text)).then_some(text.into()),
            (None, Escape::Backslash) => Some(self.escaped(text, |byte| byte == b'\\' || self.ends_cell(byte))),
            (Some(quote), escape) => {
                let text = match escape {
                    Escape::Doubled => text.into(),
                    Escape::Backslash => self.escaped(text, |byte| byte == b'\\' || Some(byte) == self.quote),
                };
                let starts_like_a_file = text.starts_with(BYTE_ORDER_MARK);
                if !(text.is_empty() || starts_like_a_file || self.ends_cells(&text) || text.contains(quote)) {
                    return Some(text);
                }
                let inner = if escape == Escape::Doubled {
                    text.replace(quote, &format!("{quote}{quote}"))
                } else {
                    text.into()
                };
                Some(format!("{quote}{inner}{quote}").into())
            }
        }
    }

    /// Whether a reader takes a text that holds this for one.
    fn is_readable(&self, text: &str) -> bool {
        let switches = || ["\u{1b}$", "\u{1b}("].iter().any(|switch| text.contains(switch));
        !(text.contains('\0') || self.assumed && switches())
    }

    fn ends_cell(&self, byte: u8) -> bool {
        byte == self.delimiter || matches!(byte, b'\n' | b'\r')
    }

    fn ends_cells(&self, text: &str) -> bool {
        text.bytes().any(|byte| self.ends_cell(byte))
    }

    /// The text with a backslash before each of these ASCII characters.
    fn escaped<'t>(&self, text: &'t str, special: impl Fn(u8) -> bool) -> Cow<'t, str> {
        if !text.bytes().any(&special) {
            return text.into();
        }
        let is_special = |character: char| u8::try_from(character).is_ok_and(|byte| byte.is_ascii() && special(byte));
        let escape = |character| is_special(character).then_some('\\').into_iter().chain([character]);
        text.chars().flat_map(escape).collect::<String>().into()
    }
}

fn unwritable(error: io::Error) -> Error {
    let broken = error.kind() == io::ErrorKind::BrokenPipe;
    let code = if broken { "OutputClosed" } else { "OutputUnwritable" };
    Error::config(code, "cannot write the CSV").caused_by(error).hint("check that there is room for it")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::TableName;

    /// What is written of two columns of text, and its warnings.
    fn written(
        dialect: Dialect,
        encoding: Option<Encoding>,
        cells: &[[Option<&str>; 2]],
    ) -> Result<(String, Vec<String>)> {
        let name = TableName::parse("t").unwrap();
        let spec = TableSpec { dialect, encoding, ..TableSpec::new(name, vec!["a;b".to_owned()]) };
        let columns = ["a;b", "c"].map(|name| Column::new(name, ColumnType::String));
        let schema = TableSchema { columns: columns.to_vec(), source: vec![] };
        let mut bytes = Vec::new();
        let mut csv = Csv::begin(&mut bytes, &Restoring { schema: &schema, spec: &spec, only_source: true }, None)?;
        let column = |place: usize| -> arrow::array::ArrayRef {
            std::sync::Arc::new(StringArray::from(cells.iter().map(|row| row[place]).collect::<Vec<_>>()))
        };
        csv.write(&RecordBatch::try_new(schema.arrow(), vec![column(0), column(1)]).unwrap())?;
        let warnings = csv.finish()?.warnings;
        Ok((String::from_utf8(bytes).unwrap(), warnings))
    }

    const CELLS: [[Option<&str>; 2]; 3] =
        [[Some("1,5"), None], [Some("x"), Some("say \"x\"")], [Some("two\nlines"), Some(" é\\ ")]];

    #[test]
    fn cells_are_written_in_the_dialect_of_the_table() {
        let semicolons = Dialect::delimited(b';');
        let text = |dialect| written(dialect, None, &CELLS).unwrap().0;
        assert_eq!(text(semicolons), "\"a;b\";c\n1,5;\nx;\"say \"\"x\"\"\"\n\"two\nlines\"; é\\ \n");
        let backslash = Dialect { escape: Escape::Backslash, ..semicolons };
        assert_eq!(text(backslash), "\"a;b\";c\n1,5;\nx;\"say \\\"x\\\"\"\n\"two\nlines\"; é\\\\ \n");
        let bare = Dialect { quote: None, ..backslash };
        assert!(written(semicolons, None, &[[Some("\u{feff}1"), None]]).unwrap().0.ends_with("\n\"\u{feff}1\";\n"));
        assert_eq!(text(bare), "a\\;b;c\n1,5;\nx;say \"x\"\ntwo\\\nlines; é\\\\ \n");
        let single = Dialect { quote: Some(b'\''), ..semicolons };
        assert_eq!(text(single), "'a;b';c\n1,5;\nx;say \"x\"\n'two\nlines'; é\\ \n");
    }

    #[test]
    fn what_no_reader_would_take_is_refused() {
        let code = |dialect, cell| written(dialect, None, &[[Some("1"), Some(cell)]]).unwrap_err().code();
        let tabs = Dialect::delimited(b'\t');
        assert_eq!(code(tabs, "a\0b"), "NotForCsv");
        assert_eq!(code(tabs, "a\u{1b}$b"), "NotForCsv");
        for cell in ["a\tb", "a\nb", "a\rb", "\u{feff}a"] {
            assert_eq!(code(Dialect { quote: None, ..tabs }, cell), "NotForCsv");
        }
        assert_eq!(code(Dialect { quote: Some(b'\t'), ..tabs }, "x"), "InvalidOutput");
    }

    #[test]
    fn a_mark_says_that_the_file_is_no_longer_in_the_encoding_of_the_table() {
        let start = |encoding| written(Dialect::delimited(b';'), encoding, &CELLS).unwrap().0.starts_with('\u{feff}');
        assert!(!start(None) && !start(Some(Encoding::Utf8)));
        assert!(start(Encoding::from_label("windows-1252")) && start(Some(Encoding::Utf16)));
    }

    #[test]
    fn values_that_are_read_as_null_are_told() {
        let (text, warnings) =
            written(Dialect::default(), None, &[[Some("x"), Some("")], [Some("y"), None], [Some("z"), Some("é")]])
                .unwrap();
        assert_eq!(text, "a;b,c\nx,\"\"\ny,\nz,é\n");
        assert!(matches!(&warnings[..], [told] if told.contains("1 value of `c`")), "{warnings:?}");
    }
}
