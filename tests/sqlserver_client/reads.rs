//! What is asked, and what becomes of the answers.

use std::ops::ControlFlow;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int32Type;
use cdc_to_s3::source::sqlserver::tds::Settings;
use cdc_to_s3::source::sqlserver::{ChangeBatch, Images, KeyMark, Lsn, MaskOrder, OrderGrade, Server as _};
use chrono::{DateTime, Utc};

use super::{FIRST, SECOND, Stub, change, changes, client, everything, hasty, insert, instance, orders, serve};
use crate::support::tds::{Answer, Column, Length, Server, SqlType, Value};

/// The last question with this marker.
fn asked(server: &Server, marker: &str) -> crate::support::tds::Request {
    let marker = format!("/* cdc-to-s3: {marker} */");
    let seen = server.seen().into_iter().rev().find(|seen| seen.request.text.starts_with(&marker));
    seen.unwrap_or_else(|| panic!("nobody asked for {marker}")).request
}

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[tokio::test]
async fn changes_come_in_bounded_batches_with_their_place_and_their_time() {
    let rows = (0..25)
        .map(|id| {
            change(
                if id < 20 { FIRST } else { SECOND },
                id,
                1 + i64::from(id) % 2,
                [Value::Int(id.into()), Value::Null],
            )
        })
        .collect();
    let stub = Stub { commits: vec![(FIRST, 432_000_000_000)], ..orders(0).with_changes(rows) };
    let server = serve(stub).await;
    let batches = changes(&client(&server, hasty())).await.unwrap();
    assert_eq!(batches.iter().map(ChangeBatch::len).collect::<Vec<_>>(), [10, 10, 5]);
    let ids: Vec<i32> = batches
        .iter()
        .flat_map(|batch| batch.columns.column(0).as_primitive::<Int32Type>().values().to_vec())
        .collect();
    assert_eq!(ids, (0..25).collect::<Vec<_>>());
    let [first, _, last] = batches.as_slice() else { panic!("three batches") };
    assert_eq!((first.start_lsn.value(0), last.start_lsn.value(4)), (&FIRST[..], &SECOND[..]));
    assert_eq!(first.seqval.value(3), [0, 0, 0, 9, 0, 0, 0, 0, 0, 3]);
    assert_eq!((first.operation.value(0), first.operation.value(1)), (1, 2));
    assert_eq!((first.command_id.value(3), first.update_mask.value(3)), (3, &[3_u8][..]));
    let noon = instant("2025-11-20T12:00:00Z").timestamp_micros();
    assert_eq!(first.commit_time.value(0), noon);
    // The server no longer knows when the second one was.
    assert_eq!(last.commit_time.null_count(), 5);
}

#[tokio::test]
async fn a_batch_is_full_of_bytes_as_well_as_of_rows() {
    let server = serve(orders(30)).await;
    let settings = Settings { batch_bytes: 100, ..Settings::default() };
    let batches = changes(&client(&server, settings)).await.unwrap();
    assert_eq!(batches.len(), 5);
    assert_eq!(batches.iter().map(ChangeBatch::len).sum::<usize>(), 30);
}

#[tokio::test]
async fn lsns_are_binary_parameters_and_the_order_is_asked_for() {
    let server = serve(orders(1)).await;
    changes(&client(&server, hasty())).await.unwrap();
    let request = asked(&server, "changes");
    let values: Vec<&Value> = request.parameters.iter().map(|parameter| &parameter.value).collect();
    assert_eq!(values, [&Value::Bytes(Lsn::ZERO.next().as_bytes().to_vec()), &Value::Bytes(vec![0xFF; 10])]);
    assert!(request.text.contains("FROM cdc.[dbo_Orders_CT] WHERE"), "{}", request.text);
    assert!(
        request.text.contains("ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation;"),
        "{}",
        request.text
    );
    assert!(request.text.contains("__$operation <> 3"), "{}", request.text);
}

