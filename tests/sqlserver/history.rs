//! The history of captured changes: counted from the footers, with nothing said of rows that no object holds.

use cdc_to_s3::ops::history::{self, Period, Span, tallies};

use super::{Job, place, put};
use crate::support::cdc::Statement;

#[tokio::test]
async fn captured_changes_have_a_history_too() {
    let job = Job::new();
    job.change([put(1, &[]), put(2, &[])]);
    job.run_ok(0).await;
    for minute in 1..4 {
        job.change([put(minute, &[("a", "x")]), put(10 + minute, &[]), Statement::Delete(10 + minute)]);
        job.run_ok(minute).await;
    }
    let found = history::read(&*job.store, &[place()], Span::ALL).await.unwrap();
    let table = &found.tables[0];
    assert!(table.error.is_none() && table.full_load.is_none() && table.name == "dbo.t", "{table:?}");
    assert!(table.changes.iter().all(|change| change.rows.is_none() && !change.first_load), "{table:?}");
    let verified = job.verify().await.tables.remove(0);
    assert_eq!((table.changes.len() as u64, table.total.events()), (verified.changes, verified.events));
    assert!(table.changes.iter().all(|change| change.elapsed_ms.is_some()), "{table:?}");
    let days: u64 = tallies(&table.changes, Period::Day).iter().map(|tally| tally.counts.events()).sum();
    assert_eq!(days, verified.events);
}
