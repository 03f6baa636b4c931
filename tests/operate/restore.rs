//! Each version of random histories is restored from the log, and is that version.

use cdc_to_s3::ops::restore::{At, Format, Output, Restored};
use proptest::prelude::*;

use crate::support::lab::{FULL_LOAD, Lab};
use crate::support::random::Random;

const CELLS: [&str; 9] = ["", "1", "2", "2.5", "true", "2024-01-01", "2024-01-02 10:00", "x,\"y\"", "João"];

/// A version as its file, and what its full load held.
struct Version {
    at: At,
    rows: Vec<String>,
    columns: Vec<String>,
}

/// A table that changes, widens and loses rows; every cell is made from `random`.
fn csv(random: &mut Random, plain: bool) -> String {
    let mut csv = "id,a,b\n".to_owned();
    for id in 0..12 {
        if random.chance(70) {
            let cell = |random: &mut Random| match plain {
                true => random.pick(&["", "1", "2", "3"]),
                false => random.pick(&CELLS),
            };
            let [a, b] = [cell(random), cell(random)].map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")));
            csv += &format!("{id},{a},{b}\n");
        }
    }
    if csv.lines().count() == 1 { csv + "0,1,2\n" } else { csv }
}

fn live(seed: u64, plain: bool) {
    let mut random = Random::new(seed);
    let mut lab = Lab::of_t(serde_json::json!({"max_deleted_fraction": 1.0, "update_detection": "content"}));
    let mut versions: Vec<Version> = Vec::new();
    for _ in 0..2 + random.below(5) {
        lab.csv_ok(csv(&mut random, plain));
        versions.push(Version { at: lab.now(), rows: lab.full_load(), columns: lab.columns(FULL_LOAD) });
    }
    for version in &versions {
        let (restored, rows, columns) = restored(&lab, version.at);
        assert_eq!(columns, version.columns);
        assert!(restored.proven || !plain, "{restored:?}");
        assert_eq!(restored.warnings.is_empty(), restored.proven);
        if restored.proven {
            assert_eq!(sorted(rows), sorted(version.rows.clone()), "seed {seed}");
        } else {
            // Values that became text are spelt by their older type: keys and number of rows are the same all the same.
            let keys =
                |rows: Vec<String>| sorted(rows.into_iter().map(|row| row.split('|').next().unwrap().into()).collect());
            assert_eq!(keys(rows), keys(version.rows.clone()), "seed {seed}");
        }
        assert_eq!(restored.rows, version.rows.len() as u64);
    }
}

fn restored(lab: &Lab, at: At) -> (Restored, Vec<String>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    let restored = lab.restore(at, Output::File(path.clone(), Format::Parquet)).unwrap();
    let bytes = bytes::Bytes::from(std::fs::read(&path).unwrap());
    (restored, crate::support::lab::rows_of(&bytes), crate::support::lab::columns_of(&bytes))
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_version_of_a_table_comes_back(seed in any::<u64>()) {
        live(seed, true);
    }

    #[test]
    fn versions_come_back_also_where_columns_widen(seed in any::<u64>()) {
        live(seed, false);
    }
}

#[test]
fn a_restored_file_is_a_full_load_that_the_next_run_builds_on() {
    let mut lab = Lab::of_t(serde_json::json!({}));
    lab.csv_ok("id,a\n1,x\n2,y\n");
    let at = lab.now();
    lab.csv_ok("id,a\n1,z\n3,y\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.parquet");
    lab.restore(at, Output::File(path.clone(), Format::Parquet)).unwrap();
    lab.tamper(FULL_LOAD, Some(std::fs::read(&path).unwrap().into()));
    assert_eq!(sorted(lab.full_load()), ["1|x", "2|y"]);
    let report = lab.csv_ok("id,a\n1,z\n3,w\n");
    assert_eq!((report.inserted, report.updated, report.deleted), (0, 1, 0));
    lab.assert_verified();
}

#[test]
fn what_was_edited_is_not_given_out_as_the_snapshot() {
    let mut lab = Lab::of_t(serde_json::json!({}));
    lab.csv_ok("id,a\n1,x\n2,y\n");
    lab.csv_ok("id,a\n1,z\n2,y\n");
    let at = lab.now();
    let mut other = Lab::of_t(serde_json::json!({}));
    other.csv_ok("id,a\n1,x\n2,y\n");
    other.csv_ok("id,a\n1,forged\n2,y\n");
    let key = lab.log().pop().unwrap();
    let mut forged = other.objects().remove(&key).unwrap().to_vec();
    // The forged object keeps the honest one's fingerprint in its footer, which has the same length.
    let honest = lab.objects().remove(&key).unwrap();
    let hash = |bytes: &[u8]| crate::support::lab::metadata_of(&bytes.to_vec().into(), "cdc_to_s3.row_set_hash");
    let (from, to) = (hash(&forged), hash(&honest));
    let place = forged.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
    forged[place..place + to.len()].copy_from_slice(to.as_bytes());
    lab.tamper(&key, Some(forged.into()));
    lab.csv_ok("id,a\n1,z\n2,w\n");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let error = lab.restore(at, Output::File(path.clone(), Format::Csv { delimiter: None })).unwrap_err();
    assert_eq!((error.code(), path.exists()), ("ProofFailed", false));
}
