//! One identity of keys and values, however the source spells them: for runs, replays, `verify` and `restore`.
//!
//! A history is a table by its values; each version spells them anew (`5` or `5.0`, an offset or another, a comma or a point), comes
//! as CSV or as Parquet, and only what changed by value may come out.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use cdc_to_s3::ops::restore::{At, Format, Output};
use parquet::arrow::ArrowWriter;
use proptest::prelude::*;
use serde_json::json;

use crate::support::lab::{FULL_LOAD, Lab, columns_of, rows_of};
use crate::support::random::Random;

const MINUTE: i64 = 60_000_000;
const YEAR_2020: i64 = 1_577_836_800_000_000;

/// The values of a row beside its key: minutes of an instant, eighths of a number, NaN among them, and a note.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    at: Option<i64>,
    price: Option<i64>,
    ratio: Option<Ratio>,
    note: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ratio {
    Eighths(i32),
    NotANumber,
}

type Table = BTreeMap<i64, Row>;

fn row(random: &mut Random, noted: bool) -> Row {
    let number = |random: &mut Random, most| (!random.chance(20)).then(|| i64::try_from(random.below(most)).unwrap());
    Row {
        at: number(random, 3),
        price: number(random, 3),
        ratio: number(random, 4)
            .map(|eighths| if eighths == 3 { Ratio::NotANumber } else { Ratio::Eighths(eighths as i32) }),
        note: if noted { random.pick(&[None, Some("x"), Some("y")]) } else { None },
    }
}

/// The next version by value.
fn next(random: &mut Random, before: &Table, noted: bool) -> Table {
    let mut table = before.clone();
    for id in 1..9 {
        match random.below(4) {
            0 => drop(table.insert(id, row(random, noted))),
            1 if table.len() > 1 => drop(table.remove(&id)),
            _ => {}
        }
    }
    table
}

/// The table as CSV, which has no NaN, so that there is none in its column.
fn csv(random: &mut Random, table: &Table, learnt: bool) -> Vec<u8> {
    let point = random.pick(&[',', '.']);
    let mut text = "id;at;price;ratio;note\n".to_owned();
    for (id, row) in table {
        let id = if learnt && random.chance(50) { format!("{id}.0") } else { id.to_string() };
        let at = row.at.map(|minutes| instant(random, minutes, learnt)).unwrap_or_default();
        let price =
            row.price.map(|eighths| decimal(eighths, random).replace('.', &point.to_string())).unwrap_or_default();
        let ratio = row.ratio.map(|ratio| match ratio {
            Ratio::Eighths(eighths) => decimal(eighths.into(), random),
            Ratio::NotANumber => "NaN".to_owned(),
        });
        text += &format!("{id};{at};{price};{};{}\n", ratio.unwrap_or_default(), row.note.unwrap_or_default());
    }
    text.into_bytes()
}

fn decimal(eighths: i64, random: &mut Random) -> String {
    let text = (eighths as f64 / 8.0).to_string();
    if text.contains('.') { text + random.pick(&["", "0", "00"]) } else { text }
}

/// An instant in UTC or, where its column is known to be one of instants, with any offset.
fn instant(random: &mut Random, minutes: i64, learnt: bool) -> String {
    let (offset, shown) = if learnt { random.pick(&[(0, "Z"), (-180, "-03:00"), (330, "+05:30")]) } else { (0, "Z") };
    let local = chrono::DateTime::from_timestamp_micros(YEAR_2020 + (minutes + offset) * MINUTE).unwrap();
    format!("{}{shown}", local.format("%Y-%m-%dT%H:%M:%S"))
}

fn parquet(random: &mut Random, table: &Table) -> Vec<u8> {
    // Other bits, and no number all the same.
    let nan = random.pick(&[f64::NAN, -f64::NAN, f64::from_bits(0x7ff8_0000_0000_0001)]);
    let ratio = |ratio: Ratio| match ratio {
        Ratio::Eighths(eighths) => f64::from(eighths) / 8.0,
        Ratio::NotANumber => nan,
    };
    let times = table.values().map(|row| row.at.map(|minutes| YEAR_2020 + minutes * MINUTE));
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "id",
            match random.chance(50) {
                true => Arc::new(table.keys().map(|id| Some(*id)).collect::<Int64Array>()),
                false => Arc::new(table.keys().map(|id| Some(*id as f64)).collect::<Float64Array>()),
            },
        ),
        ("at", Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("Asia/Tokyo"))),
        (
            "price",
            Arc::new(table.values().map(|row| row.price.map(|eighths| eighths as f64 / 8.0)).collect::<Float64Array>()),
        ),
        ("ratio", Arc::new(table.values().map(|row| row.ratio.map(ratio)).collect::<Float64Array>())),
        ("note", Arc::new(table.values().map(|row| row.note).collect::<StringArray>())),
    ];
    let batch =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

/// What changed by value: inserted, updated, deleted.
fn changes(before: &Table, after: &Table) -> (u64, u64, u64) {
    let count = |rows: usize| u64::try_from(rows).unwrap();
    let inserted = after.keys().filter(|id| !before.contains_key(id)).count();
    let updated = after.iter().filter(|(id, row)| before.get(id).is_some_and(|before| before != *row)).count();
    (count(inserted), count(updated), count(before.keys().filter(|id| !after.contains_key(id)).count()))
}

fn live(seed: u64) {
    let mut random = Random::new(seed);
    let mut lab = Lab::of_t(json!({
        "sep": ";", "file": "t.*", "max_deleted_fraction": 1.0, "columns": {"price": "double", "ratio": "double"},
    }));
    let (mut table, mut versions, mut learnt): (Table, Vec<(At, Vec<String>)>, bool) = Default::default();
    for version in 0..2 + random.below(5) {
        let mut after = next(&mut random, &table, version > 1);
        if version == 0 {
            after.insert(1, Row { at: Some(0), ..row(&mut random, false) });
            after.values_mut().filter(|row| row.ratio == Some(Ratio::NotANumber)).for_each(|row| row.ratio = None);
        }
        let has_nan = after.values().any(|row| row.ratio == Some(Ratio::NotANumber));
        let report = match has_nan || learnt && random.chance(40) {
            true => lab.run(&[("t.parquet", &parquet(&mut random, &after))]),
            false => lab.run(&[("t.csv", &csv(&mut random, &after, learnt))]),
        };
        let report = &report.tables[0];
        assert!(report.error.is_none(), "{:?}", report.error);
        assert_eq!((report.inserted, report.updated, report.deleted), changes(&table, &after), "version {version}");
        lab.assert_verified();
        (table, learnt) = (after, true);
        versions.push((lab.now(), sorted(lab.full_load())));
    }
    assert_eq!(lab.columns(FULL_LOAD)[..3], ["id:Int64", "at:Timestamp(µs, \"UTC\")", "price:Float64"]);
    assert_versions(&lab, &versions);
}

/// Each version comes back by the log, in the types of then.
fn assert_versions(lab: &Lab, versions: &[(At, Vec<String>)]) {
    let folder = tempfile::tempdir().unwrap();
    for (number, (at, rows)) in versions.iter().enumerate() {
        let path = folder.path().join(format!("{number}.parquet"));
        let restored = lab.restore(*at, Output::File(path.clone(), Format::Parquet)).unwrap();
        let bytes = std::fs::read(&path).unwrap().into();
        assert!(restored.proven && columns_of(&bytes)[0] == "id:Int64", "{restored:?}");
        assert_eq!(sorted(rows_of(&bytes)), *rows);
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 80, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_what_changed_by_value_is_a_change(seed in any::<u64>()) {
        live(seed);
    }
}
