//! Records, whatever the text.

use proptest::prelude::*;

use super::*;
use crate::table::Encoding;

/// Records by the lines on which they begin.
type Lines = Vec<(u64, Vec<String>)>;

/// Text that comes a few bytes at a time, so that every cut of a record occurs.
fn few_at_a_time(text: &str, dialect: Dialect, bytes: usize) -> Records {
    let source = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
    Records::new(TextBlocks::sized(source, None, bytes), dialect)
}

fn records(text: &str, delimiter: u8) -> Result<Lines, RecordError> {
    records_of(text, Dialect::delimited(delimiter))
}

fn records_of(text: &str, dialect: Dialect) -> Result<Lines, RecordError> {
    let mut records = few_at_a_time(text, dialect, 4);
    let mut all = Vec::new();
    while let Some(record) = records.next()? {
        all.push((record.lines[0], record.first().map(str::to_owned).collect()));
    }
    Ok(all)
}

/// All records of `width` fields, by blocks of at most `most`, and what comes after them.
fn by_blocks(mut records: Records, width: usize, most: usize) -> (Lines, Result<(), RecordError>) {
    let mut all: Lines = Vec::new();
    loop {
        let block = match records.block(width, most, usize::MAX) {
            Ok(Some(block)) => block,
            Ok(None) => return (all, Ok(())),
            Err(error) => return (all, Err(error)),
        };
        assert!((1..=most).contains(&block.lines.len()));
        let columns: Vec<Vec<&str>> = (0..width).map(|index| block.column(index).collect()).collect();
        let record = |row: usize| columns.iter().map(|column| column[row].to_owned()).collect();
        all.extend(block.lines.iter().enumerate().map(|(row, &line)| (line, record(row))));
    }
}

fn reference(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(text.as_bytes());
    reader.records().map(|record| record.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn lines_are_those_of_the_file() {
    let all = records("a;b\r\n\r\n\"x\ny\";2\n3;4", b';').unwrap();
    assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 3, 5]);
    assert_eq!(all[1].1, ["x\ny", "2"]);
}

#[test]
fn a_quote_that_is_never_closed_is_an_error_with_its_line() {
    let error = records("a,b\n1,\"x\n2,y\n", b',').unwrap_err();
    assert!(matches!(error, RecordError::UnclosedQuote { line: 2 }));
}

#[test]
fn a_last_line_without_its_end_is_a_record() {
    assert_eq!(records("a,b\n1,\"2\"", b',').unwrap()[1].1, ["1", "2"]);
    assert_eq!(records("a,b\n1,", b',').unwrap()[1].1, ["1", ""]);
}

fn cells(text: &str, dialect: Dialect) -> Vec<Vec<String>> {
    records_of(text, dialect).unwrap().into_iter().map(|(_, cells)| cells).collect()
}

const BACKSLASH: Dialect = Dialect { delimiter: Some(b','), quote: Some(b'"'), escape: Escape::Backslash };

#[test]
fn each_kind_of_line_end_is_one_line_wherever_it_is() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "a;b\n\"x\n\ny\";2\n\n3;4\n5;6".replace('\n', end);
        for bytes in 4..40 {
            let (all, rest) = by_blocks(few_at_a_time(&text, Dialect::delimited(b';'), bytes), 2, 3);
            rest.unwrap();
            assert_eq!(all.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 6, 7], "{end:?} by {bytes}");
        }
    }
    let mixed: Vec<u64> = records("a\rb\r\nc\n\rd\r\r\ne", b';').unwrap().iter().map(|(line, _)| *line).collect();
    assert_eq!(mixed, [1, 2, 3, 5, 7]);
}

#[test]
fn a_lone_return_in_quotes_is_a_line_only_where_lines_end_so() {
    for (end, last) in [("\n", 3), ("\r\n", 3), ("\r", 5)] {
        let text = "a,b~\"x\ry\rz\",1~2,3".replace('~', end);
        for bytes in 4..30 {
            let (all, _) = by_blocks(few_at_a_time(&text, Dialect::delimited(b','), bytes), 2, 3);
            assert_eq!(all.last().map(|(line, _)| *line), Some(last), "{end:?} by {bytes}");
        }
    }
}

