//! Faults as a client sees them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use tiberius::error::Error;

use super::client::{Connection, config, connect};
use crate::support::tds::{
    Answer, Column, Encoded, Fault, Harm, RowStyle, Script, Server, ServerError, Settings, Splits, SqlType, Stage,
    Value, encode,
};

const ROWS: i64 = 1000;

fn columns() -> Vec<Column> {
    vec![Column::required("id", SqlType::Int)]
}

async fn server() -> Server {
    let script = Script::default()
        .on("rows", |_| Answer::rows(columns(), (0..ROWS).map(|id| vec![Value::Int(id)])))
        .on("encoded", |_| {
            let row = |id| vec![Value::Int(id)];
            let pieces = (0..ROWS / 10).map(move |nth| {
                let rows: Vec<_> = (nth * 10..nth * 10 + 10).map(row).collect();
                Encoded { bytes: encode(&columns(), &rows, RowStyle::default()).unwrap(), rows: 10 }
            });
            Answer::encoded(columns(), pieces.collect::<Vec<_>>())
        });
    Server::start(Settings::default(), Arc::new(script)).await.unwrap()
}

/// The rows that came, and the error if there was one.
async fn read(client: &mut Connection, query: &str) -> (i64, Option<Error>) {
    let mut rows = match client.simple_query(query).await {
        Ok(answer) => answer.into_row_stream(),
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        match rows.try_next().await {
            Ok(Some(row)) => {
                assert_eq!(row.get::<i32, _>(0).map(i64::from), Some(count));
                count += 1;
            }
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

#[tokio::test]
async fn without_a_fault_all_rows_come() {
    let server = server().await;
    let mut client = connect(config(&server)).await.unwrap();
    assert!(matches!(read(&mut client, "rows").await, (ROWS, None)));
    assert!(matches!(read(&mut client, "encoded").await, (ROWS, None)));
}

#[tokio::test]
async fn errors_come_at_once_or_after_rows_and_leave_the_connection_usable() {
    let server = server().await;
    let mut client = connect(config(&server)).await.unwrap();
    let errors = [
        ServerError::insufficient_arguments("cdc.fn_cdc_get_all_changes_dbo_orders"),
        ServerError::invalid_object("cdc.dbo_orders_CT"),
        ServerError::select_denied("dbo_orders_CT", "shop", "cdc"),
        ServerError::deadlock(),
    ];
    for (error, rows) in errors.into_iter().zip([0, 1, 7, 999]) {
        let number = error.number;
        server.fault(Stage::request("ro"), Fault::after_rows(rows, Harm::Error(error)));
        let (came, error) = read(&mut client, "rows").await;
        assert_eq!((came, error.and_then(|error| error.code())), (rows as i64, Some(number)));
    }
    assert_eq!(server.waiting_faults(), 0);
    assert!(matches!(read(&mut client, "rows").await, (ROWS, None)));
}

#[tokio::test]
async fn a_connection_can_be_closed_or_reset_after_any_number_of_rows() {
    let server = server().await;
    for (rows, query) in [(0, "rows"), (1, "rows"), (999, "rows"), (10, "encoded"), (1000, "encoded")] {
        for harm in [Harm::Close, Harm::Reset] {
            server.fault(Stage::request(query), Fault::after_rows(rows, harm.clone()));
            let (came, error) = read(&mut connect(config(&server)).await.unwrap(), query).await;
            assert!(matches!(error, Some(Error::Io { .. })), "{harm:?} after {rows} of {query}: {error:?}");
            // A reset may overtake rows that were sent.
            assert!(
                came <= rows as i64 && (harm == Harm::Reset || came == rows as i64),
                "{harm:?} after {rows}: {came}"
            );
        }
    }
}

#[tokio::test]
async fn a_connection_can_end_within_any_byte_of_an_answer() {
    let server = server().await;
    for bytes in (1..60).chain([500, 4095, 4096, 4097, 4104, 5000]) {
        server.fault(Stage::request("rows"), Fault::after_bytes(bytes, Harm::Close));
        let (came, error) = read(&mut connect(config(&server)).await.unwrap(), "rows").await;
        assert!(came < ROWS, "{came} rows of {bytes} bytes");
        assert!(matches!(error, Some(Error::Io { .. })), "after {bytes} bytes: {error:?}");
    }
}

#[tokio::test]
async fn a_silent_server_is_left_after_the_clients_time_out() {
    let server = server().await;
    let faults = [
        Fault::now(Harm::Stall),
        Fault::after_rows(3, Harm::Stall),
        Fault::after_bytes(20, Harm::Stall),
        Fault::now(Harm::Wait(Duration::from_secs(3600))),
    ];
    for fault in faults {
        server.fault(Stage::request("rows"), fault.clone());
        let mut impatient = config(&server);
        impatient.command_timeout(Some(Duration::from_millis(50)));
        let (came, error) = read(&mut connect(impatient).await.unwrap(), "rows").await;
        assert!(came <= 3, "{came}");
        assert!(matches!(error, Some(Error::Io { kind: std::io::ErrorKind::TimedOut, .. })), "{fault:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_slow_server_is_waited_for() {
    let server = server().await;
    server.fault(Stage::request("rows"), Fault::after_rows(3, Harm::Wait(Duration::from_millis(20))));
    assert!(matches!(read(&mut connect(config(&server)).await.unwrap(), "rows").await, (ROWS, None)));
    let splits = Splits { sizes: vec![1000], pause: Some(Duration::from_millis(1)) };
    let script = Script::default().on("rows", |_| Answer::rows(columns(), (0..ROWS).map(|id| vec![Value::Int(id)])));
    let slow = Server::start(Settings { splits, ..Settings::default() }, Arc::new(script)).await.unwrap();
    assert!(matches!(read(&mut connect(config(&slow)).await.unwrap(), "rows").await, (ROWS, None)));
}

#[tokio::test]
async fn nobody_comes_in_while_connections_and_logins_are_broken() {
    let server = server().await;
    for stage in [Stage::Accept, Stage::Login] {
        for harm in [Harm::Close, Harm::Reset, Harm::Stall] {
            server.fault(stage.clone(), Fault::now(harm.clone()));
            let mut impatient = config(&server);
            impatient.handshake_timeout(Some(Duration::from_millis(100)));
            let error = connect(impatient).await.unwrap_err();
            assert!(matches!(error, Error::Io { .. }), "{stage:?} {harm:?}: {error:?}");
        }
        server.fault(stage, Fault::now(Harm::Wait(Duration::from_millis(5))));
        connect(config(&server)).await.unwrap();
    }
    assert_eq!(server.connections(), 8);
}
