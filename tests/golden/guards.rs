//! A source that is missing, empty or shrunk never becomes a wave of deletes.

use cdc_to_s3::report::{RunStatus, TableReport};
use cdc_to_s3::trigger::Approval;
use serde_json::{Value, json};

use crate::support::lab::{Lab, Objects, failure};

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
