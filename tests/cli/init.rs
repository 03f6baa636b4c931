//! `init`: what it finds in a dataset, and that `run` takes what it writes as it is.

use std::fs;

use serde_json::{Value, json};

use super::{Desk, counts};
use crate::support::dataset::zipped;
use crate::support::kaggle::StandIn;

const VENDAS: &str = "\
pedido;item;data_venda;preco;estado;obs
1;1;2024-01-31T10:00:00-03:00;1,50;SP;-
1;2;2024-01-31T10:00:00-03:00;2;NULL;ok
2;1;2024-02-01T10:00:00-03:00;NULL;RJ;ok
2;2;2024-02-01T10:00:00-03:00;10,25;SP;
";

fn init(desk: &Desk, more: &[&str]) -> super::Done {
    desk.run(&[&["init", "data/actual"], more].concat())
}

fn written(desk: &Desk, name: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(desk.path(name)).unwrap()).unwrap()
}

#[test]
fn a_folder_gets_a_configuration_that_runs_as_it_is() {
    let desk = Desk::new();
    let done = init(&desk, &["--output", "new.json"]);
    done.expect(
        0,
        &["clientes (clientes.csv): 3 rows, separated by ;, utf-8", "pk is unique and never null: `idCliente`"],
    );
    done.expect(0, &["cdc-to-s3 run --once --config new.json --lake ./lake --skip-download data/actual"]);
    let config = written(&desk, "new.json");
    assert_eq!(
        config,
        json!({"dataset_name": "local/actual", "tables": [
            {"name": "clientes", "sep": ";", "pk": "idCliente", "date_field": "DtAtualizacao", "update_detection": "content"},
            {"name": "produtos", "sep": ";", "pk": "idProduto"},
        ]})
    );
    let report = desk.report(&["--config", "new.json"]);
    assert_eq!((counts(&report, 0), counts(&report, 1)), ([3, 0, 0, 0], [2, 0, 0, 0]));
}

#[test]
fn a_configuration_is_never_replaced_unasked() {
    let desk = Desk::new();
    let before = fs::read(desk.path("config.json")).unwrap();
    init(&desk, &[]).expect(2, &["ConfigExists", "config.json is there already", "--force"]);
    assert_eq!(fs::read(desk.path("config.json")).unwrap(), before);
    init(&desk, &["--force", "--bucket", "lake-raw", "--prefix", "p"]).expect(0, &["wrote config.json"]);
    assert_eq!(written(&desk, "config.json")["aws"], json!({"bucket": "lake-raw", "prefix": "p"}));
}

#[test]
fn pairs_of_columns_hidden_types_and_texts_for_null_are_found() {
    let desk = Desk::new();
    desk.write("sales/vendas.csv", VENDAS);
    let done = desk.run(&["init", "sales", "--output", "-"]);
    let config: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(
        config["tables"],
        json!([{"name": "vendas", "sep": ";", "pk": ["pedido", "item"], "null_values": ["NULL"],
            "columns": {"data_venda": "timestamptz", "preco": "double"}}])
    );
    done.expect(0, &["numbers with a decimal comma", "pk with item", "4 rows"]);
    desk.write("sales.json", &done.stdout);
    let run = ["run", "--once", "--lake", "lake", "--json", "--config", "sales.json", "--skip-download", "sales"];
    assert_eq!(desk.run(&run).json()["tables"][0]["warnings"], json!([]));
}

#[test]
fn what_cannot_be_a_table_is_left_out_with_its_reason() {
    let desk = Desk::new();
    desk.write("data/actual/ragged.csv", "a,b\n1,2\n3\n");
    desk.write("data/actual/empty.csv", "a,b\n");
    desk.write("data/actual/twins.csv", "a,b\n1,2\n1,2\n");
    let done = init(&desk, &["--output", "new.json"]);
    done.expect(
        0,
        &["left out: ragged.csv", "RaggedRow", "left out: empty.csv", "EmptyTable", "left out: twins: no column"],
    );
    assert_eq!(written(&desk, "new.json")["tables"].as_array().unwrap().len(), 2);
    let done = desk.run(&["init", "data/actual", "--table", "twins", "--output", "-"]);
    done.expect(1, &["NoKeys", "on_duplicate_key"]);
    desk.run(&["init", "nothing", "--output", "-"]).expect(2, &["DatasetNotFound", "owner/slug"]);
    desk.run(&["init", "tmp", "--output", "-"]).expect(1, &["NoTables"]);
}

/// The tables of a configuration by what finds them: the name, or `name <- file`.
fn found_by(config: &Value) -> Vec<String> {
    let tables = config["tables"].as_array().unwrap().iter();
    let found = tables.map(|table| match table["file"].as_str() {
        Some(file) => format!("{} <- {file}", table["name"].as_str().unwrap()),
        None => table["name"].as_str().unwrap().to_owned(),
    });
    found.collect()
}