#[tokio::test]
async fn before_images_are_asked_for_where_they_are_wanted() {
    for is_direct in [true, false] {
        let rows = vec![
            change(FIRST, 1, 3, [Value::Int(1), "old".into()]),
            change(FIRST, 1, 4, [Value::Int(1), "new".into()]),
        ];
        let server = serve(Stub { is_direct, ..orders(0).with_changes(rows) }).await;
        let client = client(&server, hasty());
        let instance = instance(&client).await;
        let mut operations = Vec::new();
        let mut take = |batch: ChangeBatch| {
            operations.extend(batch.operation.values().to_vec());
            Ok(ControlFlow::Continue(()))
        };
        client.changes(&instance, everything(), Images::BeforeAndAfter, &mut take).await.unwrap();
        assert_eq!(operations, [3, 4]);
        let text = asked(&server, "changes").text;
        assert!(!text.contains("<> 3"), "{text}");
        assert_eq!(text.contains("N'all update old'"), !is_direct, "{text}");
    }
}

#[tokio::test]
async fn where_the_change_table_may_not_be_read_its_function_is() {
    let server = serve(Stub { is_direct: false, instance: "odd]name".to_owned(), ..orders(3) }).await;
    let client = client(&server, hasty());
    assert_eq!(instance(&client).await.grade, OrderGrade::Sequence);
    changes(&client).await.unwrap();
    let text = asked(&server, "changes").text;
    assert!(text.contains("FROM cdc.[fn_cdc_get_all_changes_odd]]name](CONVERT(binary(10), @P1)"), "{text}");
    assert!(text.contains("N'all') ORDER BY __$start_lsn, __$seqval, __$operation;"), "{text}");
    assert!(text.contains("CAST(NULL AS int)"), "{text}");
}

