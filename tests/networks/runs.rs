//! Whole runs: version 1 is in the lake, version 2 comes over a bad wire, and the next run has a good one.

use std::path::Path;
use std::time::Duration;

use cdc_to_s3::lake::footer::FileKind;
use cdc_to_s3::lake::store::{S3Store, S3Timing};
use cdc_to_s3::report::{TableReport, TableStatus};
use cdc_to_s3::request::{Deadline, Request};
use cdc_to_s3::source::Source;
use cdc_to_s3::table::TableSpec;
use cdc_to_s3::{Error, Kind};
use futures_util::future::join_all;
use tempfile::TempDir;

use super::{Bucket, SLOW_DOWN, timed, timing};
use crate::support::lake::{self, Row};
use crate::support::wire::{Fault, Way};

/// The times at which the three runs are asked for, in minutes.
const FIRST: i64 = 0;
const SECOND: i64 = 60;
const LATER: i64 = 600;

/// The time of the run over the bad wire: 5 s of it are what the product wants for storing.
const TIME: Duration = Duration::from_secs(8);
/// A margin for a busy machine.
const SLACK: Duration = Duration::from_secs(2);

/// A lake with one table, and the wire to it.
struct Attack {
    bucket: Bucket,
    spec: TableSpec,
    folder: TempDir,
}

impl Attack {
    async fn new() -> Self {
        let attack = Self { bucket: Bucket::new().await, spec: lake::spec("t"), folder: tempfile::tempdir().unwrap() };
        for (version, rows) in [("v1", first()), ("v2", second())] {
            lake::write_csv(&attack.folder.path().join(version), "t", &["id", "name"].map(str::to_owned), &rows);
        }
        let done = attack.run(&attack.bucket.direct(), "v1", &lake::request(FIRST)).await;
        assert_eq!((done.inserted, done.error.is_none()), (3, true), "{done:?}");
        attack
    }

    fn source(&self, version: &str) -> Source {
        lake::local(&self.folder.path().join(version))
    }

    async fn run(&self, store: &S3Store, version: &str, request: &Request) -> TableReport {
        let report = lake::run(store, &self.spec, &self.source(version), request, self.temporary()).await;
        report.unwrap().tables.remove(0)
    }

    fn temporary(&self) -> &Path {
        self.folder.path()
    }

    /// Version 2 over the bad wire, which must end by itself and in time.
    async fn bad_run(&self, timing: S3Timing, time: Duration) -> TableReport {
        let request = Request { deadline: Deadline::within(time), ..lake::request(SECOND) };
        let (report, took) = timed(self.run(&self.bucket.lake(timing), "v2", &request)).await;
        assert!(took < time + SLACK, "{took:?}");
        assert!(self.bucket.wire.harmed() > 0, "nothing was harmed: {report:?}");
        report
    }

    /// The same event again, over the mended wire: version 2 is complete.
    async fn good_run(&self) {
        self.bucket.wire.mend();
        let store = self.bucket.lake(S3Timing::default());
        let report = self.run(&store, "v2", &lake::request(SECOND)).await;
        assert!(report.error.is_none(), "{report:?}");
        assert!(matches!(report.status, TableStatus::Changed | TableStatus::Unchanged), "{report:?}");
        self.assert_complete().await;
    }

    /// Each change is in the log exactly once, and the full load is what the log gives.
    async fn assert_complete(&self) {
        let store = self.bucket.direct();
        lake::assert_verified(&store, &self.spec, self.temporary()).await;
        let log = lake::log(&store, &self.spec.name).await;
        assert_eq!(log.iter().filter(|object| object.footer.kind == FileKind::Cdc).count(), 2);
        let mut rows: Vec<Row> = lake::replay(&log, &self.spec).into_values().collect();
        rows.sort();
        assert_eq!(rows, second());
        let state = lake::state(&store, &self.spec.name).await.state;
        assert!(state.pending.is_none() && state.head.is_some(), "{state:?}");
    }
}

fn rows(cells: &[(&str, &str)]) -> Vec<Row> {
    let row = |(id, name): &(&str, &str)| Row::from([("id", *id), ("name", *name)].map(|(c, v)| (c.into(), v.into())));
    cells.iter().map(row).collect()
}

fn first() -> Vec<Row> {
    rows(&[("1", "ana"), ("2", "bia"), ("3", "caio")])
}

/// One row inserted, one updated, one deleted.
fn second() -> Vec<Row> {
    rows(&[("1", "ana"), ("2", "bea"), ("4", "davi")])
}

fn transient(report: &TableReport) -> &Error {
    let error = report.error.as_ref().unwrap_or_else(|| panic!("no error: {report:?}"));
    assert_eq!(error.kind(), Kind::Transient, "{error:?}");
    error
}

/// The four writes of a run, in order: what is in their target, and how many such writes come before.
const WRITES: [(&str, usize); 4] = [("/_state/", 0), ("/cdc/", 0), ("/full-load/", 0), ("/_state/", 1)];

