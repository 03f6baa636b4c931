//! The decision what each row of the new snapshot is: an insert, an update, a silent change, or nothing new.

use hashbrown::{HashMap, HashSet};

use super::index::Index;
use super::lookup::Lookup;
use super::prints::{Prints, SetHash};
use crate::table::{OnDuplicateKey, OnNullKey, TableSpec, UpdateDetection};

/// How many offending lines are kept for the message.
const OFFENDERS: usize = 5;

/// What a row of the new snapshot is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Its key is new.
    Insert,
    /// It changed, by the table's update detection.
    Update,
    /// Its content changed, but its date field did not move on.
    Silent,
    /// It is as before.
    Same,
    /// It repeats a key or has none, and is dropped by the table's policy.
    Dropped,
}

/// What the configuration decides.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// When a row counts as updated.
    pub update_detection: UpdateDetection,
    /// What happens to repeated keys.
    pub on_duplicate_key: OnDuplicateKey,
    /// What happens to rows without a key.
    pub on_null_key: OnNullKey,
}

impl Rules {
    /// The rules of a table.
    pub fn of(spec: &TableSpec) -> Self {
        let TableSpec { update_detection, on_duplicate_key, on_null_key, .. } = *spec;
        Self { update_detection, on_duplicate_key, on_null_key }
    }
}

/// The totals of a comparison.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows of the new snapshot, without dropped ones.
    pub rows: u64,
    /// Rows whose key is new.
    pub inserted: u64,
    /// Rows that changed.
    pub updated: u64,
    /// Rows of the old snapshot whose key is gone.
    pub deleted: u64,
    /// Rows whose content changed without their date field moving on.
    pub silent: u64,
    /// Rows dropped because they repeat a key or have none.
    pub dropped: u64,
    /// Those of them that have none.
    pub null_keys: u64,
}

/// A key that the table's policy does not allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key's fingerprint, by which the first row that has it can be found.
    pub key: u128,
    /// The line of the offending row.
    pub line: u64,
    /// Whether the key is null rather than repeated.
    pub null: bool,
}

/// What a comparison has shown, once all rows have been seen.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The totals.
    pub counts: Counts,
    /// Rows of the old snapshot.
    pub rows_before: u64,
    /// The slots of the old rows that no new row met, ascending.
    pub deleted: Vec<u32>,
    /// How many rows have a key that the policy does not allow.
    pub fault_count: u64,
    /// The first of them.
    pub faults: Vec<Fault>,
    /// The fingerprint of the new snapshot.
    pub new_set: SetHash,
    /// What `new_set` must be once the fingerprints of all inserted and updated rows *as written* are added to this, and
    /// those of all deleted rows as written removed.
    pub expected_without_changes: SetHash,
}

/// A comparison under way.
#[derive(Debug)]
pub struct Diff<'a> {
    index: &'a Index,
    rules: Rules,
    met: Vec<u64>,
    inserted: HashSet<u128>,
    /// For `OnDuplicateKey::Last`: the line of the last row of each key.
    last_lines: Option<HashMap<u128, u64>>,
    counts: Counts,
    faults: Vec<Fault>,
    fault_count: u64,
    new_set: SetHash,
    expected: SetHash,
}

impl<'a> Diff<'a> {
    /// Begins a comparison with the snapshot in `index`. For `OnDuplicateKey::Last` `last_lines` says on which line each key
    /// occurs last.
    pub fn new(index: &'a Index, rules: Rules, last_lines: Option<HashMap<u128, u64>>) -> Self {
        let mut met = vec![0; index.slots().div_ceil(64)];
        for &slot in index.gone() {
            set_bit(&mut met, slot as usize);
        }
        Self {
            index,
            rules,
            met,
            inserted: HashSet::new(),
            last_lines,
            counts: Counts::default(),
            faults: Vec::new(),
            fault_count: 0,
            new_set: SetHash::default(),
            expected: index.set_hash(),
        }
    }

    /// Decides on the next rows, which begin on `lines`.
    pub fn classify(&mut self, rows: &Lookup, lines: &[u64]) -> Vec<Verdict> {
        let own = &rows.own;
        let mut nulls = own.null_keys.iter().copied().peekable();
        let slots = self.index.find_all(rows);
        (0..own.len())
            .map(|row| {
                let null = nulls.next_if_eq(&row).is_some();
                let verdict = self.verdict(rows, row, slots[row], lines[row], null);
                self.count(verdict, own, row);
                verdict
            })
            .collect()
    }

