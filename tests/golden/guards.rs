//! A source that is missing, empty or shrunk never becomes a wave of deletes.

use cdc_to_s3::ops::restore::{Format, Output};
use cdc_to_s3::report::{RunStatus, TableReport};
use cdc_to_s3::request::Approval;
use serde_json::{Value, json};

use crate::support::lab::{Lab, Objects, failure, zip};

const TEN: &str = "id\n1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n";

fn filled(more: Value) -> (Lab, Objects) {
    let mut lab = Lab::of_t(more);
    lab.csv_ok(TEN);
    let before = lab.objects();
    (lab, before)
}

fn deleted(report: &TableReport) -> (u64, u64) {
    (report.deleted, report.rows)
}

#[test]
fn a_missing_file_fails_its_table_and_no_other() {
    let mut lab = Lab::new(json!([{"name": "t", "pk": "id"}, {"name": "u", "pk": "id"}]));
    lab.run(&[("t.csv", TEN.as_bytes()), ("u.csv", b"id\n1\n")]);
    let before = lab.objects();
    let report = lab.run(&[("tt.csv", TEN.as_bytes()), ("u.csv", b"id\n2\n1\n")]);
    assert_eq!((report.status, report.exit_code()), (RunStatus::Partial, 1));
    let message = failure(&report.tables[0], "TableMissing");
    assert!(message.contains("`t.csv`") && message.contains("did you mean `tt.csv`?"), "{message}");
    assert_eq!(report.tables[1].inserted, 1);
    let after = lab.objects();
    assert!(before.iter().filter(|(key, _)| key.contains("/t")).all(|(key, bytes)| after[key] == *bytes));
}

#[test]
fn an_empty_file_and_one_with_only_a_header_are_refused() {
    for content in ["", "\n\n", "id\n", "id"] {
        let (mut lab, before) = filled(json!({"max_deleted_fraction": 1.0}));
        let message = failure(&lab.csv(content), "EmptyTable");
        assert!(message.contains("t.csv"), "{message}");
        lab.assert_objects(&before);
    }
}

#[test]
fn a_table_that_really_became_empty_can_be_approved() {
    let (mut lab, _) = filled(Value::Null);
    lab.approval = Approval::All;
    assert_eq!(deleted(&lab.csv_ok("id\n")), (10, 0));
    assert!(lab.full_load().is_empty());
    lab.assert_verified();
    lab.approval = Approval::None;
    let report = lab.csv_ok(TEN);
    assert_eq!(report.inserted, 10);
    lab.assert_verified();
}

#[test]
fn more_deletes_than_allowed_fail_and_as_many_pass() {
    let (mut lab, before) = filled(Value::Null);
    let message = failure(&lab.csv("id\n1\n2\n3\n4\n"), "MassDelete");
    assert!(message.contains("6 of 10 rows are gone") && message.contains("approve_deletes"), "{message}");
    assert!(message.contains("max_deleted_fraction"), "{message}");
    lab.assert_objects(&before);
    assert_eq!(deleted(&lab.csv_ok("id\n1\n2\n3\n4\n5\n")), (5, 5));
    lab.assert_verified();
}

#[test]
fn new_rows_do_not_make_up_for_lost_ones() {
    let (mut lab, before) = filled(Value::Null);
    failure(&lab.csv("id\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n"), "MassDelete");
    lab.assert_objects(&before);
}

#[test]
fn the_limit_is_the_tables_own() {
    let (mut lab, _) = filled(json!({"max_deleted_fraction": 0.0}));
    failure(&lab.csv("id\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"), "MassDelete");
    let (mut lab, _) = filled(json!({"max_deleted_fraction": 1.0}));
    assert_eq!(deleted(&lab.csv_ok("id\n11\n")), (10, 1));
    lab.assert_verified();
}

#[test]
fn deletes_are_approved_by_table() {
    let (mut lab, before) = filled(Value::Null);
    lab.approval = Approval::Tables(vec!["t".to_owned()]);
    assert_eq!(deleted(&lab.csv_ok("id\n1\n")), (9, 1));
    lab.replace_objects(before);
    lab.approval = Approval::Tables(Vec::new());
    failure(&lab.csv("id\n1\n"), "MassDelete");
}

/// A lab whose table `t` was read from the file at `path`.
fn read_from(path: &str) -> (Lab, Objects) {
    let mut lab = Lab::of_t(Value::Null);
    let report = lab.run(&[(path, TEN.as_bytes())]);
    assert!(report.tables[0].error.is_none(), "{:?}", report.tables[0].error);
    let before = lab.objects();
    (lab, before)
}

