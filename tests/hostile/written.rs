//! What programs write comes back cell for cell, in every dialect, encoding and line end; and bytes that come in between never
//! delete a row whose line is still there.
//!
//! Python's writer, which pandas writes with, is written down here once more; its texts were held against those of pandas 3.

use std::collections::BTreeSet;

use cdc_to_s3::report::TableReport;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab};

const BACKSLASH: char = '\\';

/// A program that writes tables.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Writer {
    /// The `csv` crate, which quotes all cells or those that need it.
    Crate { always: bool, escapes: bool },
    /// Python's `csv`, as `DataFrame.to_csv` calls it.
    Pandas { quoting: Quoting, doubles: bool, escapes: bool },
    /// `INTO OUTFILE` of MySQL: no quotes, everything that would end a cell is escaped.
    MySql,
    /// Spark: all cells in quotes, in which quotes and backslashes are escaped.
    Spark,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quoting {
    Minimal,
    All,
    None,
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
struct Style {
    writer: Writer,
    delimiter: char,
    quote: char,
    end: &'static str,
    encoding: &'static str,
    header: bool,
}

impl Style {
    /// The text of a table; `None` where the writer refuses it.
    fn text(&self, table: &[Vec<String>]) -> Option<String> {
        match self.writer {
            // It escapes quotes, but no backslashes, so that it is not even read back by its own reader.
            Writer::Crate { escapes: true, .. } if table.iter().flatten().any(|cell| cell.contains(BACKSLASH)) => None,
            Writer::Crate { always, escapes } => Some(self.by_crate(table, always, escapes)),
            Writer::Pandas { quoting, doubles, escapes } => self.by_python(table, quoting, doubles, escapes),
            Writer::MySql => Some(self.escaped(table, "")),
            Writer::Spark => Some(self.escaped(table, &self.quote.to_string())),
        }
    }

    fn by_crate(&self, table: &[Vec<String>], always: bool, escapes: bool) -> String {
        let end = match self.end {
            "\r\n" => csv::Terminator::CRLF,
            one => csv::Terminator::Any(one.as_bytes()[0]),
        };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(self.delimiter as u8)
            .quote(self.quote as u8)
            .quote_style(if always { csv::QuoteStyle::Always } else { csv::QuoteStyle::Necessary })
            .double_quote(!escapes)
            .escape(b'\\')
            .terminator(end)
            .from_writer(Vec::new());
        table.iter().for_each(|record| writer.write_record(record).unwrap());
        String::from_utf8(writer.into_inner().unwrap()).unwrap()
    }

    /// Python's `csv` (`join_append_data` of `_csv.c`).
    fn by_python(&self, table: &[Vec<String>], quoting: Quoting, doubles: bool, escapes: bool) -> Option<String> {
        let escape = escapes.then_some(BACKSLASH);
        let special = |c: char| c == self.delimiter || c == self.quote || Some(c) == escape || c == '\r' || c == '\n';
        let mut text = String::new();
        for record in table {
            for (place, cell) in record.iter().enumerate() {
                text.extend((place > 0).then_some(self.delimiter));
                let (mut quoted, mut written) = (quoting == Quoting::All, String::new());
                for c in cell.chars() {
                    let is_escaped = special(c)
                        && match quoting {
                            Quoting::None => true,
                            _ if c == self.quote && doubles => {
                                written.push(c);
                                quoted = true;
                                false
                            }
                            _ if c == self.quote || Some(c) == escape => true,
                            _ => {
                                quoted = true;
                                false
                            }
                        };
                    if is_escaped {
                        written.push(escape?);
                    }
                    written.push(c);
                }
                match quoted {
                    true => text.extend([self.quote.to_string(), written, self.quote.to_string()]),
                    false => text.push_str(&written),
                }
            }
            text.push_str(self.end);
        }
        Some(text)
    }

    /// Between `quotes`, or without, with a backslash before what would end a cell.
    fn escaped(&self, table: &[Vec<String>], quotes: &str) -> String {
        let ends = |c: char| quotes.is_empty() && (c == self.delimiter || c == '\r' || c == '\n');
        let cell = |cell: &String| {
            let special = |c: char| c == BACKSLASH || c == self.quote || ends(c);
            let text: String =
                cell.chars().flat_map(|c| special(c).then_some(BACKSLASH).into_iter().chain([c])).collect();
            format!("{quotes}{text}{quotes}")
        };
        let record = |record: &Vec<String>| {
            record.iter().map(cell).collect::<Vec<_>>().join(&self.delimiter.to_string()) + self.end
        };
        table.iter().map(record).collect()
    }

    /// The text in the encoding; `None` where that lacks a character of it.
    fn bytes(&self, text: &str) -> Option<Vec<u8>> {
        let utf16 = |unit: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
        Some(match self.encoding {
            "utf-8" => text.as_bytes().to_vec(),
            "utf-8 with a mark" => format!("\u{feff}{text}").into_bytes(),
            "utf-16le with a mark" => [vec![0xFF, 0xFE], utf16(u16::to_le_bytes)].concat(),
            "utf-16be with a mark" => [vec![0xFE, 0xFF], utf16(u16::to_be_bytes)].concat(),
            label => {
                let (bytes, _, lost) = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
                (!lost).then_some(bytes.into_owned())?
            }
        })
    }

    /// The configuration of a table `t` of files like this, its columns being `names`.
    fn configuration(&self, names: &[String]) -> Value {
        let escapes = match self.writer {
            Writer::Crate { escapes, .. } | Writer::Pandas { escapes, .. } => escapes,
            Writer::MySql | Writer::Spark => true,
        };
        let unquoted = self.quote == '"' && matches!(self.writer, Writer::Pandas { quoting: Quoting::None, .. });
        let columns: serde_json::Map<String, Value> =
            names.iter().map(|name| (name.clone(), json!("string"))).collect();
        json!({
            "sep": self.delimiter.to_string(),
            "quote": if unquoted { "none".to_owned() } else { self.quote.to_string() },
            "escape": if escapes { "\\" } else { "doubled" },
            "encoding": if self.encoding.starts_with("utf-") { Value::Null } else { json!(self.encoding) },
            "header": if self.header { "first_line" } else { "none" },
            "columns": columns,
        })
    }
}

fn writers() -> impl Strategy<Value = Writer> {
    let quoting = select(vec![Quoting::Minimal, Quoting::All, Quoting::None]);
    prop_oneof![
        (any::<bool>(), any::<bool>()).prop_map(|(always, escapes)| Writer::Crate { always, escapes }),
        (quoting, any::<bool>(), any::<bool>()).prop_map(|(quoting, doubles, escapes)| Writer::Pandas {
            quoting,
            doubles,
            escapes
        }),
        Just(Writer::MySql),
        Just(Writer::Spark),
    ]
}

fn styles() -> impl Strategy<Value = Style> {
    let encodings = [
        "utf-8",
        "utf-8 with a mark",
        "utf-16le with a mark",
        "utf-16be with a mark",
        "windows-1252",
        "windows-1251",
        "shift_jis",
        "gb18030",
    ];
    let (delimiter, quote) = (select(vec![',', ';', '\t', '|']), select(vec!['"', '\'']));
    let end = select(vec!["\n", "\r\n", "\r"]);
    (writers(), delimiter, quote, end, select(encodings.to_vec()), any::<bool>()).prop_map(
        |(writer, delimiter, quote, end, encoding, header)| Style { writer, delimiter, quote, end, encoding, header },
    )
}

/// Tables with a key and one to three columns of text.
fn tables() -> impl Strategy<Value = Vec<Vec<String>>> {
    let cell = r#"[ab1,;|'"\\ \t\r\néЖ東\u{feff}]{0,6}"#;
    (1_usize..4).prop_flat_map(move |width| vec(vec(cell, width), 1..7)).prop_map(|rows| {
        let keyed = |(number, row): (usize, Vec<String>)| [vec![format!("k{number}")], row].concat();
        rows.into_iter().enumerate().map(keyed).collect()
    })
}

fn printed(table: &[Vec<String>]) -> Vec<String> {
    let cell = |cell: &String| if cell.is_empty() { "∅".to_owned() } else { cell.clone() };
    table.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join("|")).collect()
}

