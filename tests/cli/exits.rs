//! Exit codes: 0 done, 1 a table failed or differs, 2 usage or configuration, 3 worth trying again.

use super::{CLIENTES, Desk, config, expect_golden};
use crate::support::kaggle::{Accepted, Endpoint, Fault, StandIn};

const RUN: [&str; 5] = ["run", "--once", "--lake", "lake", "--skip-download"];

#[test]
fn nothing_to_do_is_as_good_as_something_done() {
    let desk = Desk::new();
    desk.run(&RUN).expect(0, &["changed"]);
    desk.run(&RUN).expect(0, &["unchanged"]);
}

#[test]
fn a_table_that_fails_exits_with_1_and_the_others_are_done() {
    let desk = Desk::new();
    desk.write("data/actual/produtos.csv", "idProduto;nome\n7;Caneca\n7;Caneca\n");
    let done = desk.run(&RUN);
    done.expect(1, &["FAILED", "x produtos: ", "lines 2 and 3", "DuplicateKeys", "hint: repair the source"]);
    assert!(desk.lake().contains_key("full-load/clientes/clientes.parquet"));
    assert!(!done.stdout.contains("Caneca"), "a cell is in {}", done.stdout);
    assert_eq!(done.stderr, "", "what the summary says is said twice");
}

#[test]
fn wrong_usage_exits_with_2() {
    let desk = Desk::new();
    desk.run(&[]).expect(2, &["Usage: cdc-to-s3"]);
    desk.run(&["rum"]).expect(2, &["'run'"]);
    desk.run(&["run", "--onse"]).expect(2, &["'--once'"]);
    desk.run(&["run", "--run-at", "yesterday"]).expect(2, &["2026-11-20T09:00:00Z"]);
    desk.run(&["run", "--run-at", "2226-11-20T09:00:00Z"]).expect(2, &["InvalidEvent", "ahead of", "--allow-future"]);
    desk.run(&["run", "--run-at", "1970-01-01T00:00:00Z"]).expect(2, &["InvalidEvent", "before 2000"]);
}

#[test]
fn all_faults_of_a_configuration_come_in_one_answer() {
    let desk = Desk::new();
    let mut wrong = config();
    wrong["timer"]["unit"] = "fortnights".into();
    wrong["tables"][0].as_object_mut().unwrap().remove("date_field");
    wrong["tables"][0]["date_filed"] = "DtAtualizacao".into();
    wrong["tables"][1]["pk"] = "".into();
    wrong["tables"][1]["name"] = "clientes".into();
    desk.write("config.json", &wrong.to_string());
    let done = desk.run(&RUN);
    done.expect(2, &["error[InvalidConfig]: config.json has 4 faults:", "`timer.unit`", "`tables[1].pk` is empty"]);
    done.expect(2, &["`tables[0].date_filed` is an unknown key; did you mean `date_field`?", "hint: "]);
    assert_eq!(done.stdout, "");
    assert!(desk.lake().is_empty());
}

#[test]
fn what_a_person_has_to_change_exits_with_2() {
    let desk = Desk::new();
    desk.run(&["run", "--config", "other.json"]).expect(2, &["no configuration at other.json", "hint: name it"]);
    desk.run(&["run", "--config", "{oops"]).expect(2, &["is not JSON", "line 1"]);
    desk.run(&["run", "--lake", "ftp://nowhere"]).expect(2, &["lake"]);
    desk.run(&[&RUN[..], &["no/such/folder"]].concat()).expect(2, &["no/such/folder", "folder or a zip"]);
    desk.run(&[&RUN[..], &["--table", "client"]].concat()).expect(2, &["did you mean `clientes`?"]);
    desk.write(".env", "KAGGLE_KEY=not quoted\n");
    let done = desk.run(&RUN);
    done.expect(2, &[".env line 1"]);
    assert!(!done.stderr.contains("not quoted"), "{}", done.stderr);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_exit_with_2_and_are_not_shown() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    kaggle.set_credentials(Accepted::Legacy("ana".to_owned(), "the right one".to_owned()));
    let environment = [
        ("KAGGLE_API_ENDPOINT", kaggle.url()),
        ("KAGGLE_USERNAME", "ana".into()),
        ("KAGGLE_KEY", "the-old-key".into()),
    ];
    let done = desk.run_with(&environment.each_ref().map(|(name, value)| (*name, value.as_str())), &RUN[..4]);
    done.expect(2, &["error[KaggleUnauthorized]", "KAGGLE_SECRET_ID"]);
    assert!(!done.stderr.contains("the-old-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_passes_by_itself_exits_with_3() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    let environment = [("KAGGLE_API_ENDPOINT", &*kaggle.url())];
    kaggle.announce(1);
    desk.run_with(&environment, &RUN[..4]).expect(3, &["not ready", "version 1 of owner/slug exists"]);
    let later = Fault { status: Some(429), retry_after: Some("4000".to_owned()), ..Fault::default() };
    kaggle.fault(Endpoint::GetDataset, later);
    desk.run_with(&environment, &RUN[..4]).expect(3, &["error[KaggleThrottled]", "hint: "]);
}

#[test]
fn help_and_version_are_no_errors() {
    let desk = Desk::new();
    for (name, arguments) in [
        ("help.txt", &["--help"][..]),
        ("help-run.txt", &["run", "--help"]),
        ("help-verify.txt", &["verify", "--help"]),
        ("help-doctor.txt", &["doctor", "--help"]),
    ] {
        let done = desk.run(arguments);
        assert_eq!((done.code, done.stderr.as_str()), (0, ""));
        expect_golden(name, &done.stdout);
    }
    desk.run(&["--version"]).expect(0, &[concat!("cdc-to-s3 ", env!("CARGO_PKG_VERSION"))]);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let desk = Desk::new();
    desk.write("data/actual/clientes.csv", CLIENTES);
    let mut run = desk.command(&RUN).stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(run.stdout.take());
    assert_eq!(run.wait().unwrap().code(), Some(0));
}