const NINE: &[u8] = b"id\n1\n2\n3\n4\n5\n6\n7\n8\n10\n";

#[test]
fn an_older_copy_is_not_read_in_place_of_a_file_that_moved() {
    for (old, new) in [
        ("t.csv", "archive/t.csv"),
        ("2025/t.csv", "2024/t.csv"),
        ("t.csv", "T.CSV"),
        ("t.csv", "t.csv.gz"),
        ("t.csv", "t.parquet"),
    ] {
        let (mut lab, before) = read_from(old);
        let message = failure(&lab.run(&[(new, NINE)]).tables[0], "FileMoved");
        assert!(message.contains(&format!("`{old}`")) && message.contains(&format!("`{new}`")), "{message}");
        assert!(message.contains("approve_deletes") && message.contains("tables[].file"), "{message}");
        lab.assert_objects(&before);
    }
}

#[test]
fn a_file_that_moved_is_approved_once() {
    let (mut lab, _) = read_from("t.csv");
    lab.approval = Approval::All;
    let report = lab.run(&[("archive/t.csv", NINE)]).tables.remove(0);
    assert_eq!((deleted(&report), report.warnings.len()), ((1, 9), 1), "{report:?}");
    assert!(report.warnings[0].contains("`archive/t.csv` now; before, it was `t.csv`"), "{:?}", report.warnings);
    lab.approval = Approval::None;
    let report = lab.run(&[("archive/t.csv", TEN.as_bytes())]).tables.remove(0);
    assert_eq!((report.inserted, report.warnings.len(), report.error.is_none()), (1, 0, true));
    lab.assert_verified();
}

#[test]
fn a_file_in_a_better_place_is_followed_and_told() {
    for (old, new) in [("archive/t.csv", "t.csv"), ("T.CSV", "t.csv"), ("a/b/T.CSV", "c/t.csv")] {
        let (mut lab, _) = read_from(old);
        let report = lab.run(&[(new, NINE)]).tables.remove(0);
        assert!(report.error.is_none(), "{:?}", report.error);
        assert!(report.warnings[0].contains(&format!("`{new}` now; before, it was `{old}`")), "{:?}", report.warnings);
        failure(&lab.run(&[(old, TEN.as_bytes())]).tables[0], "FileMoved");
    }
}

#[test]
fn where_the_configuration_names_the_file_nothing_is_a_move() {
    let (mut lab, _) = read_from("t.csv");
    lab.reconfigure(json!({"file": "*/t.csv"}));
    let report = lab.run(&[("archive/t.csv", NINE)]).tables.remove(0);
    assert_eq!((deleted(&report), report.warnings.len()), ((1, 9), 0), "{report:?}");
}

#[test]
fn a_move_is_noticed_also_after_versions_that_changed_nothing() {
    let (mut lab, _) = read_from("x/t.csv");
    lab.run(&[("t.csv", TEN.as_bytes())]);
    let message = failure(&lab.run(&[("x/t.csv", NINE)]).tables[0], "FileMoved");
    assert!(message.contains("was read from `t.csv`"), "{message}");
}

#[test]
fn a_file_that_is_really_gone_or_empty_can_be_approved() {
    let cases: [&[(&str, &[u8])]; 4] =
        [&[("u.csv", b"id\n1\n")], &[("t.csv", b"")], &[("t.csv", b"\n\n")], &[("t.csv", b"id\n")]];
    for files in cases {
        let (mut lab, _) = filled(Value::Null);
        let first = lab.now();
        assert!(lab.run(files).tables[0].error.is_some());
        lab.approval = Approval::Tables(vec!["t".to_owned()]);
        let report = lab.run(files).tables.remove(0);
        assert!(report.error.is_none(), "{:?}", report.error);
        assert_eq!(deleted(&report), (10, 0));
        assert_eq!((lab.full_load().len(), lab.columns("full-load/t/t.parquet")), (0, vec!["id:Int64".to_owned()]));
        assert!(lab.changes().iter().all(|row| row.ends_with("|D")) && lab.changes().len() == 10);
        lab.assert_verified();
        lab.approval = Approval::None;
        let message = lab.run(&[("archive/t.csv", TEN.as_bytes())]).tables.remove(0);
        failure(&message, "FileMoved");
        assert_eq!(lab.csv_ok(TEN).inserted, 10);
        lab.assert_verified();
        let folder = tempfile::tempdir().unwrap();
        let output = Output::File(folder.path().join("t.parquet"), Format::Parquet);
        assert_eq!(lab.restore(first, output).unwrap().rows, 10);
    }
}

