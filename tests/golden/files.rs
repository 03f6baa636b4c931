//! Which file of a dataset is a table, and several files that are one.

use cdc_to_s3::report::TableReport;
use serde_json::{Value, json};

use crate::support::lab::{Lab, failure};

fn one(lab: &mut Lab, files: &[(&str, &[u8])]) -> TableReport {
    lab.run(files).tables.remove(0)
}

#[track_caller]
fn done(lab: &mut Lab, files: &[(&str, &[u8])]) -> TableReport {
    let report = one(lab, files);
    assert!(report.error.is_none(), "{:?}", report.error);
    report
}

fn from(file: &str) -> Lab {
    Lab::of_t(json!({"file": file}))
}

#[test]
fn two_folders_with_a_file_of_one_name_are_two_tables() {
    let mut lab = Lab::new(json!([
        {"name": "t", "pk": "id", "file": "train/data.csv"},
        {"name": "u", "pk": "id", "file": "./test\\data.csv"},
    ]));
    let report = lab.run(&[("train/data.csv", b"id\n1\n2\n"), ("test/data.csv", b"id\n3\n")]);
    assert_eq!((report.tables[0].rows, report.tables[1].rows), (2, 1));
    assert_eq!(lab.full_load(), ["1", "2"]);
    lab.assert_verified();
}

#[test]
fn a_file_may_have_any_ending() {
    for file in ["data.tsv", "data.txt", "data", " data .CSV", "da[t]a?.csv"] {
        let mut lab = from(file);
        assert_eq!(done(&mut lab, &[(file, b"id\n1\n"), ("data2.csv", b"id\n9\n9\n")]).rows, 1, "{file}");
    }
}

#[test]
fn files_of_a_pattern_are_one_table_in_the_order_of_their_paths() {
    let mut lab = from("sales.csv/part-*");
    let first: [(&str, &[u8]); 4] = [
        ("sales.csv/part-1.csv", b"id,v\n3,c\n"),
        ("sales.csv/part-0.csv", b"id,v\n1,a\n2,b\n"),
        ("sales.csv/_SUCCESS", b""),
        ("sales.csv/.part-0.csv.crc", b"crc"),
    ];
    assert_eq!(done(&mut lab, &first).rows, 3);
    assert_eq!(lab.full_load(), ["1|a", "2|b", "3|c"]);
    let next: [(&str, &[u8]); 3] = [
        ("sales.csv/part-7.csv", b"v,id\nC,3\n"),
        ("sales.csv/part-8.csv", b"id,v\n2,b\n4,d\n"),
        ("sales.csv/part-9.csv", b"id,v\n"),
    ];
    let report = done(&mut lab, &next);
    assert_eq!((report.inserted, report.updated, report.deleted, report.warnings.len()), (1, 1, 1, 0), "{report:?}");
    assert_eq!(lab.changes(), ["1|a|D", "3|C|U", "4|d|I"]);
    lab.assert_verified();
}

#[test]
fn types_hold_the_values_of_all_files() {
    let mut lab = from("*.csv");
    done(&mut lab, &[("a.csv", b"id,v,w\n1,1,\n"), ("b.csv", b"w,v,id\n7,1.5,2\n")]);
    assert_eq!(lab.columns("full-load/t/t.parquet"), ["id:Int64", "v:Float64", "w:Int64"]);
    assert_eq!(lab.full_load(), ["1|1.0|∅", "2|1.5|7"]);
}

#[test]
fn files_in_different_encodings_are_each_read_in_their_own() {
    let mut lab = from("*.csv");
    let files: [(&str, &[u8]); 4] = [
        ("a.csv", b"id,v\n1,x\n"),
        ("b.csv", b"id,v\n2,\xE3\n"),
        ("c.csv", "id,v\n3,ã\n".as_bytes()),
        ("d.csv", b"id,v\n4,\xE9\n"),
    ];
    done(&mut lab, &files);
    assert_eq!(lab.full_load(), ["1|x", "2|ã", "3|ã", "4|é"]);
}

