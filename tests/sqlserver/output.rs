//! What is written: names, columns, images, order, values that were not captured.

use cdc_to_s3::report::TableStatus;
use cdc_to_s3::source::sqlserver::{Images, MetadataColumns, OrderGrade, Start, TableOptions};

use super::{Job, footer, place, put};
use crate::support::cdc::{Statement, Transaction, cells};
use crate::support::lake;

fn columns(job: &[(String, cdc_to_s3::lake::parquet::ParquetFile)]) -> Vec<String> {
    let schema = job[0].1.batches(None).unwrap().schema();
    schema.fields().iter().map(|field| format!("{}:{}", field.name(), field.data_type())).collect()
}

#[tokio::test]
async fn changes_are_rows_with_their_operation_and_place() {
    let job = Job::starting(Start::Now);
    job.run_ok(0).await;
    job.change([put(1, &[("a", "x")]), put(2, &[])]);
    job.change([put(1, &[("a", "y")]), Statement::Delete(2)]);
    let report = job.run_ok(1).await;
    assert_eq!((report.inserted, report.updated, report.deleted), (2, 1, 1));
    assert_eq!(report.cdc_key.as_deref(), Some("Shop/t/cdc/t_cdc_20260921_141420.parquet"));
    let rows = job.rows().await;
    let brief: Vec<_> = rows.iter().map(|row| (row.op.as_str(), row.operation, row.key, row.cells.clone())).collect();
    assert_eq!(
        brief,
        [
            ("I", 2, 1, cells(&[("a", "x")])),
            ("I", 2, 2, cells(&[])),
            ("U", 4, 1, cells(&[("a", "y")])),
            ("D", 1, 2, cells(&[])),
        ]
    );
    assert!(rows.iter().all(|row| row.seq.starts_with(&row.commit) && row.seq.len() == 54 && !row.overlap));
    assert!(rows.is_sorted_by(|a, b| a.seq < b.seq));
    job.assert_verified().await;
}

#[tokio::test]
async fn the_columns_are_the_captured_ones_and_then_those_that_describe() {
    for (metadata, expected) in [
        (
            MetadataColumns::Readable,
            vec![
                "id:Int64",
                "a:Utf8",
                "note:Utf8",
                "op:Utf8",
                "_commit_lsn:Utf8",
                "_seq:Utf8",
                "_commit_time:Timestamp(µs, \"UTC\")",
                "_operation:Int32",
                "_unavailable:List(Utf8)",
                "_overlap:Boolean",
            ],
        ),
        (
            MetadataColumns::Native,
            vec![
                "__$start_lsn:Binary",
                "__$end_lsn:Binary",
                "__$seqval:Binary",
                "__$operation:Int32",
                "__$update_mask:Binary",
                "id:Int64",
                "a:Utf8",
                "note:Utf8",
                "__$command_id:Int32",
            ],
        ),
    ] {
        let mut job = Job::starting(Start::Earliest);
        job.feed.metadata_columns = metadata;
        job.change([put(1, &[]), put(1, &[("a", "b")])]);
        job.run_ok(0).await;
        assert_eq!(columns(&job.log().await), expected);
        job.assert_verified().await;
    }
}

#[tokio::test]
async fn both_images_of_an_update_stand_side_by_side_when_asked_for() {
    let mut job = Job::starting(Start::Earliest);
    job.feed.defaults = TableOptions { start: Start::Earliest, images: Images::BeforeAndAfter };
    job.change([put(1, &[("a", "old")]), put(1, &[("a", "new")])]);
    let report = job.run_ok(0).await;
    assert_eq!((report.inserted, report.updated), (1, 1));
    let rows: Vec<_> = job.rows().await.into_iter().map(|row| (row.op, row.operation, row.cells)).collect();
    let row = |op: &str, operation, text| (op.to_owned(), operation, cells(&[("a", text)]));
    assert_eq!(rows, [row("I", 2, "old"), row("U", 3, "old"), row("U", 4, "new")]);
    assert_eq!(footer(&job.log().await, 0).captured.as_ref().unwrap().before_images, 1);
    job.assert_current().await;
}

#[tokio::test]
async fn a_large_value_that_an_update_leaves_alone_is_named_and_not_taken_for_null() {
    let mut job = Job::starting(Start::Earliest);
    job.change([put(1, &[("a", "x"), ("note", "long")])]);
    job.change([put(1, &[("a", "y")])]);
    job.change([put(1, &[("note", "longer")])]);
    job.feed.defaults.images = Images::BeforeAndAfter;
    job.run_ok(0).await;
    let found: Vec<_> = job.rows().await.iter().map(|row| (row.operation, row.unavailable.concat())).collect();
    let named = |operation, name: &str| (operation, name.to_owned());
    assert_eq!(found, [named(2, ""), named(3, "note"), named(4, "note"), named(3, ""), named(4, "")]);
    job.assert_current().await;
}

