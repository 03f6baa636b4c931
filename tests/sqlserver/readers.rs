//! What `docs/consume.md` and `ddl` tell readers of captured changes to do, done. The work is in `consume_captured.py`.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{RecordBatch, new_null_array};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use cdc_to_s3::lake::parquet::{Encoding, ParquetWriter};
use cdc_to_s3::lake::store::LakeUrl;
use cdc_to_s3::ops::ddl::{self, Tables};
use cdc_to_s3::source::sqlserver::{Images, MetadataColumns, TableOptions};
use serde_json::{Value, json};

use super::{Job, put};
use crate::second_reader::{project, python, run};
use crate::support::cdc::Statement;

/// A job whose rows were inserted, updated, deleted and inserted again, before and after its first load.
async fn lived_in(metadata_columns: MetadataColumns) -> Job {
    let mut job = Job::new();
    job.feed.metadata_columns = metadata_columns;
    job.feed.defaults = TableOptions { images: Images::BeforeAndAfter, ..TableOptions::default() };
    let both = |key, text| put(key, &[("a", text), ("note", text)]);
    job.change((1..=5).map(|key| both(key, "first")));
    job.run_ok(0).await;
    job.change([both(1, "second"), both(1, "third"), Statement::Delete(2), both(6, "new")]);
    job.run_ok(1).await;
    job.change([Statement::Delete(3), both(3, "again"), both(7, "short"), Statement::Delete(7)]);
    job.change([both(4, "last")]);
    job.run_ok(2).await;
    job
}

async fn store_in(folder: &Path, job: &Job) {
    for (key, bytes) in job.objects().await {
        let path = folder.join("lake").join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

/// A file with a column of each type that only captured tables have.
fn kinds(path: &Path) {
    let of = [
        DataType::Int16,
        DataType::Int32,
        DataType::Float32,
        DataType::Decimal128(38, 4),
        DataType::Time64(TimeUnit::Microsecond),
        DataType::Binary,
        DataType::List(Arc::new(Field::new_list_field(DataType::Utf8, true))),
    ];
    let fields = of.iter().enumerate().map(|(at, of)| Field::new(format!("c{at}"), of.clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let mut writer = ParquetWriter::create(path.to_owned(), Arc::clone(&schema), Encoding::Table);
    let columns = of.iter().map(|of| new_null_array(of, 1)).collect();
    writer.write(&RecordBatch::try_new(schema, columns).unwrap()).unwrap();
    writer.finish([]).unwrap();
}

#[tokio::test]
async fn readers_that_do_as_the_documents_say_have_the_table_as_it_is() {
    for metadata in [MetadataColumns::Readable, MetadataColumns::Native] {
        let (folder, job) = (tempfile::tempdir().unwrap(), lived_in(metadata).await);
        store_in(folder.path(), &job).await;
        kinds(&folder.path().join("kinds.parquet"));
        let Tables { described, unknown, unreadable: _ } =
            ddl::captured(&*job.store, false, metadata, None).await.unwrap();
        assert!(unknown.is_empty());
        let script = ddl::athena(&described, &LakeUrl::Dir("/lake".into()), "raw").unwrap();
        assert!(script.left_out.is_empty() && script.statements.len() == 3, "{script:?}");
        let rows = job.model.world().rows("t");
        let rows: Vec<Value> =
            rows.iter().map(|(id, cells)| json!({"id": id, "a": cells["a"], "note": cells["note"]})).collect();
        let readable = metadata == MetadataColumns::Readable;
        let task = json!({"statements": script.statements, "rows": rows, "readable": readable});
        fs::write(folder.path().join("task.json"), task.to_string()).unwrap();
        let mut reader = Command::new(python());
        reader.current_dir(folder.path()).arg(project("tests/consume_captured.py")).arg(project("docs/consume.md"));
        let said = run(&mut reader);
        assert!(said.contains(if readable { "5 rows by 4 queries" } else { "5 rows by 1 queries" }), "{said}");
        assert!(said.contains("7 types by three readers"), "{said}");
    }
}

#[tokio::test]
async fn a_table_that_nothing_was_written_of_is_named_and_left_out() {
    let job = Job::starting(cdc_to_s3::source::sqlserver::Start::Now);
    job.run_ok(0).await;
    let none = ddl::captured(&*job.store, false, MetadataColumns::Readable, None).await.unwrap_err();
    assert_eq!(none.code(), "NoData");
    job.change([put(1, &[])]);
    job.run_ok(1).await;
    let found =
        ddl::captured(&*job.store, false, MetadataColumns::Readable, Some(&["dbo.t".to_owned()])).await.unwrap();
    assert!(!found.described[0].has_full_load);
    let unknown = ddl::captured(&*job.store, false, MetadataColumns::Readable, Some(&["dbo.x".to_owned()])).await;
    assert_eq!(unknown.unwrap_err().code(), "UnknownTable");
}