    fn verdict(&mut self, rows: &Lookup, row: usize, found: Option<u32>, line: u64, null: bool) -> Verdict {
        let key = rows.own.keys[row];
        let fails = self.rules.on_duplicate_key == OnDuplicateKey::Fail;
        if null {
            return self.without_key(Fault { key, line, null });
        }
        if self.last_lines.as_ref().is_some_and(|last| last.get(&key) != Some(&line)) {
            return Verdict::Dropped;
        }
        let repeated = match found {
            Some(slot) => set_bit(&mut self.met, slot as usize),
            None => !self.inserted.insert(key),
        };
        match found {
            _ if repeated && fails => self.fault(Fault { key, line, null }),
            _ if repeated => Verdict::Dropped,
            None => Verdict::Insert,
            Some(slot) => self.compare(slot, rows, row),
        }
    }

    fn compare(&mut self, slot: u32, rows: &Lookup, row: usize) -> Verdict {
        let own = &rows.own;
        let differs = rows.as_in(self.index.schema_of(slot)).contents[row] != self.index.content(slot);
        // A date that means the same may be the greater text once its column is text: `1.50` was 1.5.
        let later = differs && self.index.precedes(slot, &own.orders, row);
        let updated = match self.rules.update_detection {
            UpdateDetection::Date => later,
            UpdateDetection::Content => differs,
        };
        self.expected.remove(self.index.key(slot), self.index.content(slot));
        match (updated, differs) {
            (true, _) => Verdict::Update,
            (false, changed) => {
                self.expected.add(own.keys[row], own.contents[row]);
                if changed { Verdict::Silent } else { Verdict::Same }
            }
        }
    }

    fn without_key(&mut self, fault: Fault) -> Verdict {
        match self.rules.on_null_key {
            OnNullKey::Fail => self.fault(fault),
            OnNullKey::Drop => {
                self.counts.null_keys += 1;
                Verdict::Dropped
            }
        }
    }

    fn fault(&mut self, fault: Fault) -> Verdict {
        self.fault_count += 1;
        if self.faults.len() < OFFENDERS {
            self.faults.push(fault);
        }
        Verdict::Dropped
    }

    fn count(&mut self, verdict: Verdict, own: &Prints, row: usize) {
        let counter = match verdict {
            Verdict::Insert => &mut self.counts.inserted,
            Verdict::Update => &mut self.counts.updated,
            Verdict::Silent => &mut self.counts.silent,
            Verdict::Dropped => {
                self.counts.dropped += 1;
                return;
            }
            Verdict::Same => &mut 0,
        };
        *counter += 1;
        self.counts.rows += 1;
        self.new_set.add(own.keys[row], own.contents[row]);
    }

    /// What was found.
    pub fn outcome(self) -> Outcome {
        let slots = u32::try_from(self.index.slots()).unwrap_or(u32::MAX);
        let met = |slot: u32| self.met[slot as usize / 64] & (1 << (slot % 64)) != 0;
        let deleted: Vec<u32> = (0..slots).filter(|&slot| !met(slot)).collect();
        Outcome {
            counts: Counts { deleted: deleted.len() as u64, ..self.counts },
            rows_before: self.index.rows(),
            deleted,
            fault_count: self.fault_count,
            faults: self.faults,
            new_set: self.new_set,
            expected_without_changes: self.expected,
        }
    }
}

/// Sets a bit; whether it was set before.
fn set_bit(bits: &mut [u64], at: usize) -> bool {
    let (word, bit) = (&mut bits[at / 64], 1 << (at % 64));
    let before = *word & bit != 0;
    *word |= bit;
    before
}

#[cfg(test)]
mod tests {
    use super::super::prints::Orders;
    use super::*;

    fn prints(rows: &[(u128, u64, i64)]) -> Prints {
        Prints {
            keys: rows.iter().map(|row| row.0).collect(),
            contents: rows.iter().map(|row| row.1).collect(),
            orders: Orders::Narrow(rows.iter().map(|row| row.2).collect()),
            null_keys: Vec::new(),
        }
    }

