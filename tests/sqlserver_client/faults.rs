//! What goes wrong on the way: each fault is an error with its code, never fewer rows, and never a burden for the next call.

use std::ops::ControlFlow;
use std::time::Duration;

use cdc_to_s3::Kind;
use cdc_to_s3::source::sqlserver::tds::{Settings, TdsServer};
use cdc_to_s3::source::sqlserver::{ChangeBatch, Images, Server as _};

use super::{Stub, changes, client, error, everything, hasty, insert, instance, orders, serve, stub};
use crate::support::tds::{Answer, Column, Fault, Harm, Length, Request, ServerError, SqlType, Stage, Value};

const ROWS: u32 = 200;

/// The marker of a query of changes.
fn at_changes() -> Stage {
    Stage::request("cdc-to-s3: changes")
}

async fn rows_of(client: &TdsServer) -> usize {
    changes(client).await.unwrap().iter().map(ChangeBatch::len).sum()
}

#[tokio::test]
async fn each_error_of_the_server_is_told_by_its_code_and_its_number_only() {
    let cases = [
        (313, Kind::Data, "PositionOutOfRange"),
        (208, Kind::Data, "InstanceMissing"),
        (229, Kind::Config, "SqlServerDenied"),
        (22985, Kind::Config, "CdcDisabled"),
        (1205, Kind::Transient, "SqlServerDeadlock"),
        (1222, Kind::Transient, "SqlServerLocked"),
        (3971, Kind::Transient, "SqlServerMoved"),
        (40197, Kind::Transient, "SqlServerBusy"),
        (245, Kind::Data, "SqlServerRefused"),
    ];
    let server = serve(orders(ROWS)).await;
    let client = client(&server, hasty());
    for (number, kind, code) in cases {
        for after in [0, 7, 150] {
            let message = ServerError::new(number, "Conversion failed when converting the value 'hunter2'");
            server.fault(at_changes(), Fault::after_rows(after, Harm::Error(message)));
            let error = error(&client).await;
            assert_eq!((error.kind(), error.code()), (kind, code), "{number} after {after} rows");
            let told = format!("{error:?} {}", error.chain());
            assert!(told.contains(&format!("error {number}")) && !told.contains("hunter2"), "{told}");
        }
    }
    assert_eq!(rows_of(&client).await, ROWS as usize);
}

#[tokio::test]
async fn an_answer_that_is_cut_anywhere_is_an_error_and_the_next_one_is_whole() {
    let server = serve(orders(ROWS)).await;
    let mut cuts = 0;
    for bytes in (0..).step_by(997) {
        let client = client(&server, hasty());
        server.fault(at_changes(), Fault::after_bytes(bytes, if bytes % 2 == 0 { Harm::Close } else { Harm::Reset }));
        match changes(&client).await {
            Err(error) => {
                assert_eq!((error.kind(), error.code()), (Kind::Transient, "SqlServerCut"), "{bytes}");
                assert_eq!(rows_of(&client).await, ROWS as usize);
            }
            // The answer was shorter than that.
            Ok(batches) => {
                assert_eq!(batches.iter().map(ChangeBatch::len).sum::<usize>(), ROWS as usize);
                break;
            }
        }
        cuts += 1;
    }
    assert!(cuts > 10, "{cuts}");
}

#[tokio::test]
async fn rows_that_the_server_did_not_count_are_not_believed() {
    for counted in [Some(9), Some(11), None] {
        let server = serve(Stub { changes_counted: counted, ..orders(10) }).await;
        let error = error(&client(&server, hasty())).await;
        assert_eq!((error.kind(), error.code()), (Kind::Transient, "SqlServerCut"), "{counted:?}");
    }
}

#[tokio::test]
async fn silence_ends_a_call_in_good_time() {
    let server = serve(orders(ROWS)).await;
    let settings = Settings { login_timeout: Duration::from_millis(500), ..hasty() };
    let stages = [Stage::Accept, Stage::Login, Stage::request("cdc-to-s3: session"), at_changes()];
    for stage in stages {
        let client = client(&server, settings);
        server.fault(stage.clone(), Fault::now(Harm::Stall));
        let error = error(&client).await;
        assert_eq!((error.kind(), error.code()), (Kind::Transient, "SqlServerTimeout"), "{stage:?}");
        assert_eq!(rows_of(&client).await, ROWS as usize);
    }
    let client = client(&server, settings);
    server.fault(at_changes(), Fault::after_bytes(3000, Harm::Stall));
    assert_eq!(error(&client).await.code(), "SqlServerTimeout");
}

