use std::collections::BTreeSet;

use super::*;
use crate::report::{RunStatus, SourceReport};

const UNITS: [&str; 4] = ["Seconds", "Bytes", "Count", "None"];

fn at() -> DateTime<Utc> {
    DateTime::from_timestamp_millis(1_800_000_000_123).unwrap()
}

fn feed() -> Feed<'static> {
    Feed { source: SourceName::Dataset("owner/slug"), lake: "s3://lake/upcell", function: Some("cdc") }
}

fn report(tables: Vec<TableReport>) -> Report {
    Report {
        run_at: RunTime::new(at()),
        source: SourceReport { kind: "kaggle".into(), name: "owner/slug".to_owned(), position: None },
        status: RunStatus::Changed,
        dry_run: false,
        capture_age_seconds: None,
        tables,
        elapsed_ms: 1500,
        peak_rss_bytes: 1 << 20,
    }
}

fn done(name: &str) -> TableReport {
    let counted = TableReport::new(name, TableStatus::Changed);
    TableReport { rows: 10, inserted: 3, updated: 2, deleted: 1, bytes_written: 500, elapsed_ms: 250, ..counted }
}

fn stopped(name: &str, code: &'static str) -> TableReport {
    let committed_before = Some(RunTime::new(at() - chrono::TimeDelta::hours(2)));
    TableReport { committed_before, ..TableReport::failed(name, Error::data(code, "a fault")) }
}

fn parsed(outcome: Result<&Report, &Error>) -> Vec<Value> {
    let lines = feed().lines(outcome, Duration::from_millis(1500), at());
    lines.iter().map(|line| checked(line)).collect()
}

/// The line, which must be what the specification's JSON schema and CloudWatch's limits ask for.
fn checked(line: &str) -> Value {
    assert_eq!((line.matches('\n').count(), line.ends_with('\n')), (1, true), "{line}");
    let line: Value = serde_json::from_str(line).unwrap();
    let about = line["_aws"].as_object().unwrap();
    assert!(about["Timestamp"].is_i64(), "{line}");
    let directives = about["CloudWatchMetrics"].as_array().unwrap();
    let mut named = BTreeSet::from(["_aws".to_owned()]);
    for directive in directives {
        named.extend(check_directive(&line, directive));
    }
    let fields: BTreeSet<String> = line.as_object().unwrap().keys().cloned().collect();
    assert_eq!(fields, named, "a field that no directive names, or the other way round");
    line
}

/// The dimensions and metrics that a directive names.
fn check_directive(line: &Value, directive: &Value) -> Vec<String> {
    let text = |value: &Value, longest: usize| {
        let text = value.as_str().unwrap().to_owned();
        assert!((1..=longest).contains(&text.len()) && text.is_ascii(), "{text:?}");
        text
    };
    text(&directive["Namespace"], 1024);
    let mut named = Vec::new();
    let sets = directive["Dimensions"].as_array().unwrap();
    assert!(!sets.is_empty());
    for set in sets {
        let set = set.as_array().unwrap();
        assert!((1..=30).contains(&set.len()));
        named.extend(set.iter().map(|name| text(name, 250)));
    }
    for name in &named {
        text(&line[name], 1024);
    }
    let metrics = directive["Metrics"].as_array().unwrap();
    assert!((1..=100).contains(&metrics.len()));
    for metric in metrics {
        let name = text(&metric["Name"], 1024);
        assert!(UNITS.contains(&metric["Unit"].as_str().unwrap()), "{metric}");
        assert!(line[&name].is_number(), "{name} has no number");
        named.push(name);
    }
    named
}

/// The names of the metrics of a directive.
fn names(line: &Value, directive: usize) -> Vec<&str> {
    let metrics = line["_aws"]["CloudWatchMetrics"][directive]["Metrics"].as_array().unwrap();
    metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect()
}

#[test]
fn each_table_and_the_run_have_one_line_with_all_metrics() {
    let report = report(vec![done("clientes"), done("produtos")]);
    let lines = parsed(Ok(&report));
    let [clientes, produtos, run] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&clientes["Table"], &produtos["Table"]), (&json!("clientes"), &json!("produtos")));
    let of_a_table = [
        "Rows",
        "Inserted",
        "Updated",
        "Deleted",
        "SilentChanges",
        "Bytes",
        "Seconds",
        "SecondsSinceLastSuccess",
        "Failed",
        "GuardTripped",
    ];
    assert_eq!(names(clientes, 0), of_a_table);
    assert_eq!(clientes["_aws"]["CloudWatchMetrics"][0]["Dimensions"], json!([["Dataset", "Table"]]));
    assert_eq!((&clientes["Seconds"], &clientes["SecondsSinceLastSuccess"]), (&json!(0.25), &json!(0)));
    let of_the_run = [
        "Rows",
        "Inserted",
        "Updated",
        "Deleted",
        "SilentChanges",
        "Bytes",
        "Seconds",
        "PeakMemory",
        "Failed",
        "GuardTripped",
    ];
    assert_eq!(names(run, 0), of_the_run);
    assert_eq!((&run["Rows"], &run["Inserted"], &run["Bytes"]), (&json!(20), &json!(6), &json!(1000)));
    assert_eq!((&run["Seconds"], &run["PeakMemory"], &run["Failed"]), (&json!(1.5), &json!(1 << 20), &json!(0)));
    assert_eq!(run["_aws"]["Timestamp"], 1_800_000_000_123_i64);
}

