//! Quotes, escapes and delimiters: what other programs write comes in as they mean it, or not at all.

use serde_json::{Value, json};

use crate::support::lab::{Lab, failure};

const V1: &str = "id,quote,who\n1,\"hello\",ana\n2,\"bye\",bob\n3,\"x\",cat\n4,\"y\",dan\n";
const V2: &str = "id,quote,who\n1,\"hello \\\"\",ana\n2,\"bye\",bob\n3,\"x\",cat\n4,\"y\",dan\n";

/// Found in the field: the rows between an escaped quote and the next one were taken for its cell, and published as deletes.
#[test]
fn a_quote_behind_a_backslash_swallows_no_rows() {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok(V1);
    let before = lab.objects();
    let message = failure(&lab.csv(V2), "TextAfterQuote");
    assert!(message.contains("`t.csv` line 3") && message.contains("`escape`"), "{message}");
    lab.assert_objects(&before);
    lab.reconfigure(json!({"escape": "\\"}));
    let report = lab.csv_ok(V2);
    assert_eq!((report.updated, report.deleted), (1, 0));
    assert_eq!(lab.full_load(), ["1|hello \"|ana", "2|bye|bob", "3|x|cat", "4|y|dan"]);
    lab.assert_verified();
}

#[test]
fn text_behind_a_closing_quote_is_an_error_of_its_line() {
    for (content, line) in [
        ("id,v\n1,\"a\"b\n2,c\n", "line 2"),
        ("id,v\n1,\"a\" ,x\n", "line 2"),
        ("id,v\r\n1,\"a\r\nb\" \r\n", "line 3"),
        ("id,\"v\"x\n1,a\n", "line 1"),
    ] {
        let message = failure(&Lab::of_t(Value::Null).csv(content), "TextAfterQuote");
        assert!(message.contains(line) && message.contains("`quote` to `none`"), "{message}");
    }
}

#[test]
fn a_file_without_quoting_keeps_its_quotes() {
    let mut lab = Lab::of_t(json!({"sep": "tab", "quote": "none"}));
    lab.csv_ok("id\ttitle\n1\t\"Swing along\" gamma\n2\t\"Lost quote\n3\tThe 5\" disk\n4\t\"\"\n");
    assert_eq!(lab.full_load(), ["1|\"Swing along\" gamma", "2|\"Lost quote", "3|The 5\" disk", "4|\"\""]);
}

#[test]
fn a_dump_of_mysql_without_quotes() {
    let mut lab = Lab::of_t(json!({"sep": "tab", "quote": "none", "escape": "\\", "null_values": ["\\N"]}));
    lab.csv_ok("id\tv\n1\ta\\\tb\n2\tC:\\\\temp\n3\t\\N\n4\ttwo\\\nlines\n5\tsay \"hi\"\n");
    assert_eq!(lab.full_load(), ["1|a\tb", "2|C:\\temp", "3|∅", "4|two\nlines", "5|say \"hi\""]);
}

#[test]
fn other_quotes() {
    let mut lab = Lab::of_t(json!({"sep": ";", "quote": "'"}));
    lab.csv_ok("id;v\n1;'a;b'\n2;'it''s'\n3;\"c\"\n");
    assert_eq!(lab.full_load(), ["1|a;b", "2|it's", "3|\"c\""]);
}

#[test]
fn the_line_of_excel_is_no_header() {
    for first in ["sep=;", "\"sep=;\"", "\u{feff}SEP=;"] {
        for sep in [Value::Null, json!(";")] {
            let mut lab = Lab::of_t(json!({ "sep": sep }));
            let report = lab.csv_ok(format!("{first}\r\nid;v\r\n1;a,b\r\n2;c\r\n"));
            assert_eq!(lab.full_load(), ["1|a,b", "2|c"]);
            assert!(report.warnings[0].contains("`t.csv` line 1 (`sep=`)"), "{:?}", report.warnings);
        }
    }
    let mut lab = Lab::of_t(Value::Null);
    assert_eq!(lab.csv_ok("id,v\n1,a\n").warnings.len(), 0);
}

#[test]
fn the_line_of_excel_must_agree_with_the_configuration() {
    let mut lab = Lab::of_t(json!({"sep": ","}));
    let message = failure(&lab.csv("sep=;\nid;v\n1;a\n"), "OtherSeparator");
    assert!(message.contains("`t.csv` line 1") && message.contains("`;`") && message.contains("`,`"), "{message}");
}

#[test]
fn lines_are_counted_as_editors_do() {
    for end in ["\n", "\r\n", "\r"] {
        let text = |rows: &str| format!("sep=;\nid;v\n1;\"a\n\n\"\n{rows}").replace('\n', end);
        let message = |rows: &str, code| failure(&Lab::of_t(Value::Null).csv(text(rows)), code);
        assert!(message("2\n", "RaggedRow").contains("line 6"), "{end:?}");
        assert!(message("2;\"x\n\n\"y\n", "TextAfterQuote").contains("line 8"), "{end:?}");
        assert!(message("\n2;\"\n", "UnclosedQuote").contains("line 7"), "{end:?}");
        assert!(message("2;b\n\n2;c\n", "DuplicateKeys").contains("lines 6 and 8"), "{end:?}");
        assert!(message("\n;c\n", "NullKey").contains("line 7"), "{end:?}");
        let mut lab = Lab::of_t(json!({"columns": {"v": "int64"}}));
        let misfit = "id;v\n1;2\n2;\"3\"\n\n3;x\n".replace('\n', end).replace(';', ",");
        assert!(failure(&lab.csv(misfit), "CellMisfit").contains("line 5"), "{end:?}");
    }
}