#[test]
fn every_file_that_can_be_a_table_is_one_whatever_its_name() {
    let desk = Desk::new();
    let rows = "id,v\n1,a\n2,b\n";
    for file in [
        " spaced .csv",
        "data[1].csv",
        "_internal.csv",
        "what?.csv",
        "plain.csv",
        "old/plain.csv",
        "x.tsv",
        "y.txt",
        "bare",
        "train/rows.csv",
        "test/rows.csv",
        "sales.csv/part-00000-ab.csv",
        "sales.csv/part-00001-ab.csv",
        "ac\u{327}a\u{303}o.csv",
    ] {
        desk.write(&format!("names/{file}"), rows);
    }
    desk.write("names/sales.csv/part-00001-ab.csv", "id,v\n3,c\n");
    desk.write("names/sales.csv/_SUCCESS", "");
    desk.write("names/README.txt", "Some words.\nAnd more.\n");
    desk.write("names/book.xlsx", "PK");
    desk.write("names/.hidden.csv", rows);
    let done = desk.run(&["init", "names", "--output", "names.json"]);
    done.expect(
        0,
        &["left out: README.txt", "left out: book.xlsx", "Excel", "the table's name alone does not find it"],
    );
    let config = written(&desk, "names.json");
    assert_eq!(
        found_by(&config),
        [
            "ação",
            "bare <- bare",
            "data_1 <- data[[]1].csv",
            "internal <- _internal.csv",
            "old_plain <- old/plain.csv",
            "plain",
            "sales <- sales.csv/part-*.csv",
            "spaced <-  spaced .csv",
            "test_rows <- test/rows.csv",
            "train_rows <- train/rows.csv",
            "what <- what[?].csv",
            "x <- x.tsv",
            "y <- y.txt",
        ]
    );
    let run = ["run", "--once", "--json", "--lake", "lake", "--config", "names.json", "--skip-download", "names"];
    let report = desk.run(&run).json();
    for table in report["tables"].as_array().unwrap() {
        assert_eq!(table["rows"], if table["name"] == "sales" { 3 } else { 2 }, "{table}");
    }
}

#[test]
fn one_file_does_for_a_dataset() {
    let desk = Desk::new();
    for (file, content) in [("t.csv", "id,v\n1,a\n"), ("t.tsv", "id\tv\n1\ta\n"), ("t.txt", "id;v\n1;a\n")] {
        desk.write(file, content);
        desk.run(&["init", file, "--force", "--output", "one.json"]).expect(0, &["wrote one.json"]);
        let run = [
            "run",
            "--once",
            "--json",
            "--lake",
            &format!("lake-{file}"),
            "--config",
            "one.json",
            "--skip-download",
            file,
        ];
        assert_eq!(counts(&desk.run(&run).json(), 0), [1, 0, 0, 0], "{file}");
    }
}