fn names(width: usize) -> Vec<String> {
    std::iter::once("id".to_owned()).chain((1..width).map(|column| format!("c{column}"))).collect()
}

/// What no reader can know: where the writer ends a line in `\n`, escapes a `\r` before it, and the two are one line end to
/// every reader. It is an error then.
fn is_ambiguous(style: &Style, table: &[Vec<String>]) -> bool {
    let bare = match style.writer {
        Writer::MySql => true,
        Writer::Pandas { quoting, .. } => quoting == Quoting::None,
        _ => false,
    };
    bare && style.end == "\n" && table.iter().any(|row| row.last().is_some_and(|cell| cell.ends_with('\r')))
}

fn comes_back(style: &Style, table: &[Vec<String>]) -> Result<(), TestCaseError> {
    let names = names(table[0].len());
    let with_header = [std::slice::from_ref(&names), table].concat();
    let text = style.text(if style.header { &with_header } else { table });
    let Some(bytes) = text.and_then(|text| style.bytes(&text)) else { return Ok(()) };
    let mut lab = Lab::of_t(style.configuration(&names));
    let report = lab.csv(&bytes);
    if report.error.is_some() && is_ambiguous(style, table) {
        return Ok(());
    }
    prop_assert!(report.error.is_none(), "{:?} of {:?}", report.error, String::from_utf8_lossy(&bytes));
    prop_assert_eq!(lab.full_load(), printed(table), "{:?}", String::from_utf8_lossy(&bytes));
    Ok(())
}