/// Found here: the alarm rang again with each version, for a table that was approved as gone.
#[test]
fn what_was_approved_as_gone_or_empty_is_no_fault_again() {
    let states: [&[(&str, &[u8])]; 4] =
        [&[("u.csv", b"id\n1\n")], &[("t.csv", b"")], &[("t.csv", b"id\n")], &[("t.csv", b"id,new\n")]];
    for (approved, later) in states.iter().flat_map(|approved| states.iter().map(move |later| (approved, later))) {
        let (mut lab, _) = filled(Value::Null);
        lab.approval = Approval::All;
        assert_eq!(deleted(&lab.run(approved).tables[0]), (10, 0));
        lab.approval = Approval::None;
        let log = lab.log();
        for more in [&b"x\n1\n"[..], b"x\n2\n"] {
            let report = lab.run(&[&later[..], &[("other.csv", more)]].concat()).tables.remove(0);
            assert!(report.error.is_none(), "{:?}", report.error);
            assert_eq!((deleted(&report), lab.log().len()), ((0, 0), log.len()));
        }
        let report = lab.csv_ok(TEN);
        assert_eq!((report.inserted, report.rows), (10, 10));
        lab.assert_verified();
        failure(&lab.run(&[("u.csv", b"id\n1\n")]).tables[0], "TableMissing");
    }
}

#[test]
fn a_table_that_never_was_is_not_approved_away() {
    for (files, code) in [(&[("u.csv", &b"id\n1\n"[..])], "TableMissing"), (&[("t.csv", b"")], "EmptyTable")] {
        let mut lab = Lab::of_t(Value::Null);
        lab.approval = Approval::All;
        failure(&lab.run(files).tables[0], code);
        assert!(lab.objects().is_empty());
    }
}

#[test]
fn a_file_that_ends_within_a_line_was_cut_unless_it_always_did() {
    let (mut lab, before) = filled(json!({"max_deleted_fraction": 1.0}));
    for cut in ["id\n1\n2\n3\n4\n5\n6\n7\n8", "id\n1\n2\n3\n4\n5\n6\n7\n8\n9\n1"] {
        let message = failure(&lab.csv(cut), "FileCut");
        assert!(message.contains("`t.csv` ends within line ") && message.contains("approve_deletes"), "{message}");
        lab.assert_objects(&before);
    }
    assert!(failure(&lab.csv("id\n1\n2\n3\n4\n5\n6\n7\n8"), "FileCut").contains("line 9"));
    let utf16: Vec<u8> = "\u{feff}id\n1\n2".encode_utf16().flat_map(u16::to_le_bytes).collect();
    failure(&lab.csv(utf16), "FileCut");
    lab.approval = Approval::All;
    assert_eq!(deleted(&lab.csv_ok("id\n1\n2\n3\n4\n5\n6\n7\n8")), (2, 8));
    lab.approval = Approval::None;
    assert_eq!(deleted(&lab.csv_ok("id\n1\n2\n3\n4\n5\n6\n7")), (1, 7));
    lab.csv_ok("id\n1\n2\n3\n4\n5\n6\n");
    failure(&lab.csv("id\n1\n2\n3\n4\n5"), "FileCut");
    lab.assert_verified();
}

#[test]
fn a_member_of_a_valid_zip_that_was_cut_before_is_noticed_too() {
    let (mut lab, before) = filled(Value::Null);
    let report = lab.run_zip(&zip(&[("t.csv", b"id\n1\n2\n3\n4\n5\n6\n7\n8")])).unwrap();
    failure(&report.tables[0], "FileCut");
    lab.assert_objects(&before);
}

#[test]
fn rows_that_are_gone_from_the_end_as_one_piece_are_told() {
    let (mut lab, _) = filled(Value::Null);
    let report = lab.csv_ok("id\n1\n2\n3\n4\n5\n6\n7\n");
    assert_eq!(report.warnings.len(), 1, "{:?}", report.warnings);
    assert!(report.warnings[0].contains("the 3 rows that are gone were the last ones"), "{:?}", report.warnings);
    assert_eq!(lab.csv_ok("id\n1\n2\n3\n5\n6\n7\n").warnings, Vec::<String>::new());
    assert_eq!(lab.csv_ok("id\n1\n2\n3\n5\n6\n8\n").warnings, Vec::<String>::new(), "others came in their place");
}
