//! `backfill` against the Kaggle stand-in: each old version once, in order, under its own time, whatever stops it.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use cdc_to_s3::lake::store::{MemoryStore, ObjectStore};
use cdc_to_s3::ops::backfill::Backfill;
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::report::TableStatus;
use cdc_to_s3::request::{Approval, Deadline, Request};
use cdc_to_s3::secrets::{CredentialCache, KaggleCredentials};
use cdc_to_s3::source::Source;
use cdc_to_s3::source::kaggle::{Kaggle, Settings};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::cli::{Desk, Done};
use crate::support::dataset::zipped;
use crate::support::kaggle::{Endpoint, StandIn};
use crate::support::lab::{config, rows_of};
use crate::support::random::Random;

const DATASET: &str = "owner/slug";

/// A table in which every version inserts, updates and deletes.
fn clientes(version: u64) -> String {
    let row =
        |id: u64| format!("{id};{};2026-01-{:02}\n", id * 10 + version, if id.is_multiple_of(3) { version } else { 1 });
    "idCliente;qtdePontos;DtAtualizacao\n".to_owned() + &(version * 2..version * 2 + 30).map(row).collect::<String>()
}

fn produtos(version: u64) -> String {
    format!("idProduto;nome\n1;a\n2;{}\n", version / 2)
}

fn archive(version: u64) -> Vec<u8> {
    zipped(&[("clientes", &clientes(version)), ("produtos", &produtos(version))])
}

/// A dataset with these versions.
async fn dataset(versions: impl IntoIterator<Item = u64>) -> StandIn {
    let kaggle = StandIn::start(DATASET).await.unwrap();
    versions.into_iter().for_each(|version| kaggle.publish(version, archive(version)));
    kaggle
}

fn backfill(desk: &Desk, kaggle: &StandIn, more: &[&str]) -> Done {
    desk.run_with(&[("KAGGLE_API_ENDPOINT", &kaggle.url())], &[&["backfill", "--lake", "lake"], more].concat())
}

/// The result as JSON; standard error has the progress.
fn json_of(done: &Done) -> Value {
    serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{done:?}"))
}

fn downloads(kaggle: &StandIn) -> usize {
    kaggle.requests().iter().filter(|seen| seen.endpoint == Some(Endpoint::DownloadDataset)).count()
}

/// The objects of the logs, with their rows.
fn logs(desk: &Desk) -> BTreeMap<String, Vec<String>> {
    let is_there = |key: &String| key.starts_with("cdc/") && !key.contains("/.");
    let objects = desk.lake().into_iter().filter(|(key, _)| is_there(key));
    objects.map(|(key, bytes)| (key, rows_of(&bytes.into()))).collect()
}