/// A table in one of the usual styles, its cells free of what a quote would need to be there for.
fn plain_file() -> impl Strategy<Value = (Vec<String>, &'static str)> {
    let cell = prop_oneof!["[ab1é ]{0,4}", "\"[ab1 ]{1,4}\""];
    let row = (cell.clone(), cell).prop_map(|(one, other)| format!("{one},{other}"));
    (vec(row, 4..12), select(vec!["\n", "\r\n", "\r"])).prop_map(|(rows, end)| {
        let line = |(number, row): (usize, &String)| format!("k{number},{row}");
        let lines = std::iter::once("id,a,b".to_owned()).chain(rows.iter().enumerate().map(line));
        (lines.collect(), end)
    })
}

/// Bytes that mean something to a reader of text, and some that do not.
fn intruders() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"\"",
        b"\"\"",
        b",",
        b"\n",
        b"\r",
        b"\r\n",
        b"\\",
        b"'",
        b"x",
        b"1",
        b"\0",
        b"\xFF",
        b"\xC3\xA9",
        b"\xE3\x81",
        b"\xEF\xBB\xBF",
        b";",
        b"\t",
        b"\x1B$B",
        b"k0",
    ];
    vec(select(pieces), 1..6).prop_map(|pieces| pieces.concat())
}

/// The keys of the rows that a run has published as deleted.
fn deleted(lab: &Lab, report: &TableReport) -> BTreeSet<String> {
    let rows = report.cdc_key.as_ref().map(|key| lab.rows(key)).unwrap_or_default();
    let deleted = rows.iter().filter(|row| row.ends_with("|D"));
    deleted.map(|row| row.split('|').next().unwrap().to_owned()).collect()
}

