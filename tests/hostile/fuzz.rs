//! Everything that reads foreign bytes, given a small corpus in thousands of mutations: it must neither panic nor hang, and
//! what it refuses it must refuse as the kind of error that it is.
//!
//! Mutations follow from the number of the iteration alone, so each failure names what repeats it. `CDC_FUZZ_ITERATIONS`
//! asks for more of them than a normal test run has time for.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use cdc_to_s3::config::Limits;
use cdc_to_s3::lake::parquet::ParquetFile;
use cdc_to_s3::lake::state::State;
use cdc_to_s3::lake::store::Payload;
use cdc_to_s3::source::archive::Archive;
use cdc_to_s3::table::{PassError, TableFile, TableSpec};
use cdc_to_s3::workspace::Workspace;
use cdc_to_s3::{Error, Kind, Result};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::forge::{Entry, archive};
use crate::support::lab::{self, FULL_LOAD, Lab, STATE};
use crate::support::random::Random;

/// The longest that one reading may take, on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The bytes that mean something to one of the formats.
const TELLING: [u8; 16] = *b"\"\n\r,;\t\0\xFF\xFE\x80PK\x7F01{";

/// Mutations that follow from a seed.
struct Chance(Random);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        self.0.below(bound.max(1))
    }

    /// Some bytes in a row.
    fn range(&mut self, len: usize) -> std::ops::Range<usize> {
        let start = self.below(len);
        start..start + self.below((len - start).min(32) + 1)
    }

    fn mutated(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = corpus[self.below(corpus.len())].clone();
        for _ in 0..=self.below(4) {
            self.mutate(&mut bytes, corpus);
        }
        bytes
    }

    fn mutate(&mut self, bytes: &mut Vec<u8>, corpus: &[Vec<u8>]) {
        let (at, byte) = (self.below(bytes.len()), TELLING[self.below(TELLING.len())]);
        let other = &corpus[self.below(corpus.len())];
        match self.below(7) {
            _ if bytes.is_empty() => bytes.push(byte),
            0 => bytes[at] ^= 1 << self.below(8),
            1 => bytes[at] = byte,
            2 => bytes.insert(at, byte),
            3 => drop(bytes.drain(self.range(bytes.len()))),
            4 => bytes.truncate(at),
            5 => bytes.extend_from_within(self.range(bytes.len())),
            _ => drop(bytes.splice(at..at, other[self.range(other.len())].iter().copied())),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "a test is a shell of its own")]
fn iterations(usual: u64) -> u64 {
    std::env::var("CDC_FUZZ_ITERATIONS").map_or(usual, |count| count.parse().unwrap())
}

/// Gives mutations of `corpus` to `read`, on a thread of its own that must not stop.
fn fuzz(usual: u64, corpus: Vec<Vec<u8>>, read: impl Fn(Vec<u8>) + Send + 'static) {
    let (sender, done) = mpsc::channel();
    thread::spawn(move || {
        for seed in 0..iterations(usual) {
            let bytes = Chance(Random::new(seed)).mutated(&corpus);
            let outcome = catch_unwind(AssertUnwindSafe(|| read(bytes)));
            if sender.send((seed, outcome.is_ok())).is_err() {
                return; // the test has failed already
            }
        }
    });
    for expected in 0..iterations(usual) {
        let (seed, fine) = done.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("iteration {expected} hangs"));
        assert!(fine, "iteration {seed} panicked, see above");
    }
}

#[track_caller]
fn expect_kind(error: &Error, kinds: &[Kind]) {
    assert!(kinds.contains(&error.kind()), "{error:?}");
    assert!(error.advice().is_some(), "{error:?} has no hint");
}

fn spec(more: Value) -> TableSpec {
    let mut table = json!({"name": "t", "pk": "id"});
    table.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    lab::config(&json!([table]), &Value::Null).unwrap().tables.remove(0)
}

/// Learns the schema of a file, then reads it: what was learnt must fit.
fn read_table(file: &TableFile, spec: &TableSpec) -> Result<()> {
    let mut detected = false;
    let schema = loop {
        match file.infer(spec, None) {
            Ok(schema) => break schema,
            Err(PassError::Fatal(error)) => return Err(error),
            Err(PassError::NotUtf8) if !detected => file.detect_encoding()?,
            Err(other) => panic!("learning a schema ended in {other:?}"),
        }
        detected = true;
    };
    match file.read(spec, &schema, &mut |_| Ok(())) {
        Ok(_) => Ok(()),
        Err(PassError::Fatal(error)) => Err(error),
        Err(other) => panic!("the schema that was learnt does not fit: {other:?}"),
    }
}

fn folder() -> (TempDir, Workspace) {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::create(folder.path()).unwrap();
    (folder, workspace)
}

fn read_snapshot(path: &Path, spec: &TableSpec, workspace: &Workspace) -> Result<()> {
    let limits = Limits { max_uncompressed_bytes: 1 << 20, max_compression_ratio: 100 };
    let archive = Archive::open(path, limits)?;
    archive.digest()?;
    read_table(&archive.table(&spec.name, workspace)?, spec)
}

