//! Every type of a column, in every way in which the protocol lets its values travel.

use std::sync::Arc;

use futures_util::TryStreamExt;
use tiberius::ColumnData;

use super::client::{Connection, config, connect, text};
use super::matrix::{Case, cases};
use crate::support::tds::{Answer, Column, Length, Row, RowStyle, Script, Server, Settings, Splits, SqlType, Value};

/// A script that answers the name of a case with its values, NULL first, and `name required` with the others.
pub(super) fn script(cases: &[Case]) -> Script {
    cases.iter().fold(Script::default(), |script, case| {
        let rows: Vec<Row> = case.values.iter().map(|(value, _)| vec![value.clone()]).collect();
        let (column, required) = (case.column.clone(), Column { nullable: false, ..case.column.clone() });
        let present = rows[1..].to_vec();
        script
            .on(&case.column.name, move |_| Answer::rows(vec![column.clone()], rows.clone()))
            .on(&format!("{} required", case.column.name), move |_| {
                Answer::rows(vec![required.clone()], present.clone())
            })
    })
}

async fn read(client: &mut Connection, query: &str) -> Vec<Option<String>> {
    let rows = client.simple_query(query).await.unwrap().into_first_result().await.unwrap();
    rows.iter().map(|row| text(row.cells().next().unwrap().1)).collect()
}

/// As a case's text, but of the bits of the float that tiberius makes of money.
fn expected(case: &Case, nth: usize) -> Option<String> {
    let (value, text) = &case.values[nth];
    let value = if let Value::Variant(inside) = value { &inside.1 } else { value };
    match value {
        Value::Money(number) => Some(format!("{:016X}", (*number as f64 / 1e4).to_bits())),
        _ => text.clone(),
    }
}

async fn every_value_arrives(settings: Settings) {
    let cases = cases();
    let server = Server::start(settings, Arc::new(script(&cases))).await.unwrap();
    let mut client = connect(config(&server)).await.unwrap();
    for case in &cases {
        let all: Vec<_> = (0..case.values.len()).map(|nth| expected(case, nth)).collect();
        assert_eq!(read(&mut client, &case.column.name).await, all, "{}", case.column.name);
        let required = read(&mut client, &format!("{} required", case.column.name)).await;
        assert_eq!(required, all[1..], "{}, not null", case.column.name);
    }
}

#[tokio::test]
async fn every_value_of_every_type_arrives() {
    every_value_arrives(Settings::default()).await;
}

#[tokio::test]
async fn every_value_arrives_in_rows_without_a_bitmap_and_in_small_chunks_of_unknown_length() {
    let rows = RowStyle { null_bitmap: false, known_length: false, chunk: 7 };
    every_value_arrives(Settings { rows, ..Settings::default() }).await;
}

#[tokio::test]
async fn every_value_arrives_in_packets_of_one_byte() {
    let splits = Splits { sizes: vec![1], ..Splits::default() };
    every_value_arrives(Settings { splits, ..Settings::default() }).await;
}

#[tokio::test]
async fn every_value_arrives_in_packets_of_changing_size() {
    let splits = Splits { sizes: vec![3, 1, 500, 2, 11, 4088], ..Splits::default() };
    let rows = RowStyle { chunk: 1000, ..RowStyle::default() };
    every_value_arrives(Settings { splits, rows, ..Settings::default() }).await;
}

#[tokio::test]
async fn every_value_arrives_in_the_smallest_packets_that_can_be_negotiated() {
    every_value_arrives(Settings { packet_size: Some(512), ..Settings::default() }).await;
}

#[tokio::test]
async fn all_types_fit_beside_each_other_in_one_row() {
    let cases = cases();
    let columns: Vec<_> = cases.iter().map(|case| case.column.clone()).collect();
    let longest = cases.iter().map(|case| case.values.len()).max().unwrap();
    let nth = |case: &Case, row: usize| row % case.values.len();
    let row = |row: usize| cases.iter().map(|case| case.values[nth(case, row)].0.clone()).collect::<Row>();
    let rows: Vec<Row> = (0..longest).map(row).collect();
    let script = Script::default().on("all", move |_| Answer::rows(columns.clone(), rows.clone()));
    let server = Server::start(Settings::default(), Arc::new(script)).await.unwrap();
    let mut client = connect(config(&server)).await.unwrap();
    let rows = client.simple_query("all").await.unwrap().into_first_result().await.unwrap();
    assert_eq!(rows.len(), longest);
    for (number, row) in rows.iter().enumerate() {
        for (case, (column, value)) in cases.iter().zip(row.cells()) {
            assert_eq!(column.name(), case.column.name);
            assert_eq!(text(value), expected(case, nth(case, number)), "{}, row {number}", case.column.name);
        }
    }
}

#[tokio::test]
async fn a_lone_surrogate_is_an_error_unless_the_client_asks_for_replacements() {
    let column = Column::new("n", SqlType::NVarChar(Length::Of(10)));
    let script =
        Script::default().on("lone", move |_| Answer::value(column.clone(), Value::Units(vec![0x41, 0xD800, 0x42])));
    let server = Server::start(Settings::default(), Arc::new(script)).await.unwrap();
    let mut strict = connect(config(&server)).await.unwrap();
    let error = strict.simple_query("lone").await.unwrap().into_row().await.unwrap_err();
    assert!(matches!(error, tiberius::error::Error::Protocol(_)), "{error}");
    let mut lossy = config(&server);
    lossy.lossy_utf16_decoding(true);
    assert_eq!(read(&mut connect(lossy).await.unwrap(), "lone").await, [Some("A\u{FFFD}B".to_owned())]);
}

#[tokio::test]
async fn many_rows_stream_through_packets_of_the_size_that_the_client_wishes() {
    let columns = vec![Column::required("id", SqlType::BigInt), Column::new("name", SqlType::NVarChar(Length::Of(40)))];
    let row = |id: i64| vec![Value::Int(id), if id % 7 == 0 { Value::Null } else { Value::Text(format!("row {id}")) }];
    let script =
        Script::default().on("many", move |_| Answer::rows(columns.clone(), (0..50_000).map(row)).ordered(&[1]));
    let server = Server::start(Settings::default(), Arc::new(script)).await.unwrap();
    let mut wishes = config(&server);
    wishes.packet_size(32_000);
    let mut client = connect(wishes).await.unwrap();
    let mut rows = client.simple_query("many").await.unwrap().into_row_stream();
    let mut next = 0;
    while let Some(row) = rows.try_next().await.unwrap() {
        assert!(matches!(row.get_column_data(0).unwrap(), ColumnData::I64(Some(id)) if *id == next));
        let name = row.get::<&str, _>(1).map(ToOwned::to_owned);
        assert_eq!(name, (next % 7 != 0).then(|| format!("row {next}")));
        next += 1;
    }
    assert_eq!(next, 50_000);
}