#[test]
fn a_run_in_steps_has_the_lines_of_a_run_in_one_invocation() {
    let told = [done("a"), stopped("b", "MassDelete")];
    let unfinished = || TableReport::failed("c", Error::transient("TableUnfinished", "no result"));
    let steps = told.into_iter().flat_map(|table| feed().step_lines("t", Ok(&report(vec![table])), at()));
    let end = report(vec![done("a"), stopped("b", "MassDelete"), unfinished()]);
    let steps: Vec<Value> = steps.chain(feed().end_lines(&end, at())).map(|line| checked(&line)).collect();
    assert_eq!(steps, parsed(Ok(&end)));

    let refused = Error::config("SecretDenied", "may not be read");
    let lines = feed().step_lines("t", Err(&refused), at());
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&checked(line)["Table"], &checked(line)[FAILED]), (&json!("t"), &json!(1)));
    let dry = Report { dry_run: true, ..end };
    assert!(feed().step_lines("t", Ok(&dry), at()).is_empty() && feed().end_lines(&dry, at()).is_empty());
}

#[test]
fn alarms_find_the_run_by_its_lake_and_by_its_function() {
    let report = report(vec![done("t")]);
    let run = &parsed(Ok(&report))[1];
    let by = |directive: usize| run["_aws"]["CloudWatchMetrics"][directive]["Dimensions"].clone();
    assert_eq!((by(0), by(1), by(2)), (json!([["Dataset"]]), json!([["Lake"]]), json!([["Function"]])));
    assert_eq!((names(run, 1), names(run, 2)), (vec![FAILED], vec![GUARD_TRIPPED]));
    assert_eq!((&run["Lake"], &run["Function"]), (&json!("s3://lake/upcell"), &json!("cdc")));
}

#[test]
fn a_table_that_failed_has_no_rows_and_the_age_of_its_newest_commit() {
    let report = report(vec![stopped("t", "MassDelete"), stopped("u", "DuplicateKeys"), done("v")]);
    let lines = parsed(Ok(&report));
    let [guarded, failed, _, run] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!((&guarded["Failed"], &guarded["GuardTripped"]), (&json!(1), &json!(1)));
    assert_eq!((&failed["Failed"], &failed["GuardTripped"]), (&json!(1), &json!(0)));
    assert_eq!((guarded.get("Rows"), &guarded["SecondsSinceLastSuccess"]), (None, &json!(7200)));
    assert_eq!((&run["Failed"], &run["GuardTripped"]), (&json!(1), &json!(1)));
}

#[test]
fn a_run_without_a_report_has_failed_and_a_dry_run_has_not_happened() {
    let error = Error::transient("KaggleUnavailable", "nobody there");
    let lines = parsed(Err(&error));
    let [run] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(names(run, 0), ["Seconds", "PeakMemory", "Failed", "GuardTripped"]);
    assert_eq!((&run["Dataset"], &run["Failed"]), (&json!("owner/slug"), &json!(1)));
    assert!(parsed(Ok(&Report { dry_run: true, ..report(vec![done("t")]) })).is_empty());
}

#[test]
fn a_name_that_cloudwatch_would_refuse_is_written_another_way() {
    let long = "x".repeat(2000);
    let report = report(vec![done("preços\n"), done(" "), done(&long)]);
    let lines = parsed(Ok(&report));
    assert_eq!((&lines[0]["Table"], &lines[1]["Table"]), (&json!("pre%C3%A7os%0A"), &json!("unknown")));
    assert_eq!(lines[2]["Table"].as_str().unwrap().len(), LONGEST_VALUE);
}

#[test]
fn what_was_measured_of_a_database_has_only_what_is_known() {
    let measured = Measured { database: "Shop", capture_age_seconds: Some(7), at: at() };
    let unread = TableReport::new("dbo.t", TableStatus::Unchanged);
    let table = TableReport { headroom_hours: Some(71.5), ..TableReport::new("dbo.t", TableStatus::Unchanged) };
    let line = checked(&measured.line(&table).unwrap());
    assert_eq!(names(&line, 0), [RETENTION_HEADROOM_HOURS, CAPTURE_AGE_SECONDS]);
    assert_eq!((&line["RetentionHeadroomHours"], &line["CaptureAgeSeconds"]), (&json!(71.5), &json!(7)));
    assert_eq!((&line["Database"], &line["Table"]), (&json!("Shop"), &json!("dbo.t")));
    assert_eq!(names(&checked(&measured.line(&unread).unwrap()), 0), [CAPTURE_AGE_SECONDS]);
    assert_eq!(Measured { capture_age_seconds: None, ..measured }.line(&unread), None);
}
