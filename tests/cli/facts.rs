//! What the original recorded for real data, on data made up in the same shape.

use std::fmt::Write as _;
use std::fs::File;

use arrow::array::{Array, RecordBatch, StringArray};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Desk, counts};

const BEFORE: u32 = 3_998;
const NEW: u32 = 5;
const UPDATED: [u32; 6] = [0, 17, 1_999, 2_000, 3_500, 3_997];

/// Customers with a timestamp in milliseconds, some cells empty.
fn clientes(rows: u32, updated: &[u32]) -> String {
    let mut csv = "idCliente;flEmail;qtdePontos;DtCriacao;DtAtualizacao\n".to_owned();
    for row in 0..rows {
        let (day, points) = if updated.contains(&row) { (11, row + 1) } else { (10, row) };
        let email = if row % 7 == 0 { "" } else { "1" };
        let points = if row % 11 == 3 { String::new() } else { points.to_string() };
        writeln!(csv, "c-{row:05};{email};{points};2024-12-22 17:57:32.9;2025-01-{day} 14:03:22.123").unwrap();
    }
    csv
}

/// 40 products, without any date, many with empty cells.
fn produtos() -> String {
    let mut csv = "idProduto;DescNomeProduto;DescCategoriaProduto;VlProduto\n".to_owned();
    for row in 0..40 {
        let category = if row % 2 == 0 { "" } else { "loja" };
        let price = if row % 3 == 0 { String::new() } else { format!("{row}.5") };
        writeln!(csv, "{row};Produto nº {row};{category};{price}").unwrap();
    }
    csv
}

fn read(desk: &Desk, key: &str) -> Vec<RecordBatch> {
    let file = File::open(desk.path("lake").join(key)).unwrap();
    ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap().map(Result::unwrap).collect()
}

/// A text column of all rows.
fn column(batches: &[RecordBatch], name: &str) -> Vec<String> {
    let cells = |batch: &RecordBatch| -> Vec<String> {
        let column = batch.column_by_name(name).expect("a column").as_any().downcast_ref::<StringArray>().cloned();
        column.expect("a text column").iter().map(|cell| cell.expect("a value").to_owned()).collect()
    };
    batches.iter().flat_map(cells).collect()
}

#[test]
fn five_inserts_and_six_updates_are_exactly_that_and_unchanged_products_are_none() {
    let desk = Desk::new();
    desk.write("data/actual/clientes.csv", &clientes(BEFORE, &[]));
    desk.write("data/actual/produtos.csv", &produtos());
    let first = desk.report(&["--run-at", "2026-11-20T09:00:00Z"]);
    assert_eq!((counts(&first, 0), counts(&first, 1)), ([3_998, 0, 0, 0], [40, 0, 0, 0]));
    desk.write("data/actual/clientes.csv", &clientes(BEFORE + NEW, &UPDATED));
    let second = desk.report(&["--run-at", "2026-11-20T15:00:00Z"]);
    assert_eq!((counts(&second, 0), counts(&second, 1)), ([5, 6, 0, 0], [0; 4]));
    assert_eq!((&second["tables"][0]["rows"], &second["tables"][1]["status"]), (&4_003.into(), &"unchanged".into()));
    let produtos: Vec<_> = desk.lake().into_keys().filter(|key| key.starts_with("cdc/produtos/")).collect();
    assert_eq!(produtos, ["cdc/produtos/produtos_20261120_090000.parquet"]);
    desk.run(&["verify", "--lake", "lake"]).expect(0, &[]);
    expect_changes(&read(&desk, "cdc/clientes/clientes_20261120_150000.parquet"));
}

/// The rows of the log are those that changed, and `op` is their last column.
fn expect_changes(log: &[RecordBatch]) {
    let schema = log[0].schema();
    assert_eq!(schema.fields().last().unwrap().name(), "op");
    let mut found: Vec<_> = column(log, "idCliente").into_iter().zip(column(log, "op")).collect();
    found.sort();
    let updated = UPDATED.map(|row| (format!("c-{row:05}"), "U".to_owned()));
    let inserted = (BEFORE..BEFORE + NEW).map(|row| (format!("c-{row:05}"), "I".to_owned()));
    assert_eq!(found, updated.into_iter().chain(inserted).collect::<Vec<_>>());
}