    fn index(rows: &[(u128, u64, i64)]) -> Index {
        let mut index = Index::new();
        index.begin_file(0);
        index.load(&prints(rows).into(), None).unwrap();
        index
    }

    fn verdicts(
        detection: UpdateDetection,
        old: &[(u128, u64, i64)],
        new: &[(u128, u64, i64)],
    ) -> (Vec<Verdict>, Counts) {
        let index = index(old);
        let rules =
            Rules { update_detection: detection, on_duplicate_key: OnDuplicateKey::Fail, on_null_key: OnNullKey::Fail };
        let mut diff = Diff::new(&index, rules, None);
        let lines: Vec<u64> = (2..).take(new.len()).collect();
        let verdicts = diff.classify(&prints(new).into(), &lines);
        (verdicts, diff.outcome().counts)
    }

    const OLD: [(u128, u64, i64); 4] = [(1, 10, 5), (2, 20, 5), (3, 30, 5), (4, 40, 5)];
    // 1: as before; 2: date later, content changed; 3: content changed, date back; 5: new; 4: gone.
    const NEW: [(u128, u64, i64); 4] = [(1, 10, 5), (2, 21, 6), (3, 31, 4), (5, 50, 5)];

    #[test]
    fn date_mode_counts_other_changes_as_silent() {
        let (verdicts, counts) = verdicts(UpdateDetection::Date, &OLD, &NEW);
        assert_eq!(verdicts, [Verdict::Same, Verdict::Update, Verdict::Silent, Verdict::Insert]);
        assert_eq!(
            counts,
            Counts { rows: 4, inserted: 1, updated: 1, deleted: 1, silent: 1, dropped: 0, null_keys: 0 }
        );
    }

    #[test]
    fn content_mode_takes_every_difference() {
        let (verdicts, counts) = verdicts(UpdateDetection::Content, &OLD, &NEW);
        assert_eq!(verdicts, [Verdict::Same, Verdict::Update, Verdict::Update, Verdict::Insert]);
        assert_eq!((counts.updated, counts.silent), (2, 0));
    }

    #[test]
    fn rows_without_a_key_fail_or_are_dropped_whatever_happens_to_repeated_keys() {
        let old = index(&[(1, 10, 0)]);
        let mut new = prints(&[(1, 10, 0), (9, 20, 0), (9, 21, 0)]);
        new.null_keys = vec![1, 2];
        let run = |on_null_key| {
            let on_duplicate_key = OnDuplicateKey::First;
            let rules = Rules { update_detection: UpdateDetection::Content, on_duplicate_key, on_null_key };
            let mut diff = Diff::new(&old, rules, None);
            let verdicts = diff.classify(&new.clone().into(), &[2, 3, 4]);
            (verdicts, diff.fault_count, diff.counts.null_keys, diff.counts.rows)
        };
        use Verdict::{Dropped, Same};
        assert_eq!(run(OnNullKey::Fail), (vec![Same, Dropped, Dropped], 2, 0, 1));
        assert_eq!(run(OnNullKey::Drop), (vec![Same, Dropped, Dropped], 0, 2, 1));
    }

    #[test]
    fn repeated_keys_follow_the_policy() {
        let old = index(&[(1, 10, 0)]);
        let new = Lookup::from(prints(&[(1, 10, 0), (2, 20, 0), (1, 11, 0), (2, 21, 0)]));
        let run = |policy, last: Option<HashMap<u128, u64>>| {
            let (update_detection, on_null_key) = (UpdateDetection::Content, OnNullKey::Fail);
            let rules = Rules { update_detection, on_duplicate_key: policy, on_null_key };
            let mut diff = Diff::new(&old, rules, None);
            diff.last_lines = last;
            (diff.classify(&new, &[2, 3, 4, 5]), diff.fault_count, diff.counts.dropped)
        };
        use Verdict::{Dropped, Insert, Same, Update};
        assert_eq!(run(OnDuplicateKey::First, None), (vec![Same, Insert, Dropped, Dropped], 0, 2));
        let last = HashMap::from_iter([(1, 4), (2, 5)]);
        assert_eq!(run(OnDuplicateKey::Last, Some(last)), (vec![Dropped, Dropped, Update, Insert], 0, 2));
        assert_eq!(run(OnDuplicateKey::Fail, None).1, 2);
    }
}