/// One guess for the whole table would have read the other file wrong from the second run on.
#[test]
fn each_file_keeps_its_own_guess() {
    let encoded = |label: &str, text: &str| {
        let (bytes, _, lost) = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap().encode(text);
        assert!(!lost);
        bytes.into_owned()
    };
    let japanese = encoded("shift_jis", "id,v\n1,東京都\n2,大阪府\n");
    let russian = encoded("windows-1251", "id,v\n3,Москва\n4,Санкт-Петербург\n");
    let files = [("p/a.csv", &japanese[..]), ("p/b.csv", &russian[..]), ("p/c.csv", "id,v\n5,é\n".as_bytes())];
    let mut lab = from("p/*.csv");
    let warnings = done(&mut lab, &files).warnings;
    assert!(warnings.len() == 2 && warnings[0].contains("Shift_JIS") && warnings[1].contains("windows-1251"));
    // Of so little text the guess would be another one.
    let short = encoded("windows-1251", "id,v\n3,Москва\n4,Ж\n");
    let report = done(&mut lab, &[files[0], ("p/b.csv", &short[..]), files[2]]);
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 1, 0));
    assert_eq!(lab.full_load(), ["1|東京都", "2|大阪府", "3|Москва", "4|Ж", "5|é"]);
}

#[test]
fn faults_name_the_file_of_the_set_and_its_own_line() {
    let whole: &[u8] = b"id,v\n1,a\n2,b\n";
    for (second, code, names) in [
        (&b"id,v\n3,c\n4\n"[..], "RaggedRow", "`b.csv` line 3"),
        (b"id,v\n3,c\n1,c\n", "DuplicateKeys", "line 2 of `a.csv` and line 3 of `b.csv`"),
        (b"id,v\n3,c\n,c\n", "NullKey", "`b.csv` line 3"),
        (b"id,w\n3,c\n", "HeadersDiffer", "`b.csv` has no column `v`, which `a.csv` has"),
        (b"id,v,w\n3,c,d\n", "HeadersDiffer", "`a.csv` has no column `w`, which `b.csv` has"),
    ] {
        let message = failure(&one(&mut from("[ab].csv"), &[("a.csv", whole), ("b.csv", second)]), code);
        assert!(message.contains(names), "{message}");
    }
    let message = failure(&one(&mut from("*"), &[("a.csv", whole), ("b.parquet", b"")]), "MixedFormats");
    assert!(message.contains("`b.parquet` is Parquet, `a.csv` is text"), "{message}");
}

#[test]
fn the_last_of_repeated_keys_is_the_last_of_the_last_file() {
    let mut lab = Lab::of_t(json!({"file": "*.csv", "on_duplicate_key": "last"}));
    let report = done(&mut lab, &[("a.csv", b"id,v\n1,a\n1,b\n2,x\n"), ("b.csv", b"id,v\n1,c\n")]);
    assert_eq!(report.dropped_rows, 2);
    let mut rows = lab.full_load();
    rows.sort();
    assert_eq!(rows, ["1|c", "2|x"]);
}

#[test]
fn a_file_of_a_set_without_even_a_header_is_passed_over_and_told() {
    let mut lab = from("*.csv");
    let report = done(&mut lab, &[("a.csv", b""), ("b.csv", b"id\n1\n")]);
    assert_eq!((report.rows, report.warnings.len()), (1, 1));
    assert!(report.warnings[0].contains("`a.csv` is empty"), "{:?}", report.warnings);
    failure(&one(&mut from("*.csv"), &[("a.csv", b""), ("b.csv", b"\n")]), "EmptyTable");
}

