//! Rows as CSV: UTF-8, quoted as in RFC 4180, one line feed after each row.
//!
//! Null is an empty cell and an empty text is `""`, which tells the two apart and which all readers take.

use std::io::{self, Write};

use arrow::array::{Array, AsArray, RecordBatch};

use crate::error::{Error, Result};
use crate::table::{ColumnType, TableSchema, convert};

/// A CSV file under construction.
pub(super) struct Csv<W> {
    to: W,
    delimiter: u8,
    rows: u64,
}

impl<W: Write> Csv<W> {
    /// Begins with the line of the columns' names.
    pub(super) fn begin(to: W, schema: &TableSchema, delimiter: u8) -> Result<Self> {
        let mut csv = Self { to, delimiter, rows: 0 };
        let names = schema.columns.iter().map(|column| Some(column.name.as_str()));
        csv.line(names).map_err(unwritable)?;
        Ok(csv)
    }

    /// Appends rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let texts = batch.columns().iter().map(|column| convert(column, ColumnType::String));
        let texts = texts
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| Error::internal("NotText", "a value cannot be written as text").caused_by(error))?;
        for row in 0..batch.num_rows() {
            let cells = texts.iter().map(|column| column.is_valid(row).then(|| column.as_string::<i32>().value(row)));
            self.line(cells).map_err(unwritable)?;
        }
        self.rows += batch.num_rows() as u64;
        Ok(())
    }

    /// Ends the file; how many rows it has.
    pub(super) fn finish(mut self) -> Result<u64> {
        self.to.flush().map_err(unwritable)?;
        Ok(self.rows)
    }

    fn line<'c>(&mut self, cells: impl Iterator<Item = Option<&'c str>>) -> io::Result<()> {
        for (index, cell) in cells.enumerate() {
            if index > 0 {
                self.to.write_all(&[self.delimiter])?;
            }
            match cell {
                None => {}
                Some(text) if self.is_plain(text) => self.to.write_all(text.as_bytes())?,
                Some(text) => write!(self.to, "\"{}\"", text.replace('"', "\"\""))?,
            }
        }
        self.to.write_all(b"\n")
    }

    /// Whether a cell means itself without quotes.
    fn is_plain(&self, text: &str) -> bool {
        let special = |byte: u8| byte == self.delimiter || matches!(byte, b'"' | b'\n' | b'\r');
        !text.is_empty() && !text.bytes().any(special)
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
    use crate::table::Column;

    #[test]
    fn cells_are_quoted_where_they_have_to_be_and_null_is_not_an_empty_text() {
        let column = |name: &str| Column::new(name, ColumnType::String);
        let schema = TableSchema { columns: vec![column("a;b"), column("c")], source: vec![] };
        let mut bytes = Vec::new();
        let mut csv = Csv::begin(&mut bytes, &schema, b';').unwrap();
        for cells in [[Some("1,5"), None], [Some(""), Some("say \"x\"")], [Some("two\nlines"), Some(" é ")]] {
            csv.line(cells.into_iter()).unwrap();
        }
        csv.finish().unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert_eq!(text, "\"a;b\";c\n1,5;\n\"\";\"say \"\"x\"\"\"\n\"two\nlines\"; é \n");
    }
}
