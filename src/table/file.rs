//! A table's file in a snapshot, read as typed batches in one pass.

use std::io::Read;
use std::sync::OnceLock;

use super::batch::{BATCH_BYTES, BATCH_ROWS};
use super::detect;
use super::dialect;
use super::encoding::Encoding;
use super::fault::empty;
use super::findings::Findings;
use super::guess::Guesses;
use super::header;
use super::records::{RecordError, Records};
use super::rows::{Rows, RowsBuilder, cells};
use super::schema::TableSchema;
use super::spec::{Header, TableSpec};
use super::tail::Ending;
use super::text::{TextBlocks, TextError};
use crate::error::{Error, Result};

/// Opens the file from its start; called once per pass.
pub type Opener = Box<dyn Fn() -> Result<Box<dyn Read + Send>> + Send + Sync>;

/// A CSV file of a snapshot.
pub struct CsvFile {
    name: String,
    open: Opener,
    detected: OnceLock<Encoding>,
    /// The guess of an earlier run, taken in place of a new one.
    remembered: OnceLock<Encoding>,
    ending: Ending,
    /// The delimiter of the line that was passed because it is meant for Excel.
    excel_line: OnceLock<u8>,
}

/// Why a pass over a file ended early.
#[derive(Debug)]
pub enum PassError {
    /// A cell does not fit the stored type of its column: the schema has to be widened and the pass begun again.
    Misfit,
    /// The file is not in the encoding that was assumed: it has to be detected and the pass begun again.
    NotUtf8,
    /// The table fails.
    Fatal(Error),
}

impl From<Error> for PassError {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl CsvFile {
    /// A file called `name` in messages.
    pub fn new(name: impl Into<String>, open: Opener) -> Self {
        Self {
            name: name.into(),
            open,
            detected: OnceLock::new(),
            remembered: OnceLock::new(),
            ending: Ending::default(),
            excel_line: OnceLock::new(),
        }
    }

    /// Its name, for messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes as they are, unpacked where it is packed.
    pub fn bytes(&self) -> Result<Box<dyn Read + Send>> {
        (self.open)()
    }

    /// How many records it has, without a header: all of reading but the types. The benchmarks measure it.
    pub fn count_records(&self, spec: &TableSpec) -> Result<u64, PassError> {
        let (mut records, names) = self.start(spec)?;
        let (width, mut count) = (names.len(), 0);
        while let Some(block) =
            records.block(width, BATCH_ROWS, BATCH_BYTES).map_err(|error| self.fault(error, width))?
        {
            count += block.lines.len() as u64;
        }
        Ok(count)
    }

    /// Where the encoding has to be guessed, makes the guess that an earlier run made.
    pub fn remember_encoding(&self, name: &str) {
        if let Some(encoding) = Encoding::from_label(name) {
            self.remembered.get_or_init(|| encoding);
        }
    }

    /// Looks at the whole file to learn its encoding, after [`PassError::NotUtf8`].
    pub fn detect_encoding(&self) -> Result<()> {
        let encoding = detect::detect(self.bytes()?, &self.name, self.remembered.get().copied())?;
        self.detected.get_or_init(|| encoding);
        Ok(())
    }

    /// What the report has to say where the encoding is a guess.
    pub(super) fn guess(&self) -> Option<String> {
        let (name, guess) = (&self.name, self.detected()?.name());
        Some(format!(
            "`{name}` is not UTF-8 and was read as {guess}, which is a guess: set the table's `encoding` to that, or to what it is"
        ))
    }

    /// The encoding that [`Self::detect_encoding`] has found.
    pub fn detected(&self) -> Option<Encoding> {
        self.detected.get().copied()
    }

    /// Whether its text ends with the end of a line; `None` until it was read to its end.
    pub(super) fn ends_with_line_end(&self) -> Option<bool> {
        self.ending.is_line_end()
    }

    /// The first 256 KiB of the file as text, and the encoding that it is in.
    pub fn beginning(&self) -> Result<(String, Encoding), PassError> {
        let mut blocks = TextBlocks::new((self.open)()?, self.detected.get().copied());
        let mut text = String::new();
        blocks.append_to(&mut text).map_err(|error| self.fault(RecordError::Text { error, line: 1 }, 0))?;
        Ok((text, blocks.encoding()))
    }