/// The line of the fault of `bytes`, read so many at a time.
fn line_of_fault(bytes: &[u8], block: usize) -> u64 {
    let blocks = TextBlocks::sized(Box::new(std::io::Cursor::new(bytes.to_vec())), Some(Encoding::Utf8), block);
    match by_blocks(Records::new(blocks, Dialect::delimited(b';')), 2, 3).1.unwrap_err() {
        RecordError::Text { line, .. }
        | RecordError::UnclosedQuote { line }
        | RecordError::TextAfterQuote { line }
        | RecordError::Ragged { line, .. } => line,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_line_of_a_fault_is_that_of_an_editor_however_much_is_read_at_once() {
    let faults: [(&[u8], u64); 11] = [
        (b"a;b\r1;2\r3;\xFF\r", 3),
        (b"a;b\r\n1;2\r\n3;\xFF\r\n", 3),
        (b"a;b\r\n1;\"x\ry\"\r\n3;\xFF\r\n", 3),
        (b"\"a\rx\";b\r1;\xFF", 3),
        (b"\"a\rx\";b\r\n1;\xFF", 2),
        (b"\"; \r\"aa\"a;a\r\n", 1),
        (b"\"; \r\"aa\"a;a\r", 2),
        (b"\"x\r\r\"y;a\r1;2\r", 3),
        (b"\"x\ry\";\"z\r", 2),
        (b"a;b\r\r1;2\r3", 4),
        (b"\"a\ry\";\"b\"\"c\r\"\r\n1;2\r\n3;4;5", 3),
    ];
    for (bytes, line) in faults {
        for block in 4..60 {
            assert_eq!(line_of_fault(bytes, block), line, "{:?} by {block}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn text_after_a_closing_quote_is_an_error_with_the_line_of_that_quote() {
    for text in ["a,b\n1,\"x\"y\n", "a,b\n1,\"x\" \n", "a\n\"x\"\"\"y", "a,b\n\"x\\\"y\",2\n"] {
        assert!(matches!(records(text, b','), Err(RecordError::TextAfterQuote { line: 2 })), "{text:?}");
    }
    for end in ["\n", "\r\n", "\r"] {
        let text = "a,b\n\"two\nlines\",\"\n\nx\" y\n".replace('\n', end);
        assert!(matches!(records(&text, b','), Err(RecordError::TextAfterQuote { line: 5 })), "{end:?}");
    }
}

#[test]
fn the_line_of_an_open_quote_is_where_it_opens() {
    assert!(matches!(records("a,b\n\"x\r\ny\",\"z\n\n", b','), Err(RecordError::UnclosedQuote { line: 3 })));
}

#[test]
fn other_quotes_and_none() {
    let single = Dialect { quote: Some(b'\''), ..Dialect::delimited(b',') };
    assert_eq!(cells("'a,b','it''s',\"c\"", single), [["a,b", "it's", "\"c\""]]);
    let none = Dialect { quote: None, ..Dialect::delimited(b'\t') };
    assert_eq!(
        cells("\"Swing along\" gamma\tx\n\"Lost\t5\"", none),
        [["\"Swing along\" gamma", "x"], ["\"Lost", "5\""]]
    );
}

#[test]
fn a_backslash_escapes_what_would_end_a_cell_and_nothing_else() {
    for (text, expected) in [
        (r#""say \"hi\"",x"#, ["say \"hi\"", "x"]),
        (r#""hello \"",x"#, ["hello \"", "x"]),
        (r#""a\\",x"#, [r"a\", "x"]),
        (r#""say ""hi""",\N"#, ["say \"hi\"", r"\N"]),
        (r"C:\temp,\\srv\\x", [r"C:\temp", r"\srv\x"]),
        (r#"a\,b,\"q\""#, ["a,b", "\"q\""]),
        ("a\\\nb,\"c\\\r\nd\"", ["a\nb", "c\r\nd"]),
        ("a\\\r\nb,c\\\rd", ["a\r\nb", "c\rd"]),
        (r#","\x""#, ["", r"\x"]),
    ] {
        assert_eq!(cells(text, BACKSLASH), [expected], "{text:?}");
        assert_eq!(cells(&format!("{text}\n1,2"), BACKSLASH)[0], expected, "{text:?}");
    }
    let none = Dialect { quote: None, ..BACKSLASH };
    assert_eq!(cells("\"a\\,b,\\\"c\n", none), [["\"a,b", "\"c"]]);
}

#[test]
fn an_escaped_line_end_is_a_line() {
    let lines = records_of("a,b\n1,x\\\ny\r\n2,x\\\r\ny\n3,z", BACKSLASH).unwrap();
    assert_eq!(lines.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [1, 2, 4, 6]);
}

/// Where a cut file ends nobody knows what the backslash was to escape.
#[test]
fn a_file_that_ends_in_an_escape_is_an_error() {
    assert!(matches!(records_of("a\nb\\\nc\\", BACKSLASH), Err(RecordError::OpenEscape { line: 3 })));
    assert!(matches!(records_of("a\n\"b\\", BACKSLASH), Err(RecordError::UnclosedQuote { line: 2 })));
    assert_eq!(cells("a\\\\", BACKSLASH), [["a\\"]]);
}

#[test]
fn the_line_of_excel_is_passed_and_counts() {
    for text in ["sep=;\na;b\n", "\"SEP=;\"\r\na;b\r\n", "\u{feff}Sep=;\ra;b"] {
        for bytes in 4..12 {
            let mut records = few_at_a_time(text, Dialect::default(), bytes);
            assert_eq!(records.excel_line().unwrap(), Some(b';'));
            let header = records.next().unwrap().unwrap();
            assert_eq!((header.lines, header.first().collect::<Vec<_>>()), ([2].as_slice(), vec!["a", "b"]));
        }
    }
    let mut records = few_at_a_time("sep,b\n1,2\n", Dialect::default(), 4);
    assert_eq!(records.excel_line().unwrap(), None);
    assert_eq!(records.next().unwrap().unwrap().first().collect::<Vec<_>>(), ["sep", "b"]);
}

#[test]
fn a_block_ends_behind_the_record_that_reaches_its_bytes() {
    let mut records = few_at_a_time("aaaa,b\nc,d\ne,f\n", Dialect::delimited(b','), 100);
    let mut sizes = Vec::new();
    while let Some(block) = records.block(2, 10, 7).unwrap() {
        sizes.push((block.lines.len(), block.bytes));
    }
    assert_eq!(sizes, [(2, 10), (1, 4)]);
}

/// How a test writes tables with backslashes.
#[derive(Clone, Copy, Debug)]
enum Writer {
    /// As `INTO OUTFILE` does: no quotes, everything that would end a cell is escaped.
    MySql,
    /// As Spark does: cells in quotes, in which quotes and backslashes are escaped.
    Spark,
}

impl Writer {
    fn write(self, table: &[Vec<String>], dialect: Dialect, end: &str) -> String {
        let quote = char::from(dialect.quote.unwrap_or(b'"'));
        let delimiter = char::from(dialect.delimiter.unwrap_or(DEFAULT_DELIMITER));
        let special = |c: char| match self {
            Self::MySql => c == '\\' || c == quote || c == delimiter || c == '\r' || c == '\n',
            Self::Spark => c == '\\' || c == quote,
        };
        let mut text = String::new();
        for record in table {
            for (place, cell) in record.iter().enumerate() {
                let mut written: String = if place > 0 { delimiter.into() } else { String::new() };
                let enclosed = matches!(self, Self::Spark);
                written.extend(enclosed.then_some(quote));
                for c in cell.chars() {
                    written.extend(special(c).then_some('\\'));
                    written.push(c);
                }
                written.extend(enclosed.then_some(quote));
                text.push_str(&written);
            }
            text.push_str(end);
        }
        text
    }
}

/// Tables of two or three columns.
fn tables() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = r#"[ab ,;'"\\é\r\n\t]{0,6}"#;
    (2_usize..4).prop_flat_map(move |width| proptest::collection::vec(proptest::collection::vec(cell, width), 1..6))
}

fn delimiters() -> impl Strategy<Value = u8> {
    proptest::sample::select(b",;\t|".to_vec())
}

proptest! {
    #[test]
    fn tables_of_the_csv_crate_come_back(
        table in tables(),
        delimiter in delimiters(),
        quote in proptest::sample::select(b"\"'".to_vec()),
        crlf: bool,
        always: bool,
        bytes in 4_usize..60,
    ) {
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .quote(quote)
            .quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .terminator(if crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') })
            .flexible(true)
            .from_writer(Vec::new());
        table.iter().for_each(|record| writer.write_record(record).unwrap());
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        let dialect = Dialect { quote: Some(quote), ..Dialect::delimited(delimiter) };
        let (found, end) = by_blocks(few_at_a_time(&text, dialect, bytes), table[0].len(), 3);
        prop_assert!(end.is_ok(), "{end:?}");
        prop_assert_eq!(found.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), table);
    }

    #[test]
    fn tables_with_backslashes_come_back(
        table in tables(),
        delimiter in delimiters(),
        quote in proptest::sample::select(vec![Some(b'"'), Some(b'\''), None]),
        end in proptest::sample::select(vec!["\n", "\r\n", "\r"]),
        spark: bool,
        bytes in 4_usize..60,
    ) {
        let writer = if spark && quote.is_some() { Writer::Spark } else { Writer::MySql };
        let dialect = Dialect { delimiter: Some(delimiter), quote, escape: Escape::Backslash };
        let text = writer.write(&table, dialect, end);
        let (found, rest) = by_blocks(few_at_a_time(&text, dialect, bytes), table[0].len(), 3);
        // A writer that escapes `\r` but ends lines by `\n` leaves no way to see where such a line ends.
        let ambiguous = end == "\n" && table.iter().any(|record| record.last().is_some_and(|cell| cell.ends_with('\r')));
        if ambiguous && matches!(rest, Err(RecordError::Ragged { .. })) {
            return Ok(());
        }
        prop_assert!(rest.is_ok(), "{rest:?} of {text:?}");
        prop_assert_eq!(found.into_iter().map(|(_, cells)| cells).collect::<Vec<_>>(), table, "{:?}", text);
    }

    /// A byte that is no text, wherever it is and whatever lines end in.
    #[test]
    fn the_line_of_a_fault_does_not_depend_on_the_size_of_blocks(
        text in r#"(("([a;\n\r]|""){0,4}"|[ab]{0,2})("[a]?)?;[ab\r]{0,2}(\r\n|[\n\r])){0,6}"#,
        bad: bool,
        block in 4_usize..40,
    ) {
        let mut bytes = text.into_bytes();
        bytes.extend(bad.then_some(0xFF));
        let fault = |block| {
            let source = Box::new(std::io::Cursor::new(bytes.clone()));
            let records = Records::new(TextBlocks::sized(source, Some(Encoding::Utf8), block), Dialect::delimited(b';'));
            by_blocks(records, 2, 3).1.err()
        };
        // The whole text in one block is found to be none before the records in it are looked at.
        match (fault(block), fault(1000)) {
            (Some(RecordError::Text { line: one, .. }), Some(RecordError::Text { line: other, .. })) => {
                prop_assert_eq!(one, other);
            }
            (_, Some(RecordError::Text { .. })) => {}
            (one, other) => prop_assert_eq!(format!("{one:?}"), format!("{other:?}")),
        }
    }

    /// In a dialect that is not the file's, rows are what they are, or an error: never fewer than there are lines, unless
    /// quotes hold a line end.
    #[test]
    fn no_line_is_lost_unless_quotes_or_escapes_hold_its_end(
        text in r#"[ab,"\\\n]{0,40}"#,
        escape in proptest::sample::select(vec![Escape::Doubled, Escape::Backslash]),
    ) {
        let dialect = Dialect { escape, ..Dialect::delimited(b',') };
        if let Ok(all) = records_of(&text, dialect) {
            let inside: usize = all.iter().flat_map(|(_, cells)| cells).map(|cell| cell.matches('\n').count()).sum();
            let lines = text.split('\n').filter(|line| !line.is_empty()).count();
            let blank_inside = text.split('\n').filter(|line| line.is_empty()).count();
            prop_assert!(all.len() + inside >= lines && all.len() <= lines, "{all:?}");
            prop_assert!(all.len() + inside <= lines + blank_inside);
        }
    }

    #[test]
    fn agrees_with_the_csv_crate(text in r#"([ab";,\n\r é]|"[a,"\n]*"){0,40}"#) {
        match records(&text, b';') {
            Ok(all) => {
                let all: Vec<_> = all.into_iter().map(|(_, fields)| fields).collect();
                prop_assert_eq!(all, reference(&text, b';'));
            }
            Err(RecordError::UnclosedQuote { .. } | RecordError::TextAfterQuote { .. }) => {
                prop_assert!(text.contains('"'));
            }
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn blocks_hold_the_records_up_to_the_first_fault(
        text in r#"(([ab" é]{0,3}|"([a;\n]|""){0,4}"[ab]?);([ab" ]{0,3}|"([a;\n]|""){0,4}")(;x)?(\r\n|[\n\r]|\n\n){1,2}){0,12}"?"#,
        most in 1_usize..8,
        bytes in 4_usize..80,
    ) {
        let mut one_by_one = few_at_a_time(&text, Dialect::delimited(b';'), 1000);
        let (mut expected, mut fault) = (Vec::new(), None);
        while fault.is_none() {
            match one_by_one.next() {
                Ok(None) => break,
                Ok(Some(record)) if record.first().count() == 2 => {
                    expected.push((record.lines[0], record.first().map(str::to_owned).collect()));
                }
                Ok(Some(record)) => {
                    fault = Some(RecordError::Ragged { line: record.lines[0], fields: record.first().count() });
                }
                Err(error) => fault = Some(error),
            }
        }
        let (found, end) = by_blocks(few_at_a_time(&text, Dialect::delimited(b';'), bytes), 2, most);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(format!("{:?}", end.err()), format!("{fault:?}"));
    }
}
