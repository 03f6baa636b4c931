//! What the stages begin with: both versions of the table, and the lake after the first.

use std::fs::File;
use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::OnceLock;

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use cdc_to_s3::diff::{Index, Lookup, LookupPlan, PrintPlan, Rules, SetHash};
use cdc_to_s3::lake::base::Base;
use cdc_to_s3::lake::fingerprints::{self, Fingerprints, Origin};
use cdc_to_s3::lake::footer::{FileKind, Footer};
use cdc_to_s3::lake::layout::{self, RunTime};
use cdc_to_s3::lake::outline::BaseOutline;
use cdc_to_s3::lake::parquet::{Encoding, ParquetFile, ParquetWriter};
use cdc_to_s3::lake::store::{Condition, ETag, MemoryStore, ObjectStore, Payload, Put};
use cdc_to_s3::source::Limits;
use cdc_to_s3::source::archive::Archive;
use cdc_to_s3::table::{
    ColumnType, CsvFile, Dialect, Rows, TableFile, TableName, TableSchema, TableSpec, UpdateDetection,
};
use cdc_to_s3::workspace::Workspace;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::data;

/// Rows of the first version.
pub(crate) const ROWS: u64 = 200_000;

/// The table before and after, and what a run works with.
pub(crate) struct Fixture {
    pub(crate) workspace: Workspace,
    pub(crate) spec: TableSpec,
    pub(crate) schema: TableSchema,
    /// The second version in a zip, its bytes when unpacked, and the same at hand.
    pub(crate) zipped: CsvFile,
    pub(crate) text_bytes: u64,
    pub(crate) plain: CsvFile,
    /// The rows of the second version and their fingerprints.
    pub(crate) new: Vec<Rows>,
    pub(crate) lookups: Vec<Lookup>,
    /// The lake after the first version: its full load, with and without having to read it.
    pub(crate) full_load: ParquetFile,
    pub(crate) whole: Base,
    pub(crate) printed: Base,
}

impl Fixture {
    /// The one fixture of a run of the benchmarks.
    pub(crate) fn get() -> &'static Self {
        static FIXTURE: OnceLock<Fixture> = OnceLock::new();
        FIXTURE.get_or_init(Self::make)
    }

    fn make() -> Self {
        let workspace = Workspace::create(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
        let spec = spec();
        let text = Bytes::from(data::csv(2, ROWS));
        let zipped = zipped(&workspace, &spec.name, &text);
        let plain = csv_file(text.clone());
        let schema = plain.infer(&spec, None).unwrap();
        let new = rows(&plain, &spec, &schema);
        let plan = LookupPlan::new(&schema, &[], &spec.pk, schema.order(&spec)).unwrap();
        let lookups = new.iter().map(|rows| plan.prints(&rows.batch).unwrap()).collect();
        let old = rows(&csv_file(data::csv(1, ROWS).into()), &spec, &schema);
        let lake = Lake::of(&workspace, &spec, &schema, &old);
        let text_bytes = text.len() as u64;
        let Lake { full_load, whole, printed } = lake;
        Self { workspace, spec, schema, zipped, text_bytes, plain, new, lookups, full_load, whole, printed }
    }

    /// The date field and its type.
    pub(crate) fn order(&self) -> Option<(&str, ColumnType)> {
        self.schema.order(&self.spec)
    }

    /// How the rows are fingerprinted.
    pub(crate) fn plan(&self) -> PrintPlan {
        PrintPlan::new(&self.schema, &self.schema, &self.spec.pk, self.order()).unwrap()
    }

    /// The rules by which rows are compared.
    pub(crate) fn rules(&self) -> Rules {
        Rules::of(&self.spec)
    }
}

fn spec() -> TableSpec {
    let name = TableName::parse("vendas").unwrap();
    TableSpec {
        dialect: Dialect::delimited(b';'),
        date_field: Some("dtAtualizacao".to_owned()),
        update_detection: UpdateDetection::Date,
        ..TableSpec::new(name, vec!["idVenda".to_owned()])
    }
}