/// Does the same to each of the four writes, always.
async fn attack_writes(fault: Fault, timing: S3Timing) -> Vec<(Attack, TableReport)> {
    let attacks = WRITES.map(|(part, before)| {
        let fault = fault.clone();
        async move {
            let attack = Attack::new().await;
            attack.bucket.wire.harm("PUT", part, vec![Fault::None; before]);
            attack.bucket.wire.harm_always("PUT", part, fault);
            let report = attack.bad_run(timing, TIME).await;
            (attack, report)
        }
    });
    join_all(attacks).await
}

/// Fails unless all the runs ended with a passing fault and are completed by the next one.
async fn assert_passing(attacks: Vec<(Attack, TableReport)>) {
    for (_, report) in &attacks {
        transient(report);
    }
    join_all(attacks.iter().map(|(attack, _)| attack.good_run())).await;
}

#[tokio::test]
async fn a_write_that_never_gets_through_ends_the_run_and_the_next_one_completes_it() {
    for fault in [Fault::Reset(Way::Up, 100), SLOW_DOWN] {
        assert_passing(attack_writes(fault, timing()).await).await;
    }
}

#[tokio::test]
async fn a_write_that_stalls_ends_the_run_and_the_next_one_completes_it() {
    let timing = S3Timing { attempts: 2, attempt_timeout: Duration::from_millis(600), ..timing() };
    assert_passing(attack_writes(Fault::Stall(Way::Up, 100), timing).await).await;
}

#[tokio::test]
async fn a_write_whose_answer_is_always_lost_is_settled_by_reading_back() {
    let quick = S3Timing { attempts: 2, attempt_timeout: Duration::from_millis(600), ..timing() };
    for fault in [Fault::Reset(Way::Down, 0), Fault::Stall(Way::Down, 0)] {
        for (attack, report) in attack_writes(fault, quick).await {
            assert!(report.error.is_none(), "{report:?}");
            attack.assert_complete().await;
        }
    }
}

#[tokio::test]
async fn a_read_that_never_gets_through_ends_the_run_and_the_next_one_does_it_all() {
    for fault in [Fault::Reset(Way::Down, 300), SLOW_DOWN] {
        let attacks = ["/_state/", "/full-load/", "list-type"].map(|part| {
            let fault = fault.clone();
            async move {
                let attack = Attack::new().await;
                attack.bucket.wire.harm_always("GET", part, fault);
                transient(&attack.bad_run(timing(), TIME).await);
                attack.good_run().await;
            }
        });
        join_all(attacks).await;
    }
}

#[tokio::test]
async fn a_run_over_a_wire_that_is_bad_all_over_is_done_in_one_go() {
    let attack = Attack::new().await;
    let wire = &attack.bucket.wire;
    wire.refuse(1);
    wire.harm("GET", "/_state/", [SLOW_DOWN, Fault::Stall(Way::Down, 300)]);
    wire.harm("GET", "/full-load/", [Fault::Reset(Way::Down, 500), SLOW_DOWN, Fault::Reset(Way::Down, 900)]);
    wire.harm("GET", "list-type", [Fault::Reset(Way::Down, 10)]);
    wire.harm("PUT", "/_state/", [Fault::Reset(Way::Up, 50), Fault::Reset(Way::Down, 0), SLOW_DOWN]);
    wire.harm("PUT", "/cdc/", [SLOW_DOWN, Fault::Reset(Way::Up, 700), Fault::Reset(Way::Down, 0)]);
    wire.harm("PUT", "/full-load/", [Fault::Reset(Way::Up, 700), Fault::Reset(Way::Down, 0)]);
    let patient = S3Timing { attempts: S3Timing::default().attempts, ..timing() };
    let report = attack.bad_run(patient, 4 * TIME).await;
    assert_eq!((report.inserted, report.updated, report.deleted), (1, 1, 1), "{report:?}");
    assert!(report.error.is_none() && wire.harmed() >= 13, "{} {report:?}", wire.harmed());
    attack.assert_complete().await;
}

#[tokio::test]
async fn writes_that_arrive_long_after_their_run_was_taken_over_change_nothing() {
    let timing = S3Timing { attempts: 2, attempt_timeout: Duration::from_millis(600), ..timing() };
    let attacks = WRITES.map(|(part, before)| async move {
        let attack = Attack::new().await;
        attack.bucket.wire.harm("PUT", part, vec![Fault::None; before]);
        attack.bucket.wire.harm_always("PUT", part, Fault::Late);
        transient(&attack.bad_run(timing, TIME).await);
        attack.bucket.wire.mend();
        let report = attack.run(&attack.bucket.direct(), "v2", &lake::request(LATER)).await;
        assert!(report.error.is_none(), "{part}: {report:?}");
        attack.assert_complete().await;

        let late = attack.bucket.wire.release().await;
        assert!(!late.is_empty() && late.iter().all(|answer| answer.contains(" 412")), "{part}: {late:?}");
        attack.assert_complete().await;
    });
    join_all(attacks).await;
}