    /// The column names of the file.
    pub fn header(&self, spec: &TableSpec) -> Result<Vec<String>, PassError> {
        Ok(self.start(spec)?.1)
    }

    /// Reads the whole file to find the narrowest schema that holds it and everything that `stored` held.
    pub fn infer(&self, spec: &TableSpec, stored: Option<&TableSchema>) -> Result<TableSchema, PassError> {
        let mut guesses = Guesses::default();
        self.learn(spec, stored, &mut guesses)?;
        Ok(guesses.schema(stored))
    }

    /// Reads the whole file, and lets `guesses` hold what it holds.
    pub(super) fn learn(
        &self,
        spec: &TableSpec,
        stored: Option<&TableSchema>,
        guesses: &mut Guesses,
    ) -> Result<(), PassError> {
        let (mut records, names) = self.start(spec)?;
        let width = names.len();
        let places = guesses.places(&names, spec, stored);
        while let Some(block) =
            records.block(width, BATCH_ROWS, BATCH_BYTES).map_err(|error| self.fault(error, width))?
        {
            self.refuse_second_header(&block, &names)?;
            for (index, &place) in places.iter().enumerate() {
                let guess = guesses.at(place);
                cells(&block, index, spec).for_each(|text| guess.see(text));
            }
        }
        Ok(())
    }

    /// Whether it can be read as UTF-8, or says by a mark what else it is; what else is wrong with it is left to who reads it.
    pub(super) fn is_utf8(&self) -> Result<bool> {
        let mut blocks = TextBlocks::new(self.bytes()?, None);
        let mut text = String::new();
        loop {
            text.clear();
            match blocks.append_to(&mut text) {
                Ok(true) => {}
                Err(TextError::Invalid { assumed: true, .. }) => return Ok(false),
                Ok(false) | Err(_) => return Ok(true),
            }
        }
    }

    /// Reads all rows in `schema` and gives them to `each`, in file order.
    pub fn read(
        &self,
        spec: &TableSpec,
        schema: &TableSchema,
        each: &mut dyn FnMut(Rows) -> Result<()>,
    ) -> Result<Findings, PassError> {
        let (mut records, names) = self.start(spec)?;
        let mut builder = RowsBuilder::new(spec, schema, &names);
        let fault = |error| self.fault(error, names.len());
        while let Some(block) = records.block(names.len(), builder.rows_left(), builder.bytes_left()).map_err(fault)? {
            self.refuse_second_header(&block, &names)?;
            if let Err((column, line)) = builder.push(&block, spec) {
                return Err(self.misfit(&schema.columns[column], &builder.finding(column), line, spec));
            }
            if builder.is_full() {
                each(builder.finish()?)?;
            }
        }
        if !builder.lines.is_empty() {
            each(builder.finish()?)?;
        }
        Ok(builder.findings())
    }

    fn start(&self, spec: &TableSpec) -> Result<(Records, Vec<String>), PassError> {
        let encoding = spec.encoding.or_else(|| self.detected.get().copied());
        let mut records = Records::new(TextBlocks::new(self.ending.of(self.bytes()?), encoding), spec.dialect);
        self.pass_excel_line(&mut records, spec)?;
        let names = self.names(&mut records, spec)?;
        Ok((records, names))
    }

    /// The names of the columns; where they are those of the first record, it is passed.
    fn names(&self, records: &mut Records, spec: &TableSpec) -> Result<Vec<String>, PassError> {
        let first = match &spec.header {
            Header::FirstLine => records.next(),
            Header::Configured(_) => records.peek(),
        };
        let record = first.map_err(|error| self.fault(error, 0))?;
        let record = record.ok_or_else(|| empty(&self.name, spec.name.as_str()))?;
        Ok(match &spec.header {
            Header::FirstLine => header::names(&record, &self.name, spec)?,
            Header::Configured(names) => {
                header::refuse_header(&record, names, &self.name, spec)?;
                names.clone()
            }
        })
    }