#[test]
fn what_was_found_can_be_had_as_json() {
    let desk = Desk::new();
    let done = init(&desk, &["--output", "new.json", "--json"]);
    let found: Value = serde_json::from_str(&done.stdout).unwrap();
    let clientes = &found["tables"][0];
    assert_eq!((&clientes["rows"], &clientes["delimiter"]), (&json!(3), &json!(";")));
    assert_eq!(clientes["keys"], json!([{"columns": ["idCliente"], "repeats": 0}]));
    assert_eq!(
        clientes["columns"][1],
        json!({"name": "qtdePontos", "type": "int64", "nulls": 1, "distinct": 2, "exact": true})
    );
    assert_eq!(clientes["dates"][0]["newest"], "2025-01-10 14:03:22.123");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_is_downloaded_once() {
    let (desk, kaggle) = (Desk::new(), StandIn::start("owner/slug").await.unwrap());
    kaggle.publish(1, zipped(&[("vendas", VENDAS)]));
    let environment = [("KAGGLE_API_ENDPOINT", &*kaggle.url())];
    let done = desk.run_with(&environment, &["init", "owner/slug", "--output", "new.json"]);
    done.expect(0, &["vendas", "cdc-to-s3 run --once --config new.json --lake ./lake\n"]);
    assert_eq!(written(&desk, "new.json")["dataset_name"], "owner/slug");
    let run = ["run", "--once", "--json", "--lake", "lake", "--config", "new.json"];
    assert_eq!(counts(&desk.run_with(&environment, &run).json(), 0), [4, 0, 0, 0]);
}

#[test]
fn the_dialect_of_each_file_is_found_and_runs() {
    let desk = Desk::new();
    desk.write("odd/mysql.csv", "id\tv\n1\ta\\\tb\n2\tc\n3\td\n");
    desk.write("odd/titles.csv", "id\tv\n1\t\"Swing along\" gamma\n2\t\"Lost\n3\tThe 5\" disk\n");
    desk.write("odd/single.csv", "id;v\n1;'a;b'\n2;'c'\n3;'d'\n");
    desk.write("odd/excel.csv", "sep=;\r\nid;v\r\n1;a,b\r\n2;c\r\n");
    let done = desk.run(&["init", "odd", "--output", "odd.json"]);
    done.expect(0, &["escape is `\\`", "quote is `none`", "quote is `'`", "line 1 (`sep=`) is Excel's"]);
    assert_eq!(
        written(&desk, "odd.json")["tables"],
        json!([
            {"name": "excel", "sep": ";", "pk": "id"},
            {"name": "mysql", "sep": "\t", "escape": "\\", "pk": "id"},
            {"name": "single", "sep": ";", "quote": "'", "pk": "id"},
            {"name": "titles", "sep": "\t", "quote": "none", "pk": "id"},
        ])
    );
    let run = ["run", "--once", "--lake", "lake", "--json", "--config", "odd.json", "--skip-download", "odd"];
    let report = desk.run(&run).json();
    assert_eq!((0..4).map(|table| counts(&report, table)[0]).collect::<Vec<_>>(), [2, 3, 3, 3]);
}

#[test]
fn what_nothing_splits_and_what_has_no_header_is_said() {
    let desk = Desk::new();
    desk.write("odd/words.csv", "id name year\n1 ana 1990\n2 bob 1991\n");
    desk.write("odd/list.csv", "id\n7\n8\n");
    desk.write("odd/headless.csv", "1,Ana,2026-01-01\n2,Bob,2026-01-02\n");
    let done = desk.run(&["init", "odd", "--output", "odd.json"]);
    done.expect(
        0,
        &["left out: words.csv", "UnknownDelimiter", "list: no delimiter cuts its lines: taken as one column"],
    );
    done.expect(0, &["headless: header is `none`: its first row looks like data, not like a header", "column_1"]);
}

#[test]
fn a_file_without_a_header_gets_names_for_its_columns() {
    let desk = Desk::new();
    desk.write("odd/headless.csv", "1;Ana;1,5;1\n2;Bob;2,25;1\n");
    desk.run(&["init", "odd", "--output", "odd.json"]).expect(0, &["take `header` and `columns` out"]);
    let text = fs::read_to_string(desk.path("odd.json")).unwrap();
    let table = &written(&desk, "odd.json")["tables"][0];
    assert_eq!((&table["header"], &table["pk"], &table["sep"]), (&json!("none"), &json!("column_1"), &json!(";")));
    let columns: Vec<(&String, &Value)> = table["columns"].as_object().unwrap().iter().collect();
    assert_eq!(columns.len(), 4, "{text}");
    assert_eq!((columns[1].0.as_str(), columns[1].1), ("column_2", &json!("auto")));
    assert_eq!(columns[2].1, &json!("double"), "declared where it is never inferred");
    let run = ["run", "--once", "--lake", "lake", "--json", "--config", "odd.json", "--skip-download", "odd"];
    assert_eq!(counts(&desk.run(&run).json(), 0), [2, 0, 0, 0]);
}

/// An encoding that is written down holds for all files of a table.
#[test]
fn files_in_different_encodings_get_no_encoding_in_common() {
    let desk = Desk::new();
    fs::create_dir_all(desk.path("odd/s.csv")).unwrap();
    fs::write(desk.path("odd/s.csv/part-00000.csv"), b"id,v\n1,Jo\xE3o\n2,Concei\xE7\xE3o\n").unwrap();
    desk.write("odd/s.csv/part-00001.csv", "id,v\n3,João\n4,Conceição\n");
    desk.run(&["init", "odd", "--output", "odd.json"]).expect(0, &["wrote odd.json"]);
    assert_eq!(written(&desk, "odd.json")["tables"][0]["encoding"], Value::Null);
    let run = ["run", "--once", "--lake", "lake", "--json", "--config", "odd.json", "--skip-download", "odd"];
    let report = desk.run(&run).json();
    assert_eq!(counts(&report, 0), [4, 0, 0, 0]);
    assert!(report["tables"][0]["warnings"].to_string().contains("windows-1252"), "{report}");
}

/// Two tables whose names differ in case only are one to a catalog: what was written was refused.
#[test]
fn files_whose_names_differ_in_case_only_get_names_of_their_own() {
    let desk = Desk::new();
    desk.write("d/A.csv", "id,v\n1,x\n");
    desk.write("d/sub/a.csv", "id,v\n2,y\n");
    desk.write("d/b[1].csv", "id,v\n3,z\n");
    desk.run(&["init", "d", "--output", "c.json"]).expect(0, &[]);
    desk.run(&["run", "--once", "--config", "c.json", "--lake", "lake", "--skip-download", "d"]).expect(0, &[]);
    let files: Vec<Value> =
        written(&desk, "c.json")["tables"].as_array().unwrap().iter().map(|table| table["file"].clone()).collect();
    assert_eq!(files, [json!(null), json!("b[[]1].csv"), json!("sub/a.csv")]);
}