#[tokio::test]
async fn a_transaction_that_began_early_and_was_committed_late_comes_late() {
    let job = Job::starting(Start::Now);
    job.run_ok(0).await;
    {
        let mut world = job.model.world();
        let (mut early, mut late) = (Transaction::default(), Transaction::default());
        world.execute(&mut early, "t", put(1, &[("a", "early")]));
        world.execute(&mut late, "t", put(2, &[("a", "late")]));
        world.commit(late);
        world.commit(early);
        world.capture_all();
    }
    job.run_ok(1).await;
    let rows = job.rows().await;
    assert_eq!(rows.iter().map(|row| row.key).collect::<Vec<_>>(), [2, 1]);
    assert!(rows[0].seq[28..48] > rows[1].seq[28..48], "the sequence values alone would say otherwise");
    job.assert_current().await;
}

#[tokio::test]
async fn without_command_ids_the_order_is_the_lower_one_and_the_footer_says_so() {
    for (grade, name) in [(OrderGrade::Command, "command"), (OrderGrade::Sequence, "sequence")] {
        let job = Job::starting(Start::Earliest);
        job.model.world().grade = grade;
        job.change([put(1, &[("a", "x")]), put(2, &[]), Statement::Delete(2)]);
        job.run_ok(0).await;
        assert_eq!(footer(&job.log().await, 0).captured.as_ref().unwrap().order, name);
        let commands: Vec<String> = job.rows().await.iter().map(|row| row.seq[20..28].to_owned()).collect();
        assert_eq!(commands.concat() == "0".repeat(24), grade == OrderGrade::Sequence, "{commands:?}");
        job.assert_current().await;
    }
}

#[tokio::test]
async fn a_run_without_changes_writes_no_object_and_moves_the_position() {
    let job = Job::starting(Start::Now);
    job.run_ok(0).await;
    let before = job.state().await.head.unwrap().position;
    job.model.world().capture_all();
    let report = job.run_ok(1).await;
    let after = job.state().await.head.unwrap().position;
    assert!(before != after && report.position == after && report.status == TableStatus::Unchanged);
    assert_eq!(job.objects().await.into_keys().collect::<Vec<_>>(), ["_state/t.json"]);
    // Nothing new at all: not even the state is written.
    let etag = job.objects().await;
    job.run_ok(2).await;
    assert_eq!(job.objects().await, etag);
    // The next object's range begins where the last one ended, so that the chain has no hole.
    job.change([put(1, &[])]);
    job.run_ok(3).await;
    assert_eq!(Some(footer(&job.log().await, 0).captured.as_ref().unwrap().after), before.unwrap().lsn());
    job.assert_verified().await;
}

#[tokio::test]
async fn the_schema_is_part_of_the_names_when_asked_for_and_two_tables_of_one_name_need_it() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    {
        let mut world = job.model.world();
        world.create("T", &["a"]);
        world.enable("T", "other");
        world.capture_all();
    }
    let report = job.attempt(&*job.store, &lake::request(0)).await.unwrap();
    // Names sort by bytes: `T` is first, and the second has to give way.
    let second = report.tables[1].error.as_ref().unwrap();
    assert_eq!((report.tables[1].name.as_str(), second.code()), ("dbo.t", "NameTaken"));
    assert!(second.advice().unwrap().contains("schema_in_path"));
    let mut job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    job.feed.schema_in_path = true;
    job.run_ok(1).await;
    let keys = job.objects().await;
    assert!(
        keys.contains_key("Shop/dbo/t/cdc/t_cdc_20260921_141420.parquet") && keys.contains_key("_state/dbo.t.json")
    );
    job.assert_verified().await;
}

#[tokio::test]
async fn a_column_with_the_name_of_a_describing_one_is_refused_unless_native() {
    let mut job = Job::starting(Start::Earliest);
    {
        let mut world = job.model.world();
        world.drop_table("t");
        world.create("t", &["OP"]);
        world.enable("t", "dbo_t");
        world.capture_all();
    }
    assert!(job.failure(0, "ReservedColumn").await.contains("native"));
    job.feed.metadata_columns = MetadataColumns::Native;
    job.run_ok(1).await;
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[]), put(2, &[])]);
    let mut request = lake::request(0);
    request.dry_run = true;
    let report = job.attempt(&*job.store, &request).await.unwrap();
    assert_eq!((report.tables[0].inserted, report.tables[0].status), (2, TableStatus::Changed));
    assert!(job.objects().await.is_empty());
}

#[tokio::test]
async fn every_run_that_published_keeps_its_report() {
    let job = Job::starting(Start::Earliest);
    job.change([put(1, &[])]);
    job.run_ok(0).await;
    let objects = job.objects().await;
    let report: serde_json::Value = serde_json::from_slice(&objects["_runs/20260921_141320.json"]).unwrap();
    assert_eq!(report["source"]["kind"], "sqlserver");
    assert_eq!(report["source"]["position"], job.state().await.head.unwrap().position.unwrap().to_string());
    assert_eq!(report["tables"][0]["name"], place().table());
}