    /// Excel's line is no header; the configuration's delimiter must be the one that it gives.
    fn pass_excel_line(&self, records: &mut Records, spec: &TableSpec) -> Result<(), PassError> {
        let Some(found) = records.excel_line().map_err(|error| self.fault(error, 0))? else { return Ok(()) };
        let Some(named) = spec.dialect.delimiter.filter(|&named| named != found) else {
            self.excel_line.get_or_init(|| found);
            return Ok(());
        };
        let (found, named) = (dialect::shown(found), dialect::shown(named));
        let message = format!(
            "`{}` line 1: Excel's line `sep=` says that {found} is between the cells, the table's `sep` says {named}",
            self.name
        );
        let hint = format!(
            "set `sep` of table `{}` to what the file has, or leave it out: the line is then followed",
            spec.name
        );
        Err(Error::data("OtherSeparator", message).hint(hint).into())
    }

    /// What there is to say of how the file was read.
    pub fn warnings(&self) -> Vec<String> {
        let excel_line = self.excel_line.get().map(|&delimiter| {
            format!(
                "`{}` line 1 (`sep=`) was taken as the line by which Excel learns the delimiter, {}, not as the header",
                self.name,
                dialect::shown(delimiter)
            )
        });
        excel_line.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::table::{Column, ColumnType, Dialect, TableName};

    /// Reads `text` as the int64 columns `a`, `b` and `c`, of which `b` and `c` are declared.
    fn fault(text: &'static str) -> PassError {
        let declared = ["b", "c"].map(|name| (name.to_owned(), ColumnType::Int64));
        let spec = TableSpec {
            dialect: Dialect::delimited(b';'),
            null_values: vec!["-".to_owned()],
            columns: BTreeMap::from(declared),
            ..TableSpec::new(TableName::parse("t").unwrap(), vec!["a".to_owned()])
        };
        let columns = ["a", "b", "c"].map(|name| Column::new(name, ColumnType::Int64));
        let schema = TableSchema { columns: columns.to_vec(), source: Vec::new() };
        let file = CsvFile::new("t.csv", Box::new(move || Ok(Box::new(text.as_bytes()))));
        file.read(&spec, &schema, &mut |_| Ok(())).unwrap_err()
    }

    #[test]
    fn batches_end_by_rows_and_by_bytes() {
        let sizes = |text: String| {
            let text = Arc::<str>::from(text);
            let spec = TableSpec::new(TableName::parse("t").unwrap(), vec!["id".to_owned()]);
            let open = move || Ok(Box::new(std::io::Cursor::new(text.as_bytes().to_vec())) as Box<dyn Read + Send>);
            let file = CsvFile::new("t.csv", Box::new(open));
            let (schema, mut sizes) = (file.infer(&spec, None).unwrap(), Vec::new());
            let mut size = |rows: Rows| {
                sizes.push((rows.lines.len(), rows.lines[0]));
                Ok(())
            };
            file.read(&spec, &schema, &mut size).unwrap();
            sizes
        };
        let long = format!("1,{}\n", "x".repeat(BATCH_BYTES / 3));
        assert_eq!(sizes(format!("id,v\n{}", long.repeat(8))), [(3, 2), (3, 5), (2, 8)]);
        assert_eq!(sizes(format!("id,v\n{}", "1,2\n".repeat(5000))), [(BATCH_ROWS, 2), (904, 4098)]);
        let names: String = (0..2047).map(|column| format!(",c{column}")).collect();
        let cells = format!("1{}\n", ",2".repeat(2047));
        assert_eq!(sizes(format!("id{names}\n{}", cells.repeat(200))), [(128, 2), (72, 130)]);
    }

    #[test]
    fn the_first_offending_line_is_told_whatever_its_fault() {
        let fatal = |text| match fault(text) {
            PassError::Fatal(error) => error.to_string(),
            other => panic!("{other:?}"),
        };
        assert!(fatal("a;b;c\n1;2;3\n-;;x\n1;x;3\nx;2;3\n1;2\n").contains("line 3: the value of `c`"));
        assert!(fatal("a;b;c\n1;2;3\n1;x;x\nx;2;3\n").contains("line 3: the value of `b`"));
        assert!(fatal("a;b;c\n1;2;3\n1;2\nx;x;x\n").contains("line 3: 2 fields where the first record has 3"));
        assert!(fatal("a;b;c\n1;2;3\n\n1;2;x\n1;2;\"3\n").contains("line 4: the value of `c`"));
        assert!(matches!(fault("a;b;c\n1;2;3\nx;2;3\n1;2;x\n"), PassError::Misfit));
    }
}