#[test]
fn csv_files() {
    let corpus = [
        &b"id,v\n1,a\n2,\"b,c\"\n3,\"d\"\"e\"\n"[..],
        b"\xEF\xBB\xBFid;nome;valor\r\n1;Jo\xC3\xA3o;1.50\r\n2;;-0.5e-07\r\n",
        b"id,v\n1,Jo\xE3o\n2,A\xE7\xE3o\n",
        b"\xFF\xFEi\0d\0,\0v\0\n\x001\0,\0\xE9\0\n\0",
        b"\0i\0d\0,\0v\0\n\x001\0,\0x\0\n",
        b"id,at\n1,2024-01-01\n2,2024-01-01 10:00:00.123456\n3,2024-01-01T10:00:00Z\n4,true\n5,9007199254740993\n",
        b"\"id\",\"two\nlines\"\n\"1\",\"x\n\ny\"\n",
    ];
    let specs = [
        spec(Value::Null),
        spec(json!({"sep": ";", "columns": {"valor": "decimal(10,2)", "v": "string"}})),
        spec(json!({"encoding": "utf-16"})),
        spec(json!({"encoding": "latin-1", "columns": {"v": "double", "at": "timestamptz", "nome": "bool"}})),
    ];
    fuzz(4000, corpus.map(<[u8]>::to_vec).into(), move |bytes| {
        for spec in &specs {
            let content = bytes.clone();
            let open = move || -> Result<Box<dyn std::io::Read + Send>> {
                Ok(Box::new(std::io::Cursor::new(content.clone())))
            };
            let file = TableFile::Csv(cdc_to_s3::table::CsvFile::new("t.csv", Box::new(open)));
            if let Err(error) = read_table(&file, spec) {
                expect_kind(&error, &[Kind::Data]);
            }
        }
    });
}

#[test]
fn zip_archives() {
    let csv = b"id,v\n1,a\n2,bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb\n".as_slice();
    let stored = archive(&[Entry::stored("t.csv", csv), Entry::stored("u.csv", b"x")]);
    let deflated = archive(&[Entry::deflated("dir/t.csv", csv)]);
    let made_by_a_tool = lab::zip(&[("t.csv", csv), ("t.parquet", b"PAR1")]);
    let (folder, workspace) = folder();
    let spec = spec(Value::Null);
    fuzz(2000, vec![stored, deflated, made_by_a_tool], move |bytes| {
        let path = folder.path().join("snapshot.zip");
        fs::write(&path, bytes).unwrap();
        if let Err(error) = read_snapshot(&path, &spec, &workspace) {
            expect_kind(&error, &[Kind::Data]);
        }
    });
}

fn lake() -> lab::Objects {
    let mut lab = Lab::of_t(Value::Null);
    lab.csv_ok("id,v,at\n1,a,2024-01-01\n2,b,\n");
    lab.csv_ok("id,v,at\n1,a,2024-01-01\n2,c,2024-01-02 10:00\n");
    lab.objects()
}

#[test]
fn state_objects() {
    let pending = r#"{"format_version": 1, "head": null, "pending": {"run_at": "2026-11-20T09:00:00Z", "position": 7,
        "cdc_key": "cdc/t/t_20261120_090000.parquet", "owner": "event:1", "expires": "2026-11-20T09:15:00Z"}}"#;
    let corpus = vec![lake()[STATE].to_vec(), pending.into()];
    fuzz(20_000, corpus, |bytes| {
        if let Err(error) = State::parse(&bytes, STATE) {
            assert!(["StateGarbled", "StateTooNew"].contains(&error.code()), "{error:?}");
            expect_kind(&error, &[Kind::Internal, Kind::Config]);
        }
    });
}

#[test]
fn footers_of_the_lake() {
    let objects = lake();
    let corpus = objects.iter().filter(|(key, _)| key.ends_with(".parquet")).map(|(_, bytes)| bytes.to_vec());
    fuzz(10_000, corpus.collect(), |bytes| {
        if let Err(error) = ParquetFile::open(FULL_LOAD, Payload::Memory(Bytes::from(bytes))) {
            assert!(["DamagedObject", "ForeignObject"].contains(&error.code()), "{error:?}");
            expect_kind(&error, &[Kind::Internal]);
        }
    });
}

/// Found here: the reader of Parquet panics where a column begins before its file, and on some damaged pages.
#[test]
fn parquet_members() {
    let (folder, workspace) = folder();
    let spec = spec(Value::Null);
    fuzz(4000, vec![lake()[FULL_LOAD].to_vec()], move |bytes| {
        fs::write(folder.path().join("t.parquet"), bytes).unwrap();
        if let Err(error) = read_snapshot(folder.path(), &spec, &workspace) {
            expect_kind(&error, &[Kind::Data]);
        }
    });
}
