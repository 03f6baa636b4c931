//! The first load: rows in the order of the key, of one instant, from any place on.

use std::sync::Arc;

use cdc_to_s3::source::sqlserver::Server as _;

use super::shop::{Scene, instance, now, row, rows, shop};
use crate::support::tds::SqlType;

fn expected(ids: impl Iterator<Item = i64>) -> Vec<String> {
    ids.map(|id| format!("{id} {} now", id * 10_000 + 5)).collect()
}

#[tokio::test]
async fn a_table_is_read_in_the_order_of_its_key_and_in_parts() {
    let scene = Scene::with(shop()).await;
    let client = scene.client(8);
    let (all, read) = rows(&client, None, usize::MAX).await.unwrap();
    assert_eq!(all, expected(0..20));
    assert!(read.complete && read.one_instant && read.until == now(), "{read:?}");
    let (first, read) = rows(&client, None, 1).await.unwrap();
    assert_eq!((first, read.complete), (expected(0..8), false));
    let (rest, read) = rows(&client, read.last.as_ref(), usize::MAX).await.unwrap();
    assert_eq!((rest, read.complete), (expected(8..20), true));
    let (none, read) = rows(&client, read.last.as_ref(), usize::MAX).await.unwrap();
    assert_eq!((none.len(), read.complete), (0, true));
}

#[tokio::test]
async fn without_snapshots_the_rows_are_not_of_one_instant() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| contents.snapshot_isolation = false);
    let (all, read) = rows(&scene.client(8), None, usize::MAX).await.unwrap();
    assert_eq!((all.len(), read.complete, read.one_instant), (20, true, false));
    let sessions = scene.line.seen().into_iter().map(|seen| seen.session);
    assert!(sessions.into_iter().all(|session| session.isolation == "READ COMMITTED" && !session.in_transaction));
}

#[tokio::test]
async fn a_table_without_a_key_is_read_as_a_whole() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| contents.tables[0].key.clear());
    let (all, read) = rows(&scene.client(8), None, usize::MAX).await.unwrap();
    assert_eq!((all, read.last), (expected((0..20).rev()), None));
}

#[tokio::test]
async fn a_column_that_the_table_no_longer_has_is_null() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| {
        let table = &mut contents.tables[0];
        table.columns.remove(1);
        table.rows = Arc::new(table.rows.iter().map(|row| vec![row[0].clone(), row[2].clone()]).collect());
    });
    let client = scene.client(100);
    let found = instance(&client).await;
    let mut nulls = 0;
    let mut take = |batch: arrow::array::RecordBatch| {
        nulls += batch.column(1).null_count();
        Ok(std::ops::ControlFlow::Continue(()))
    };
    client.rows(&found, None, &mut take).await.unwrap();
    assert_eq!(nulls, 20);
}

#[tokio::test]
async fn keys_of_several_columns_and_types_can_be_resumed() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| {
        let table = &mut contents.tables[0];
        table.key = vec!["no]te".to_owned(), "id".to_owned()];
        let kind = SqlType::NVarChar(crate::support::tds::Length::Of(40));
        (table.columns[2].kind, table.instances[0].columns[2].kind) = (kind.clone(), kind);
        let rows = [(5, "b"), (4, "a"), (3, "b"), (2, "a"), (1, "ä")];
        table.rows = Arc::new(rows.map(|(id, note)| row(id, note)).into());
    });
    let client = scene.client(1);
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let (some, read) = rows(&client, after.as_ref(), 1).await.unwrap();
        ids.extend(some.iter().map(|row| row.split(' ').next().unwrap().to_owned()));
        if some.is_empty() {
            break;
        }
        after = read.last;
    }
    assert_eq!(ids, ["2", "4", "3", "5", "1"]);
}