fn csv_file(text: Bytes) -> CsvFile {
    CsvFile::new("vendas.csv", Box::new(move || Ok(Box::new(Cursor::new(text.clone())))))
}

fn zipped(workspace: &Workspace, name: &TableName, text: &[u8]) -> CsvFile {
    let path = workspace.new_file("v2.zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    zip.start_file(format!("{name}.csv"), SimpleFileOptions::default()).unwrap();
    zip.write_all(text).unwrap();
    zip.finish().unwrap();
    match Archive::open(&path, Limits::default()).unwrap().table(name, workspace).unwrap() {
        TableFile::Csv(file) => file,
        _ => unreachable!("its name ends in .csv"),
    }
}

fn rows(file: &CsvFile, spec: &TableSpec, schema: &TableSchema) -> Vec<Rows> {
    let mut all = Vec::new();
    file.read(spec, schema, &mut |rows| {
        all.push(rows);
        Ok(())
    })
    .unwrap();
    all
}

struct Lake {
    full_load: ParquetFile,
    whole: Base,
    printed: Base,
}

impl Lake {
    fn of(workspace: &Workspace, spec: &TableSpec, schema: &TableSchema, rows: &[Rows]) -> Self {
        let order = schema.order(spec);
        let plan = PrintPlan::new(schema, schema, &spec.pk, order).unwrap();
        let plain = fingerprints::schema(order.map(|(_, order)| order));
        let writer = |name, schema, encoding| ParquetWriter::create(workspace.new_file(name), schema, encoding);
        let mut full_load = writer("full-load.parquet", schema.arrow(), Encoding::Table);
        let mut prints = writer("fingerprints.parquet", SchemaRef::clone(&plain), Encoding::Plain);
        let (mut index, mut orders) = (Index::new(), SetHash::default());
        for rows in rows {
            let found = plan.prints(&rows.batch).unwrap();
            full_load.write(&rows.batch).unwrap();
            let (batch, of_batch) = fingerprints::batch(&plain, &found, None).unwrap();
            prints.write(&batch).unwrap();
            orders.add_all(of_batch);
            index.load(&found.into(), None).unwrap();
        }
        let footer = footer(spec, schema, index.rows(), index.set_hash());
        let full_load = full_load.finish(footer.to_metadata()).unwrap();
        tokio::runtime::Runtime::new().unwrap().block_on(Self::store(
            workspace,
            spec,
            schema,
            full_load,
            (prints, orders),
        ))
    }

    async fn store(
        workspace: &Workspace,
        spec: &TableSpec,
        schema: &TableSchema,
        full_load: Payload,
        (prints, orders): (ParquetWriter, SetHash),
    ) -> Self {
        let (store, table) = (MemoryStore::new(), &spec.name);
        let origin =
            Origin::new(put(&store, &layout::full_load(table), &full_load).await, &spec.pk, schema.order(spec));
        put(&store, &layout::fingerprints(table), &prints.finish(origin.to_metadata(orders)).unwrap()).await;
        let outline = BaseOutline::read(&store, table).await.unwrap();
        let found = Fingerprints::fetch(&store, table, &origin, workspace).await.unwrap().fingerprints.unwrap();
        Self {
            full_load: Base::fetch_full_load(&store, table, workspace).await.unwrap(),
            whole: Base::fetch(&store, table, &outline, workspace).await.unwrap(),
            printed: Base::fetch_with_fingerprints(&store, &outline, found, workspace).await.unwrap(),
        }
    }
}

async fn put(store: &MemoryStore, key: &str, payload: &Payload) -> ETag {
    match store.put(key, payload, &Condition::Absent).await.unwrap() {
        Put::Written(etag) => etag,
        Put::Refused => unreachable!("the store was empty"),
    }
}

fn footer(spec: &TableSpec, schema: &TableSchema, rows: u64, set: SetHash) -> Footer {
    Footer {
        key_columns: spec.pk.clone(),
        rows,
        inserted: rows,
        row_set_hash: set.to_hex(),
        schema: schema.clone(),
        ..Footer::new(FileKind::FullLoad, spec.name.as_str(), RunTime::new(chrono::DateTime::UNIX_EPOCH), "benchmark")
    }
}
