//! Records, whatever the text.

use proptest::prelude::*;

use super::*;

/// Records by the lines on which they begin.
type Lines = Vec<(u64, Vec<String>)>;

/// Text that comes a few bytes at a time, so that every cut of a record occurs.
fn few_at_a_time(text: &str, delimiter: u8, bytes: usize) -> Records {
    let source = Box::new(std::io::Cursor::new(text.as_bytes().to_vec()));
    Records::new(TextBlocks::sized(source, None, bytes), delimiter)
}

fn records(text: &str, delimiter: u8) -> Result<Lines, RecordError> {
    let mut records = few_at_a_time(text, delimiter, 4);
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
        let block = match records.block(width, most) {
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

proptest! {
    #[test]
    fn agrees_with_the_csv_crate(text in r#"([ab";,\n\r é]|"[a,"\n]*"){0,40}"#) {
        match records(&text, b';') {
            Ok(all) => {
                let all: Vec<_> = all.into_iter().map(|(_, fields)| fields).collect();
                prop_assert_eq!(all, reference(&text, b';'));
            }
            Err(RecordError::UnclosedQuote { .. }) => prop_assert!(text.contains('"')),
            Err(error) => prop_assert!(false, "{error:?}"),
        }
    }

    #[test]
    fn blocks_hold_the_records_up_to_the_first_fault(
        text in r#"(([ab" é]{0,3}|"([a;\n]|""){0,4}"[ab]?);([ab" ]{0,3}|"([a;\n]|""){0,4}")(;x)?(\r\n|[\n\r]|\n\n){1,2}){0,12}"?"#,
        most in 1_usize..8,
        bytes in 4_usize..80,
    ) {
        let mut one_by_one = few_at_a_time(&text, b';', 1000);
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
        let (found, end) = by_blocks(few_at_a_time(&text, b';', bytes), 2, most);
        prop_assert_eq!(found, expected);
        prop_assert_eq!(format!("{:?}", end.err()), format!("{fault:?}"));
    }
}
