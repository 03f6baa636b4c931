//! The promise as a property, through the real pipeline: the old rows plus the changes are the new rows.
//!
//! A history is a random sequence of snapshots of one table. Cells are drawn from few texts of every type, so that keys
//! come back, columns widen and values stay the same; the columns of each snapshot, their order and that of the rows vary.
//! What must come out is computed here once more, on the printed rows, with a map and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use serde_json::{Value, json};

use crate::support::lab::{FULL_LOAD, Lab};

const COLUMNS: [&str; 3] = ["a", "b", "c"];
const CELLS: [&str; 14] = [
    "",
    "",
    "1",
    "2",
    "2.5",
    "10",
    "true",
    "2024-01-01",
    "2024-01-02",
    "2024-01-02 10:00",
    "x",
    "y,\"z\"\n",
    "007",
    "João",
];

/// One snapshot: its columns, and its rows by the parts of their key.
#[derive(Clone, Debug)]
struct Snapshot {
    columns: Vec<&'static str>,
    rows: BTreeMap<(u8, u8), [&'static str; 3]>,
    reversed: bool,
    nested: bool,
}

#[derive(Clone, Debug)]
struct History {
    composite: bool,
    text_key: bool,
    mode: &'static str,
    snapshots: Vec<Snapshot>,
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let cells = [select(&CELLS[..]), select(&CELLS[..]), select(&CELLS[..])];
    let rows = btree_map((0_u8..6, 0_u8..2), cells, 1..9);
    let columns = subsequence(COLUMNS.to_vec(), 1..=3).prop_shuffle();
    (columns, rows, any::<bool>(), any::<bool>()).prop_map(|(columns, rows, reversed, nested)| Snapshot {
        columns,
        rows,
        reversed,
        nested,
    })
}

fn history() -> impl Strategy<Value = History> {
    let mode = select(&["content", "date"][..]);
    (any::<bool>(), any::<bool>(), mode, vec(snapshot(), 2..6)).prop_map(|(composite, text_key, mode, snapshots)| {
        // The date field is always there, and no key is repeated.
        let valid = |mut snapshot: Snapshot| {
            if mode != "content" && !snapshot.columns.contains(&"a") {
                snapshot.columns.push("a");
            }
            let keys: BTreeSet<u8> = snapshot.rows.keys().filter(|key| key.1 == 0).map(|key| key.0).collect();
            snapshot.rows.retain(|key, _| composite || key.1 == 0 || !keys.contains(&key.0));
            snapshot
        };
        History { composite, text_key, mode, snapshots: snapshots.into_iter().map(valid).collect() }
    })
}

impl History {
    fn lab(&self) -> Lab {
        let pk = if self.composite { json!(["k", "l"]) } else { json!("k") };
        let date_field = if self.mode == "content" { Value::Null } else { json!("a") };
        Lab::of_t(json!({
            "pk": pk, "date_field": date_field, "update_detection": self.mode, "max_deleted_fraction": 1.0,
        }))
    }

    /// The text of a key. One of them is no number, where that is asked for.
    fn key(&self, number: u8) -> String {
        if self.text_key && number == 5 { "K5".to_owned() } else { number.to_string() }
    }