fn stamps(desk: &Desk, table: &str) -> Vec<String> {
    let prefix = format!("cdc/{table}/{table}_20260101_");
    logs(desk)
        .keys()
        .filter_map(|key| Some(key.strip_prefix(&prefix)?.trim_end_matches(".parquet").to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_becomes_an_object_under_its_own_time() {
    let (desk, kaggle) = (Desk::new(), dataset(1..=5).await);
    let done = backfill(&desk, &kaggle, &[]);
    done.expect(0, &["[2/5] version 2 of 2026-01-01T00:00:02Z: clientes +2 ~", "[5/5]", "owner/slug -> "]);
    assert_eq!(stamps(&desk, "clientes"), ["000001", "000002", "000003", "000004", "000005"]);
    // Versions 1, 2 and 4 of `produtos` differ from the ones before.
    assert_eq!(stamps(&desk, "produtos"), ["000001", "000002", "000004"]);
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
    for version in 1..=5 {
        let restore =
            ["restore", "--lake", "lake", "--table", "produtos", "--at", &format!("2026-01-01T00:00:0{version}Z")];
        let mut lines: Vec<String> = desk.run(&restore).stdout.lines().map(str::to_owned).collect();
        lines.sort();
        assert_eq!(lines, ["1;a", &format!("2;{}", version / 2), "idProduto;nome"], "version {version}");
    }
    let history = desk.run(&["history", "--lake", "lake", "--json"]).json();
    let run_at = |change: &Value| change["run_at"].as_str().unwrap().to_owned();
    let changes = history["tables"][1]["changes"].as_array().unwrap();
    let days = ["2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z", "2026-01-01T00:00:04Z"];
    assert_eq!(changes.iter().map(run_at).collect::<Vec<_>>(), days);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_call_reads_only_what_is_new_and_a_run_goes_on_from_there() {
    let (desk, kaggle) = (Desk::new(), dataset(1..=3).await);
    backfill(&desk, &kaggle, &["--to", "2"]).expect(0, &["[2/2]"]);
    assert_eq!(downloads(&kaggle), 2);
    backfill(&desk, &kaggle, &["--to", "2"]).expect(0, &["nothing is left to be read"]);
    assert_eq!(downloads(&kaggle), 2);
    kaggle.publish(4, archive(4));
    backfill(&desk, &kaggle, &[]).expect(0, &["[1/2] version 3", "[2/2] version 4"]);
    assert_eq!((downloads(&kaggle), stamps(&desk, "clientes").len()), (4, 4));
    kaggle.publish(5, archive(5));
    let run = ["run", "--once", "--json", "--lake", "lake"];
    let report = desk.run_with(&[("KAGGLE_API_ENDPOINT", &kaggle.url())], &run).json();
    assert_eq!((&report["tables"][0]["inserted"], &report["tables"][0]["deleted"]), (&json!(2), &json!(2)));
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_backfill_goes_on_where_it_stopped_and_repeats_nothing() {
    let (undisturbed, kaggle) = (Desk::new(), dataset(1..=8).await);
    backfill(&undisturbed, &kaggle, &[]).expect(0, &["[8/8]"]);
    let expected = logs(&undisturbed);
    let (mut random, mut killed) = (Random::new(11), 0);
    for _ in 0..4 {
        let desk = Desk::new();
        for tries in 0.. {
            let mut command = desk.command(&["backfill", "--lake", "lake"]);
            command.env("KAGGLE_API_ENDPOINT", kaggle.url()).env("TMPDIR", desk.path(""));
            let mut process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            tokio::time::sleep(Duration::from_millis(random.below(150) as u64 + 20 * tries)).await;
            process.kill().unwrap();
            if process.wait().unwrap().success() {
                break;
            }
            killed += 1;
        }
        // No tombstone either: who goes on has the identity of who was killed.
        assert_eq!(logs(&desk), expected);
        desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
    }
    assert!(killed >= 8, "only {killed} processes were killed before their end");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_put_before_what_a_log_holds() {
    let (desk, kaggle) = (Desk::new(), dataset(1..=4).await);
    let environment = [("KAGGLE_API_ENDPOINT", &*kaggle.url())];
    desk.run_with(&environment, &["run", "--once", "--json", "--lake", "lake", "--table", "clientes"]).json();
    let before = desk.lake();
    let done = backfill(&desk, &kaggle, &[]);
    done.expect(
        2,
        &["LogBegun", "the log of `clientes` begins with version 4: version 1", "another prefix", "--from 5"],
    );
    assert!(!done.stderr.contains("produtos"), "{}", done.stderr);
    assert!(desk.lake() == before, "a refused backfill wrote something");
    backfill(&desk, &kaggle, &["--table", "produtos"]).expect(0, &["[4/4] version 4"]);
    backfill(&desk, &kaggle, &["--from", "4"]).expect(0, &["nothing is left to be read"]);
    backfill(&desk, &kaggle, &["--from", "9"]).expect(2, &["NoVersions", "there are versions from 1 to 4"]);
    backfill(&desk, &kaggle, &["--from", "3", "--to", "2"]).expect(2, &["NoVersions", "hint: "]);
    let elsewhere = ["backfill", "--lake", "elsewhere", "--table", "clientes"];
    desk.run_with(&environment, &elsewhere).expect(0, &["[4/4] version 4"]);
    desk.write("data/actual/clientes.csv", &clientes(1));
    desk.run(&["run", "--once", "--json", "--lake", "files", "--skip-download", "--table", "clientes"]).json();
    let files = ["backfill", "--lake", "files", "--table", "clientes"];
    desk.run_with(&environment, &files).expect(2, &["LogBegun", "local files", "hint: "]);
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_that_are_gone_not_ready_or_without_the_table_are_passed_over() {
    let (desk, kaggle) = (Desk::new(), dataset(1..=6).await);
    kaggle.publish(1, zipped(&[("clientes", &clientes(1))]));
    kaggle.hide_versions();
    kaggle.announce(6);
    kaggle.remove(2);
    let done = backfill(&desk, &kaggle, &["--to", "3", "--json"]);
    assert_eq!(done.code, 0, "{done:?}");
    let found = json_of(&done);
    assert_eq!(found["versions"][0]["absent"], json!(["produtos"]));
    assert_eq!((&found["versions"][1]["outcome"], &found["versions"][1]["version"]), (&json!("gone"), &json!(2)));
    let (clientes, produtos) =
        (logs(&desk).len() - 1, logs(&desk).keys().filter(|key| key.contains("produtos")).count());
    assert_eq!((clientes, produtos), (2, 1));
    // The second call knows that the versions before the log of `produtos` were looked at.
    kaggle.show_versions();
    kaggle.set_status(4, "FAILED");
    kaggle.set_status(5, "DatasetStatus.DELETED");
    let asked = downloads(&kaggle);
    backfill(&desk, &kaggle, &[]).expect(0, &["[1/1] version 6 "]);
    assert_eq!(downloads(&kaggle) - asked, 1);
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_stops_at_a_version_that_fails_and_the_others_go_on() {
    let (desk, kaggle) = (Desk::new(), dataset(1..=4).await);
    kaggle.stage(2, zipped(&[("clientes", "idCliente;qtdePontos;DtAtualizacao\n1;2\n"), ("produtos", &produtos(2))]));
    let done = backfill(&desk, &kaggle, &[]);
    done.expect(1, &["[2/4] version 2", "clientes FAILED (RaggedRow)", "no later version was read", "`--from 3`"]);
    assert_eq!((stamps(&desk, "clientes").len(), stamps(&desk, "produtos").len()), (1, 3));
    backfill(&desk, &kaggle, &[]).expect(1, &["[1/3] version 2", "RaggedRow"]);
    backfill(&desk, &kaggle, &["--from", "3"]).expect(0, &["[2/2] version 4"]);
    assert_eq!(stamps(&desk, "clientes"), ["000001", "000003", "000004"]);
    desk.run(&["verify", "--lake", "lake"]).expect(0, &["every change is there exactly once"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_versions_and_reads_none() {
    let (desk, kaggle) = (Desk::new(), dataset(2..=4).await);
    let plan = ["--dry-run", "--from", "3", "--table", "produtos"];
    backfill(&desk, &kaggle, &plan).expect(0, &["DRY RUN", "3        2026-01-01T00:00:03Z  produtos"]);
    let found = json_of(&backfill(&desk, &kaggle, &["--dry-run", "--json"]));
    let versions: Vec<_> = found["planned"].as_array().unwrap().iter().map(|step| step["version"].clone()).collect();
    assert_eq!(versions, [2, 3, 4]);
    assert_eq!((downloads(&kaggle), desk.lake().len()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_faster_ends_the_backfill_of_its_table() {
    let (kaggle, folder) = (dataset(1..=4).await, tempfile::tempdir().unwrap());
    let credentials = Arc::new(CredentialCache::fixed(KaggleCredentials::Anonymous));
    let client = Arc::new(Kaggle::new(&kaggle.url(), credentials, Settings::default()).unwrap());
    let tables = json!([{"name": "produtos", "pk": "idProduto", "sep": ";"}]);
    let (config, store, now) = (config(&tables, &Value::Null).unwrap(), MemoryStore::new(), "2026-11-20T09:00:00Z");
    let now: DateTime<Utc> = now.parse().unwrap();
    let source = Source::Kaggle {
        client,
        dataset: DATASET.parse().unwrap(),
        limits: config.limits,
        version: None,
        not_ready_after: None,
    };
    let wanted: Vec<_> = config.tables.iter().collect();
    let mut backfill = Backfill::plan(&source, &store, &config.tables, &wanted, 1..=u64::MAX, now).await.unwrap();
    let first = backfill.next(now, &Approval::None, folder.path(), &Unwatched).await.unwrap().unwrap();
    assert_eq!((first.version, first.tables[0].status), (1, TableStatus::Changed));
    let request = Request::new(now, "event:now", now, Deadline::NONE);
    pipeline::run(&request, &config.tables, &source, &store, folder.path(), &Unwatched).await.unwrap();
    let second = backfill.next(now, &Approval::None, folder.path(), &Unwatched).await.unwrap().unwrap();
    assert_eq!((second.version, second.tables[0].status), (2, TableStatus::Busy));
    assert!(second.tables[0].warnings[0].contains("newer version"), "{second:?}");
    assert!(backfill.next(now, &Approval::None, folder.path(), &Unwatched).await.unwrap().is_none());
    assert_eq!(store.list("cdc/", None).await.unwrap().len(), 2);
}