#[tokio::test]
async fn a_slow_answer_that_keeps_coming_is_waited_for() {
    let server = serve(orders(ROWS)).await;
    server.fault(at_changes(), Fault::after_rows(50, Harm::Wait(Duration::from_millis(200))));
    assert_eq!(rows_of(&client(&server, hasty())).await, ROWS as usize);
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_nothing_behind() {
    let server = serve(orders(ROWS)).await;
    let client = client(&server, hasty());
    let instance = instance(&client).await;
    for fault in [Fault::now(Harm::Stall), Fault::after_bytes(2000, Harm::Stall)] {
        server.fault(at_changes(), fault);
        let mut take = |_| Ok(ControlFlow::Continue(()));
        let call = client.changes(&instance, everything(), Images::After, &mut take);
        assert!(tokio::time::timeout(Duration::from_millis(100), call).await.is_err());
        assert_eq!(rows_of(&client).await, ROWS as usize);
    }
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn who_may_not_come_in_is_told_why() {
    let cases = [
        (ServerError::login_failed("reader"), "SqlServerUnauthorized"),
        (
            ServerError::new(18486, "Login failed for user 'reader' because the account is locked out."),
            "SqlServerUnauthorized",
        ),
        (ServerError::cannot_open("shop"), "DatabaseNotFound"),
        (ServerError::new(40615, "Cannot open server: 10.1.2.3 is not allowed"), "SqlServerDenied"),
    ];
    for (refusal, code) in cases {
        let server = serve(Stub { refusal: Some(refusal), ..orders(1) }).await;
        let error = error(&client(&server, hasty())).await;
        assert_eq!((error.kind(), error.code()), (Kind::Config, code));
        assert!(!format!("{error:?}").contains("s3cret"));
        // An account is locked by trying again.
        assert_eq!(server.connections(), 1);
    }
}

/// A database that was open before is there: it is failing over.
#[tokio::test]
async fn a_database_that_closes_between_two_connections_may_open_again() {
    let server = serve(orders(1)).await;
    let client = client(&server, hasty());
    assert_eq!(rows_of(&client).await, 1);
    server.fault(at_changes(), Fault::now(Harm::Close));
    assert_eq!(error(&client).await.code(), "SqlServerCut");
    server.fault(Stage::Login, Fault::now(Harm::Error(ServerError::cannot_open("shop"))));
    let error = error(&client).await;
    assert_eq!((error.kind(), error.code()), (Kind::Transient, "SqlServerUnavailable"), "{error:?}");
    assert_eq!(rows_of(&client).await, 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_may_come_back() {
    let server = serve(orders(1)).await;
    let port = server.address().port();
    drop(server);
    let client = stub::client(port, hasty());
    // The port is free once the task that listened there has ended.
    let error = loop {
        match changes(&client).await {
            Err(error) if error.code() == "SqlServerUnreachable" => break error,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert_eq!(error.kind(), Kind::Transient);
    assert!(error.to_string().contains(&format!("127.0.0.1:{port}")), "{error}");
}

#[tokio::test]
async fn what_is_not_a_change_is_refused() {
    // The place of a value in the row, a value that it cannot have, and who complains.
    let cases = [
        (0, Value::Null, "__$start_lsn"),
        (1, Value::Null, "__$seqval"),
        (2, Value::Int(5), "__$operation"),
        (2, Value::Null, "__$operation"),
        (5, "hunter2".into(), "`id`"),
    ];
    for (place, value, complaint) in cases {
        let mut columns: Vec<Column> = orders(0).change_columns();
        columns.iter_mut().for_each(|column| column.nullable = true);
        if place == 5 {
            columns[place].kind = SqlType::NVarChar(Length::Of(10));
        }
        let mut row = insert(0, [Value::Int(1), Value::Null]);
        row[place] = value;
        let answer = move |_: &Request| Answer::rows(columns.clone(), [row.clone()]).then(stub::count(1));
        let server = serve(orders(0).on("changes", answer)).await;
        let error = error(&client(&server, hasty())).await;
        assert!(error.to_string().contains(complaint) && !error.chain().contains("hunter2"), "{error:?}");
    }
}