    /// The snapshot as CSV.
    fn csv(&self, snapshot: &Snapshot, reversed: bool) -> String {
        let quoted = |cell: &str| format!("\"{}\"", cell.replace('"', "\"\""));
        let line = |(key, cells): (&(u8, u8), &[&str; 3])| {
            let first = self.key(key.0);
            let cell = |name: &&str| quoted(cells[COLUMNS.iter().position(|column| column == name).unwrap()]);
            let cells: Vec<String> = snapshot.columns.iter().map(cell).collect();
            format!("{first},{},{}\n", key.1, cells.join(","))
        };
        let mut lines: Vec<String> = snapshot.rows.iter().map(line).collect();
        if reversed {
            lines.reverse();
        }
        format!("k,l,{}\n{}", snapshot.columns.join(","), lines.concat())
    }
}

/// Rows by their key, each as its cells by column, nulls left out.
type Table = BTreeMap<String, BTreeMap<String, String>>;

/// The printed rows of an object by their keys, with the operation of a CDC row.
fn table(lab: &Lab, key: &str, key_columns: usize) -> Vec<(String, BTreeMap<String, String>)> {
    let names: Vec<String> =
        lab.columns(key).iter().map(|column| column.split_once(':').unwrap().0.to_owned()).collect();
    let row = |row: String| {
        let cells: Vec<&str> = row.split('|').collect();
        let named = names.iter().cloned().zip(cells.iter().map(|&cell| canonical(cell)));
        (cells[..key_columns].join("|"), named.filter(|(_, cell)| cell != "∅").collect())
    };
    lab.rows(key).into_iter().map(row).collect()
}

/// One form for what means the same in types of different width.
fn canonical(cell: &str) -> String {
    let cell = cell.replace(' ', "T");
    let cell = cell.strip_suffix("T00:00:00").or(cell.strip_suffix(".0")).unwrap_or(&cell);
    if cell.ends_with("T10:00") { format!("{cell}:00") } else { cell.to_owned() }
}

/// Lets the changes of one object take effect, and fails where they do not follow.
fn apply(state: &mut Table, changes: Vec<(String, BTreeMap<String, String>)>) {
    for (key, mut row) in changes {
        let operation = row.remove("op").unwrap();
        let before = if operation == "D" { state.remove(&key) } else { state.insert(key.clone(), row) };
        assert_eq!(before.is_some(), operation != "I", "{operation} of {key}");
    }
}

fn check_history(history: &History) {
    let mut lab = history.lab();
    let key_columns = if history.composite { 2 } else { 1 };
    let mut state = Table::new();
    // A file that moves down into a folder is stopped by a guard; it stays where it was first.
    let name = if history.snapshots[0].nested { "x/t.csv" } else { "t.csv" };
    for snapshot in &history.snapshots {
        let log_before = lab.log().len();
        let csv = history.csv(snapshot, snapshot.reversed);
        let report = lab.run(&[(name, csv.as_bytes())]).tables.remove(0);
        assert!(report.error.is_none(), "{:?}", report.error);
        let log = lab.log();
        assert_eq!(log.len() - log_before, usize::from(report.cdc_key.is_some()));
        if let Some(key) = &report.cdc_key {
            assert_eq!(log.last(), Some(key));
            apply(&mut state, table(&lab, key, key_columns));
        }
        let full: Table = table(&lab, FULL_LOAD, key_columns).into_iter().collect();
        assert_eq!(full.len() as u64, report.rows);
        assert_eq!(state.keys().collect::<Vec<_>>(), full.keys().collect::<Vec<_>>());
        let silent = state.iter().filter(|(key, row)| full[*key] != **row).count();
        assert!(history.mode == "date" || silent == 0, "{state:?} is not {full:?}");
        assert_source(history, snapshot, &full);
        lab.assert_verified();
    }
    assert_repeatable(history, &mut lab);
}

/// The full load holds the cells of the source.
fn assert_source(history: &History, snapshot: &Snapshot, full: &Table) {
    for ((first, second), cells) in &snapshot.rows {
        let first = history.key(*first);
        let key = if history.composite { format!("{first}|{second}") } else { first };
        for (name, cell) in COLUMNS.iter().zip(cells).filter(|(name, _)| snapshot.columns.contains(name)) {
            let found = full[&key].get(*name).map(String::as_str).unwrap_or_default();
            assert_eq!(canonical(found), canonical(cell), "{name} of {key}");
        }
    }
}

/// The last snapshot once more, its rows in another order, writes nothing.
fn assert_repeatable(history: &History, lab: &mut Lab) {
    let last = history.snapshots.last().unwrap();
    let before = lab.objects();
    let report = lab.csv_ok(history.csv(last, !last.reversed));
    assert_eq!((report.inserted, report.updated, report.deleted, report.silent_changes), (0, 0, 0, 0));
    let after = lab.objects();
    let written: Vec<_> = after.iter().filter(|(key, bytes)| before.get(*key) != Some(bytes)).collect();
    assert!(written.iter().all(|(key, _)| key.starts_with("_state/")), "{:?}", written.iter().map(|w| w.0));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn old_rows_plus_changes_are_new_rows(history in history()) {
        check_history(&history);
    }
}