#[test]
fn a_path_without_a_file_is_missing_with_what_is_near() {
    let message = failure(&one(&mut from("test/data.csv"), &[("train/data.csv", b"id\n1\n")]), "TableMissing");
    assert!(message.contains("`test/data.csv`") && message.contains("did you mean `train/data.csv`?"), "{message}");
    let message = failure(&one(&mut from("s.csv"), &[("s.csv/part-0", b"id\n1\n")]), "TableMissing");
    assert!(message.contains("`s.csv/*`"), "{message}");
    let mut lab = Lab::of_t(Value::Null);
    let message = failure(&one(&mut lab, &[("a/t.csv", b"id\n1\n"), ("b/t.csv", b"id\n1\n")]), "AmbiguousTable");
    assert!(message.contains("`tables[].file`"), "{message}");
}

const PARTS: [(&str, &[u8]); 3] =
    [("s/1.csv", b"id,v\n1,a\n2,b\n"), ("s/2.csv", b"id,v\n3,c\n"), ("s/3.csv", b"id,v\n4,d\n5,e\n6,f\n")];

/// Its rows were deletes, below the share that stops a table.
#[test]
fn a_part_that_is_gone_or_has_no_rows_stops_the_table_unless_another_comes_in_its_place() {
    for second in [None, Some(&b"id,v\n"[..]), Some(b"")] {
        let mut lab = from("s/*");
        done(&mut lab, &PARTS);
        let mut parts = PARTS.to_vec();
        match second {
            None => drop(parts.remove(1)),
            Some(content) => parts[1].1 = content,
        }
        let before = lab.objects();
        let hint = failure(&lab.run(&parts).tables[0], "PartMissing");
        assert!(hint.contains("`s/2.csv`"), "{hint}");
        lab.assert_objects(&before);
        lab.approval = cdc_to_s3::request::Approval::All;
        assert_eq!(done(&mut lab, &parts).deleted, 1);
        lab.approval = cdc_to_s3::request::Approval::None;
        assert_eq!(done(&mut lab, &parts).deleted, 0);
        parts.push(("s/4.csv", b"id,v\n7,g\n"));
        assert_eq!(done(&mut lab, &parts).inserted, 1);
        lab.assert_verified();
    }
    let mut lab = from("s/*");
    done(&mut lab, &PARTS);
    lab.approval = cdc_to_s3::request::Approval::All;
    assert_eq!(done(&mut lab, &[("other.csv", b"id\n1\n")]).deleted, 6);
    lab.approval = cdc_to_s3::request::Approval::None;
    assert_eq!(done(&mut lab, &PARTS[..1]).inserted, 2, "a table without rows has no part to lose");
    let mut lab = from("s/*");
    done(&mut lab, &PARTS);
    let renamed: Vec<_> =
        PARTS.iter().zip(["s/a.csv", "s/b.csv", "s/c.csv"]).map(|(part, name)| (name, part.1)).collect();
    assert_eq!(done(&mut lab, &renamed).deleted, 0);
    let fewer: Vec<_> = PARTS.iter().zip(["s/d.csv", "s/e.csv"]).map(|(part, name)| (name, part.1)).collect();
    lab.approval = cdc_to_s3::request::Approval::All;
    let warnings = done(&mut lab, &fewer).warnings;
    assert!(warnings.iter().any(|warning| warning.contains("had 3 files with rows")), "{warnings:?}");
}

/// One of the parts never had a last line end, so that no part was known to have one.
#[test]
fn each_part_is_cut_by_itself() {
    let mut lab = from("s/*");
    let mut parts = PARTS;
    parts[2].1 = b"id,v\n4,d\n5,e\n6,f";
    done(&mut lab, &parts);
    parts[0].1 = b"id,v\n1,a\n2,";
    let text = failure(&lab.run(&parts).tables[0], "FileCut");
    assert!(text.contains("`s/1.csv`"), "{text}");
    parts[0].1 = b"id,v\n1,a\n2,B\n";
    assert_eq!(done(&mut lab, &parts).updated, 1);
}