#[tokio::test]
async fn whoever_breaks_off_does_not_disturb_the_next_question() {
    let server = serve(orders(100)).await;
    let client = client(&server, hasty());
    let instance = instance(&client).await;
    let mut batches = 0;
    let mut take = |_| {
        batches += 1;
        Ok(if batches == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    client.changes(&instance, everything(), Images::After, &mut take).await.unwrap();
    assert_eq!(batches, 2);
    let rest = changes(&client).await.unwrap();
    assert_eq!(rest.iter().map(ChangeBatch::len).sum::<usize>(), 100);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn an_error_of_the_taker_is_the_error_of_the_call() {
    let server = serve(orders(100)).await;
    let client = client(&server, hasty());
    let instance = instance(&client).await;
    let mut take = |_| Err(cdc_to_s3::Error::internal("DiskFull", "no room"));
    let error = client.changes(&instance, everything(), Images::After, &mut take).await.unwrap_err();
    assert_eq!(error.code(), "DiskFull");
    assert_eq!(changes(&client).await.unwrap().len(), 10);
}

#[tokio::test]
async fn questions_one_after_the_other_share_a_connection_and_at_the_same_time_have_their_own() {
    let server = serve(orders(100)).await;
    let client = client(&server, hasty());
    for _ in 0..3 {
        changes(&client).await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let (one, other) = tokio::join!(changes(&client), changes(&client));
    assert_eq!((one.unwrap().len(), other.unwrap().len()), (10, 10));
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn the_session_reads_under_snapshot_isolation_where_that_is_allowed() {
    for (allows_snapshots, level) in [(true, "SNAPSHOT"), (false, "READ COMMITTED")] {
        let server = serve(Stub { allows_snapshots, ..orders(1) }).await;
        changes(&client(&server, hasty())).await.unwrap();
        assert_eq!(server.seen().last().unwrap().session.isolation, level);
        let session = asked(&server, "session").text;
        assert!(session.contains("SET LOCK_TIMEOUT 10000") && session.contains("DEADLOCK_PRIORITY LOW"), "{session}");
    }
}

#[tokio::test]
async fn the_database_is_described_also_to_whom_the_lineage_is_not_shown() {
    let facts = |_: &_| {
        let columns = vec![
            Column::new("s", SqlType::NVarChar(Length::Of(128))),
            Column::new("n", SqlType::NVarChar(Length::Of(128))),
            Column::new("c", SqlType::Bit),
            Column::new("i", SqlType::Bit),
            Column::new("t", SqlType::DateTime2(7)),
            Column::new("m", SqlType::Bit),
            Column::new("l", SqlType::DateTime2(7)),
        ];
        let (yes, no) = (Value::Bit(true), Value::Bit(false));
        let [utc, local] = [739_574, 739_573].map(|day| Value::DateTime2(day, 10));
        Answer::rows(columns, [vec!["DB1".into(), "shop".into(), yes.clone(), no, utc, yes, local]])
    };
    let fork = |_: &_| Answer::value(Column::new("f", SqlType::NVarChar(Length::Of(36))), "F0");
    let denied = |_: &_| Answer::error(crate::support::tds::ServerError::new(300, "VIEW SERVER STATE was denied"));
    for (stub, recovery_fork) in [
        (orders(0).on("database", facts).on("recovery fork", fork), Some("F0".to_owned())),
        (orders(0).on("database", facts).on("recovery fork", denied), None),
    ] {
        let server = serve(stub).await;
        let database = client(&server, hasty()).database().await.unwrap();
        assert_eq!((database.server.as_str(), database.name.as_str()), ("DB1", "shop"));
        assert_eq!((database.cdc_enabled, database.snapshot_isolation), (true, false));
        assert_eq!(database.now, instant("2025-11-20T00:00:00.000001Z"));
        assert_eq!(database.local_now, instant("2025-11-19T00:00:00.000001Z").naive_utc());
        assert_eq!(database.mask_order, MaskOrder::LowOrdinalsLast);
        assert_eq!(database.recovery_fork, recovery_fork);
    }
}

fn table(allows_snapshots: bool) -> Stub {
    let rows = (0..25).map(|id| insert(0, [Value::Int(id), "x".into()]).split_off(5)).collect();
    Stub { rows, allows_snapshots, ..orders(0) }
}

#[tokio::test]
async fn rows_are_read_in_the_order_of_the_key_and_marked() {
    for allows_snapshots in [true, false] {
        let server = serve(table(allows_snapshots)).await;
        let client = client(&server, hasty());
        let instance = instance(&client).await;
        let mut rows = 0;
        let mut take = |batch: arrow::array::RecordBatch| {
            rows += batch.num_rows();
            Ok(ControlFlow::Continue(()))
        };
        let after = KeyMark(r#"["-1"]"#.to_owned());
        let read = client.rows(&instance, Some(&after), &mut take).await.unwrap();
        assert_eq!((rows, read.complete, read.one_instant), (25, true, allows_snapshots));
        assert_eq!(read.last, Some(KeyMark(r#"[["id","24"]]"#.to_owned())));
        assert_eq!(read.until, instant("2025-11-20T00:00:00Z"));
        let request = asked(&server, "rows");
        let expected = "SELECT [id], [note] FROM [dbo].[Orders] WHERE [id] > CAST(@P1 AS int) ORDER BY [id]; SELECT ROWCOUNT_BIG()";
        assert!(request.text.ends_with(expected), "{}", request.text);
        assert_eq!(request.parameters[0].value, "-1".into());
        let in_transaction = server.seen().iter().any(|seen| seen.request.text.contains("cdc-to-s3: begin"));
        assert_eq!(in_transaction, allows_snapshots);
        changes(&client).await.unwrap();
        assert_eq!(server.connections(), 1);
    }
}

#[tokio::test]
async fn rows_can_be_broken_off_and_gone_on_with() {
    let server = serve(table(true)).await;
    let client = client(&server, hasty());
    let instance = instance(&client).await;
    let mut take = |_| Ok(ControlFlow::Break(()));
    let read = client.rows(&instance, None, &mut take).await.unwrap();
    assert_eq!((read.complete, read.last), (false, Some(KeyMark(r#"[["id","9"]]"#.to_owned()))));
    let text = asked(&server, "rows").text;
    assert!(text.contains("FROM [dbo].[Orders] ORDER BY [id];"), "{text}");
    assert_eq!(changes(&client).await.unwrap().len(), 0);
}
