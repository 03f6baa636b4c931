//! What a run keeps in its work folder: never more than the table, or the window, at work needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use cdc_to_s3::Result;
use cdc_to_s3::lake::store::{ByteRange, Condition, Listed, MemoryStore, Object, ObjectStore, Payload, Put};
use cdc_to_s3::pipeline::{self, Unwatched};
use cdc_to_s3::table::TableSpec;

use crate::support::lake;

const ROWS: usize = 20_000;

/// A store that weighs a folder at each call.
#[derive(Debug)]
pub(crate) struct Scales {
    inner: MemoryStore,
    folder: PathBuf,
    peak: AtomicU64,
}

impl Scales {
    pub(crate) fn new(folder: &Path) -> Self {
        Self { inner: MemoryStore::new(), folder: folder.to_owned(), peak: AtomicU64::new(0) }
    }

    /// The most bytes that were in the folder at one time, since this was asked last.
    pub(crate) fn take_peak(&self) -> u64 {
        self.peak.swap(0, Ordering::Relaxed)
    }

    fn weigh(&self) {
        self.peak.fetch_max(bytes_below(&self.folder), Ordering::Relaxed);
    }
}

fn bytes_below(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let size = |path: &Path| fs::metadata(path).map_or(0, |found| found.len());
    let paths = entries.flatten().map(|entry| entry.path());
    paths.map(|path| if path.is_dir() { bytes_below(&path) } else { size(&path) }).sum()
}

#[async_trait]
impl ObjectStore for Scales {
    async fn get(&self, key: &str, range: Option<ByteRange>) -> Result<Option<Object>> {
        self.weigh();
        self.inner.get(key, range).await
    }

    async fn put(&self, key: &str, payload: &Payload, condition: &Condition) -> Result<Put> {
        self.weigh();
        self.inner.put(key, payload, condition).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>> {
        self.weigh();
        self.inner.list(prefix, after).await
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

/// Rows that do not compress, so that files have the size of their content. Their types change halfway, which has the
/// comparison begin anew.
fn write_tables(folder: &Path, names: &[&str], version: u64) {
    fs::create_dir_all(folder).unwrap();
    for name in names {
        let row = |id: usize| {
            let noise = (id as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_mul(version + 2).rotate_left(29);
            let mixed = if id > ROWS / 2 && version > 0 { "x".to_owned() } else { id.to_string() };
            format!(
                "{id},{mixed},{noise:016x}{:016x}{:016x}\n",
                noise.wrapping_mul(noise),
                noise.wrapping_mul(3 + noise)
            )
        };
        let rows: String = (0..ROWS).map(row).collect();
        fs::write(folder.join(format!("{name}.csv")), format!("id,mixed,noise\n{rows}")).unwrap();
    }
}

/// The peak of the work folder in the second of two runs over these tables.
async fn peak_of(names: &[&str]) -> u64 {
    let (folder, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let specs: Vec<TableSpec> = names.iter().map(|name| lake::spec(name)).collect();
    let store = Scales::new(work.path());
    for version in 0..2 {
        store.take_peak();
        let path = folder.path().join(format!("v{version}"));
        write_tables(&path, names, version);
        let (source, request) = (lake::local(&path), lake::request(60 * version as i64));
        let run = pipeline::run(&request, &specs, &source, &store, work.path(), &Unwatched);
        let report = Box::pin(run).await.unwrap();
        assert!(report.tables.iter().all(|table| table.error.is_none()), "{report:?}");
    }
    store.take_peak()
}

#[tokio::test]
async fn the_files_of_a_table_are_gone_when_the_next_one_starts() {
    let one = peak_of(&["t"]).await;
    let five = peak_of(&["a", "b", "c", "d", "e"]).await;
    assert!(one > ROWS as u64 * 50, "{one} bytes are not the files of a table");
    assert!(five <= 2 * one, "five tables: {five} bytes, one: {one}");
}
