//! What each stage of a run costs, and how much of the table it does in a second: `make bench-stages`.
//!
//! Stages that a run does side by side are measured one by one here, on the same 200,000 rows (31 MB of CSV).
#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

mod data;
mod fixture;

use std::io;

use cdc_to_s3::diff::{Diff, Outcome};
use cdc_to_s3::lake::parquet::{Encoding, ParquetWriter};
use divan::counter::{BytesCount, ItemsCount};
use divan::{Bencher, Divan};

use self::fixture::{Fixture, ROWS};

fn main() {
    Divan::default().sample_count(20).config_with_args().main();
}

/// The member of a zip, unpacked on a thread of its own and checked.
#[divan::bench]
fn inflate(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let inflate = || io::copy(&mut fixture.zipped.bytes().unwrap(), &mut io::sink()).unwrap();
    bencher.counter(BytesCount::new(fixture.text_bytes)).bench(inflate);
}

/// Text into records.
#[divan::bench]
fn split(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    bencher.counter(BytesCount::new(fixture.text_bytes)).bench(|| fixture.plain.count_records(&fixture.spec).unwrap());
}

/// Text into typed batches; splitting included.
#[divan::bench]
fn types(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    bencher.counter(BytesCount::new(fixture.text_bytes)).bench(|| {
        fixture.plain.read(&fixture.spec, &fixture.schema, &mut |rows| {
            divan::black_box(rows);
            Ok(())
        })
    });
}

/// Batches into fingerprints of key, content and date.
#[divan::bench]
fn fingerprint(bencher: Bencher<'_, '_>) {
    let (fixture, plan) = (Fixture::get(), Fixture::get().plan());
    bencher
        .counter(new_rows(fixture))
        .bench(|| fixture.new.iter().map(|rows| plan.prints(&rows.batch).unwrap().len()).sum::<usize>());
}

/// The index of the old rows, from the fingerprints that were kept.
#[divan::bench]
fn index_from_fingerprints(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let index = || fixture.printed.index(&fixture.spec.pk, fixture.order()).unwrap();
    bencher.counter(ItemsCount::new(ROWS)).bench(index);
}

/// The same from the full load, where no fingerprints are there: decoding and fingerprinting included.
#[divan::bench]
fn index_from_full_load(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let index = || fixture.whole.index(&fixture.spec.pk, fixture.order()).unwrap();
    bencher.counter(ItemsCount::new(ROWS)).bench(index);
}

/// New rows looked up in the index and judged.
#[divan::bench]
fn probe(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let index = fixture.printed.index(&fixture.spec.pk, fixture.order()).unwrap();
    bencher.counter(new_rows(fixture)).bench(|| {
        let mut diff = Diff::new(&index, fixture.rules(), None);
        for (lookup, rows) in fixture.lookups.iter().zip(&fixture.new) {
            divan::black_box(diff.classify(lookup, &rows.lines));
        }
        diff.outcome().counts
    });
}

/// Batches into a Parquet file of the full load.
#[divan::bench]
fn encode(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let path = fixture.workspace.new_file("encoded.parquet");
    bencher.counter(new_rows(fixture)).bench(|| {
        let mut writer = ParquetWriter::create(path.clone(), fixture.schema.arrow(), Encoding::Table);
        fixture.new.iter().for_each(|rows| writer.write(&rows.batch).unwrap());
        writer.finish([]).unwrap().len()
    });
}

/// The previous full load into batches.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    bencher
        .counter(ItemsCount::new(ROWS))
        .bench(|| fixture.full_load.batches(None).unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>());
}

/// The rows that are gone, from the previous full load, on the threads that a run uses.
#[divan::bench]
fn deleted_rows(bencher: Bencher<'_, '_>) {
    let fixture = Fixture::get();
    let deleted = outcome(fixture).deleted;
    bencher.counter(ItemsCount::new(deleted.len())).bench(|| {
        fixture.whole.rows(&deleted, &mut |_, batch| {
            divan::black_box(batch);
            Ok(())
        })
    });
}

fn outcome(fixture: &Fixture) -> Outcome {
    let index = fixture.printed.index(&fixture.spec.pk, fixture.order()).unwrap();
    let mut diff = Diff::new(&index, fixture.rules(), None);
    for (lookup, rows) in fixture.lookups.iter().zip(&fixture.new) {
        diff.classify(lookup, &rows.lines);
    }
    diff.outcome()
}

fn new_rows(fixture: &Fixture) -> ItemsCount {
    ItemsCount::new(fixture.lookups.iter().map(|lookup| lookup.own.len()).sum::<usize>())
}