/// The texts are those of pandas 3.1.1: `to_csv(None, index=False, header=False, lineterminator="\r\n", …)`.
#[test]
fn pandas_is_written_down_here_as_it_is() {
    let cells = ["k0", "a\"b", "\\", "x,y", "'q'", "l\nm", "r\rs", "\\\"", "\"", "", " z"].map(str::to_owned).to_vec();
    let texts = [
        (
            Quoting::Minimal,
            true,
            true,
            '"',
            Some("k0,\"a\"\"b\",\\\\,\"x,y\",'q',\"l\nm\",\"r\rs\",\"\\\\\"\"\",\"\"\"\",, z\r\n"),
        ),
        (Quoting::Minimal, true, true, '\'', Some("k0,a\"b,\\\\,'x,y','''q''','l\nm','r\rs',\\\\\",\",, z\r\n")),
        (
            Quoting::Minimal,
            true,
            false,
            '"',
            Some("k0,\"a\"\"b\",\\,\"x,y\",'q',\"l\nm\",\"r\rs\",\"\\\"\"\",\"\"\"\",, z\r\n"),
        ),
        (Quoting::Minimal, true, false, '\'', Some("k0,a\"b,\\,'x,y','''q''','l\nm','r\rs',\\\",\",, z\r\n")),
        (
            Quoting::Minimal,
            false,
            true,
            '"',
            Some("k0,a\\\"b,\\\\,\"x,y\",'q',\"l\nm\",\"r\rs\",\\\\\\\",\\\",, z\r\n"),
        ),
        (Quoting::Minimal, false, true, '\'', Some("k0,a\"b,\\\\,'x,y',\\'q\\','l\nm','r\rs',\\\\\",\",, z\r\n")),
        (Quoting::Minimal, false, false, '"', None),
        (Quoting::Minimal, false, false, '\'', None),
        (
            Quoting::All,
            true,
            true,
            '"',
            Some("\"k0\",\"a\"\"b\",\"\\\\\",\"x,y\",\"'q'\",\"l\nm\",\"r\rs\",\"\\\\\"\"\",\"\"\"\",\"\",\" z\"\r\n"),
        ),
        (
            Quoting::All,
            true,
            true,
            '\'',
            Some("'k0','a\"b','\\\\','x,y','''q''','l\nm','r\rs','\\\\\"','\"','',' z'\r\n"),
        ),
        (
            Quoting::All,
            true,
            false,
            '"',
            Some("\"k0\",\"a\"\"b\",\"\\\",\"x,y\",\"'q'\",\"l\nm\",\"r\rs\",\"\\\"\"\",\"\"\"\",\"\",\" z\"\r\n"),
        ),
        (Quoting::All, true, false, '\'', Some("'k0','a\"b','\\','x,y','''q''','l\nm','r\rs','\\\"','\"','',' z'\r\n")),
        (
            Quoting::All,
            false,
            true,
            '"',
            Some("\"k0\",\"a\\\"b\",\"\\\\\",\"x,y\",\"'q'\",\"l\nm\",\"r\rs\",\"\\\\\\\"\",\"\\\"\",\"\",\" z\"\r\n"),
        ),
        (
            Quoting::All,
            false,
            true,
            '\'',
            Some("'k0','a\"b','\\\\','x,y','\\'q\\'','l\nm','r\rs','\\\\\"','\"','',' z'\r\n"),
        ),
        (Quoting::All, false, false, '"', None),
        (Quoting::All, false, false, '\'', None),
        (Quoting::None, true, true, '"', Some("k0,a\\\"b,\\\\,x\\,y,'q',l\\\nm,r\\\rs,\\\\\\\",\\\",, z\r\n")),
        (Quoting::None, true, true, '\'', Some("k0,a\"b,\\\\,x\\,y,\\'q\\',l\\\nm,r\\\rs,\\\\\",\",, z\r\n")),
        (Quoting::None, true, false, '"', None),
        (Quoting::None, true, false, '\'', None),
        (Quoting::None, false, true, '"', Some("k0,a\\\"b,\\\\,x\\,y,'q',l\\\nm,r\\\rs,\\\\\\\",\\\",, z\r\n")),
        (Quoting::None, false, true, '\'', Some("k0,a\"b,\\\\,x\\,y,\\'q\\',l\\\nm,r\\\rs,\\\\\",\",, z\r\n")),
        (Quoting::None, false, false, '"', None),
        (Quoting::None, false, false, '\'', None),
    ];
    for (quoting, doubles, escapes, quote, text) in texts {
        let writer = Writer::Pandas { quoting, doubles, escapes };
        let style = Style { writer, delimiter: ',', quote, end: "\r\n", encoding: "utf-8", header: false };
        assert_eq!(style.text(std::slice::from_ref(&cells)).as_deref(), text, "{style:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn tables_come_back_cell_for_cell_however_they_are_written(style in styles(), table in tables()) {
        comes_back(&style, &table)?;
    }

    #[test]
    fn bytes_that_come_in_between_delete_no_row_of_another_line(
        (lines, end) in plain_file(),
        intruders in intruders(),
        place in any::<prop::sample::Index>(),
        more in select(vec![json!({}), json!({"escape": "\\"}), json!({"quote": "none"}), json!({"quote": "'"})]),
    ) {
        let mut more = more;
        more["max_deleted_fraction"] = json!(1.0);
        let mut lab = Lab::of_t(more);
        let before = lines.join(end) + end;
        lab.csv_ok(&before);
        let at = place.index(before.len() + 1);
        let after = [&before.as_bytes()[..at], &intruders, &before.as_bytes()[at..]].concat();
        let report = lab.csv(&after);
        let mut start = 0_usize;
        let touched: BTreeSet<String> = lines
            .iter()
            .filter(|line| {
                // The end of the line before belongs to it, too: a backslash may have come before that.
                let range = start.saturating_sub(end.len())..=start + line.len() + end.len();
                start += line.len() + end.len();
                range.contains(&at)
            })
            .map(|line| line.split(',').next().unwrap().to_owned())
            .collect();
        let deleted = deleted(&lab, &report);
        prop_assert!(deleted.is_subset(&touched), "{deleted:?} of {:?}", String::from_utf8_lossy(&after));
    }

    /// Whatever takes the place of the file, what is published as deleted is nowhere in it.
    #[test]
    fn random_bytes_delete_nothing_that_they_hold(
        rows in 2_usize..8,
        bytes in prop_oneof![
            vec(any::<u8>(), 0..200),
            r#"(id,v)?([k\n,"'\\\r;0-9]|k[0-7],x\n){0,40}"#.prop_map(String::into_bytes),
        ],
    ) {
        let mut lab = Lab::of_t(json!({"max_deleted_fraction": 1.0}));
        let lines: String = (0..rows).map(|row| format!("k{row},x\n")).collect();
        lab.csv_ok(format!("id,v\n{lines}"));
        let before = lab.objects();
        let report = lab.csv(&bytes);
        if report.error.is_some() {
            lab.assert_objects(&before);
        }
        let text = String::from_utf8_lossy(&bytes);
        // Quotes may hold lines that are no rows.
        let lines = text.split(['\n', '\r']).filter(|_| !text.contains('"'));
        let held: BTreeSet<String> =
            lines.filter_map(|line| line.strip_suffix(",x")).map(str::to_owned).collect();
        let false_ones: Vec<String> = deleted(&lab, &report).intersection(&held).cloned().collect();
        prop_assert!(false_ones.is_empty(), "{false_ones:?} of {text:?}");
        prop_assert!(report.error.is_some() || !lab.rows(FULL_LOAD).is_empty());
    }
}
