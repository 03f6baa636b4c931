//! Facts: the database, its instances, the places and times of commits.

use cdc_to_s3::error::Kind;
use cdc_to_s3::source::sqlserver::{MaskOrder, OrderGrade, Server as _};
use chrono::TimeDelta;

use super::shop::{Scene, an_lsn, client, instance, now, shop};
use crate::support::sqlserver::Access;
use crate::support::tds::{Column, SqlType};

#[tokio::test]
async fn the_database_is_described() {
    let scene = Scene::with(shop()).await;
    let database = scene.client(10).database().await.unwrap();
    assert_eq!((database.server.as_str(), database.name.as_str()), ("stand-in", "shop"));
    assert!(database.cdc_enabled && database.snapshot_isolation);
    assert_eq!(database.recovery_fork.as_deref(), Some("6F9619FF-8B86-D011-B42D-00C04FC964FF"));
    assert_eq!((database.now, database.mask_order), (now(), MaskOrder::LowOrdinalsLast));
    scene.change(|contents| (contents.fork, contents.cdc_enabled) = (None, false));
    let database = scene.client(10).database().await.unwrap();
    assert_eq!((database.recovery_fork, database.cdc_enabled), (None, false));
}

#[tokio::test]
async fn an_instance_is_described_with_its_table_as_it_is_now() {
    let scene = Scene::with(shop()).await;
    let found = instance(&scene.client(10)).await;
    assert_eq!((found.name.as_str(), found.schema.as_str(), found.table.as_str()), ("orders v1", "sales", "Order[s]"));
    assert_eq!((found.object_id, found.source_object_id, found.start_lsn), (500, 400, Some(an_lsn(101))));
    assert_eq!((found.created, found.role.as_deref()), (now().naive_utc(), Some("cdc_reader")));
    let columns: Vec<_> = found.columns.iter().map(|column| (column.name.as_str(), column.sql_type.as_str())).collect();
    assert_eq!(columns, [("id", "int"), ("total", "money"), ("no]te", "nvarchar(max)")]);
    assert_eq!((found.key, found.uncaptured, found.grade), (vec!["id".to_owned()], vec![], OrderGrade::Command));
    scene.change(|contents| {
        contents.tables[0].columns.push(Column::new("added", SqlType::Bit));
        (contents.tables[0].instances[0].access, contents.tables[0].instances[0].start) = (Access::Function, None);
    });
    let found = instance(&scene.client(10)).await;
    assert_eq!(
        (found.uncaptured, found.grade, found.start_lsn),
        (vec!["added".to_owned()], OrderGrade::Sequence, None)
    );
}

#[tokio::test]
async fn the_ends_of_the_log_are_found() {
    let scene = Scene::with(shop()).await;
    let client = scene.client(10);
    let found = instance(&client).await;
    assert_eq!(client.max_lsn().await.unwrap(), Some(an_lsn(110)));
    assert_eq!(client.min_lsn(&found).await.unwrap(), Some(an_lsn(101)));
    scene.change(|contents| contents.tables[0].instances[0].access = Access::Denied);
    assert_eq!(client.min_lsn(&found).await.unwrap(), None);
    scene.change(|contents| contents.commits.clear());
    assert_eq!(client.max_lsn().await.unwrap(), None);
}

#[tokio::test]
async fn a_window_ends_with_a_transaction_and_never_beyond_the_fence() {
    let scene = Scene::with(shop()).await;
    let client = scene.client(10);
    for (after, fence, transactions, end) in
        [(100, 110, 3, 103), (105, 110, 4, 109), (105, 110, 5, 110), (100, 102, 9, 102)]
    {
        let found = client.window_end(an_lsn(after), an_lsn(fence), transactions).await.unwrap();
        assert_eq!(found, an_lsn(end), "{transactions} transactions after {after}");
    }
}

#[tokio::test]
async fn commits_have_times_in_both_clocks() {
    let scene = Scene::with(shop()).await;
    for knows_time_zone in [true, false] {
        scene.change(|contents| contents.knows_time_zone = knows_time_zone);
        let client = scene.client(10);
        let times = client.commit_times(&[an_lsn(109), an_lsn(7), an_lsn(101)]).await.unwrap();
        let utc: Vec<_> = times.iter().map(|time| time.map(|time| time.utc)).collect();
        assert_eq!(utc, [Some(now() - TimeDelta::minutes(1)), None, Some(now() - TimeDelta::minutes(9))]);
        assert_eq!(times[0].unwrap().local, (now() + TimeDelta::minutes(119)).naive_utc());
        let place = client.last_commit_before(now() - TimeDelta::minutes(2)).await.unwrap();
        assert_eq!(place, Some(an_lsn(107)));
        assert_eq!(client.last_commit_before(now() - TimeDelta::days(2)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn nobody_is_let_in_with_a_wrong_password_or_into_a_wrong_database() {
    let scene = Scene::with(shop()).await;
    let error = client(&scene.line, "guess", 10).max_lsn().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "SqlServerUnauthorized"));
    scene.change(|contents| contents.database = "attic".to_owned());
    let error = scene.client(10).max_lsn().await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Config, "DatabaseNotFound"));
}

#[tokio::test]
async fn without_change_data_capture_there_are_no_places() {
    let scene = Scene::with(shop()).await;
    scene.change(|contents| contents.cdc_enabled = false);
    let error = scene.client(10).max_lsn().await.unwrap_err();
    assert_eq!(error.code(), "InstanceMissing");
}
