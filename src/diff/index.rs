//! The index of the previous snapshot: a compact fingerprint of each row, and where the row stands.
//!
//! Rows are numbered in the order in which they are loaded: those of the full load, then those of each CDC object that
//! came after it (log replay). The number of a row is its slot.

use super::lookup::Lookup;
use super::prints::{Orders, SetHash};
use super::slots::{MAX_SLOT, Slots, halves};
use crate::error::{Error, Result};

/// What a CDC row says of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The row is new.
    Insert,
    /// The row replaces the one with the same key.
    Update,
    /// The row is gone; its values are the last ones known.
    Delete,
}

impl Operation {
    /// The letter in the `op` column.
    pub fn letter(self) -> &'static str {
        match self {
            Self::Insert => "I",
            Self::Update => "U",
            Self::Delete => "D",
        }
    }

    /// From the letter in the `op` column.
    pub fn from_letter(letter: &str) -> Option<Self> {
        match letter {
            "I" => Some(Self::Insert),
            "U" => Some(Self::Update),
            "D" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// The previous snapshot. Memory per row: 24 bytes of fingerprints, 12 of table, 8 of date where there is one.
#[derive(Debug, Default)]
pub struct Index {
    table: Slots,
    rows: Vec<Row>,
    pub(crate) orders: Orders,
    gone: Vec<u32>,
    /// For each file loaded, its first slot and the number of the schema that its rows are in.
    files: Vec<(usize, usize)>,
    set: SetHash,
}

/// Key and content side by side, because who looks one up wants the other: most of the time goes into waiting for memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: [u64; 2],
    content: u64,
}

impl Row {
    pub(super) fn new(key: u128, content: u64) -> Self {
        Self { key: halves(key), content }
    }

    fn key(&self) -> u128 {
        u128::from(self.key[0]) | u128::from(self.key[1]) << 64
    }
}

impl Index {
    /// An index of no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.table.reserve(rows, &self.rows);
        self.rows.reserve_exact(rows);
    }

    /// Begins the next file, whose rows are in the schema of this number.
    pub fn begin_file(&mut self, schema: usize) {
        self.files.push((self.rows.len(), schema));
    }

    /// Loads rows; without `operations` each of them is an insert. A log that does not chain (an insert of a key that is
    /// there, an update or delete of one that is not) is an error.
    pub fn load(&mut self, rows: &Lookup, operations: Option<&[Operation]>) -> Result<()> {
        let held = self.rows.len();
        let prints = &rows.own;
        self.rows.extend(prints.keys.iter().zip(&prints.contents).map(|(&key, &content)| Row::new(key, content)));
        self.orders.extend(&prints.orders, held, prints.len());
        self.table.warm_up(&self.rows[held..]);
        for row in 0..prints.len() {
            let operation = operations.map_or(Operation::Insert, |operations| operations[row]);
            let slot = u32::try_from(held + row).ok().filter(|&slot| slot <= MAX_SLOT).ok_or_else(|| {
                Error::data("TooManyRows", "a table of more than 4,294,967,294 rows cannot be compared")
            })?;
            if !self.apply(slot, operation, rows, row) {
                return Err(Error::internal(
                    "BrokenLog",
                    format!("row {slot} of the log: its operation does not follow from the rows before it"),
                ));
            }
        }
        Ok(())
    }

    /// Lets row `row` of `rows`, which has this slot, take effect; `false` where it does not follow from what is there.
    fn apply(&mut self, slot: u32, operation: Operation, rows: &Lookup, row: usize) -> bool {
        let old = match operation {
            Operation::Insert if rows.older.is_empty() => return self.insert(slot),
            _ => self.find(rows, row),
        };
        match (operation, old) {
            (Operation::Insert, None) => self.insert(slot),
            (Operation::Update, Some(old)) => {
                self.remove(old);
                self.insert(slot)
            }
            (Operation::Delete, Some(old)) => {
                self.remove(old);
                self.gone.push(slot);
                true
            }
            _ => false,
        }
    }

    /// Enters the row of `slot`; `false` where its key is there already.
    fn insert(&mut self, slot: u32) -> bool {
        let is_new = self.table.insert(slot, &self.rows);
        if is_new {
            let row = self.rows[slot as usize];
            self.set.add(row.key(), row.content);
        }
        is_new
    }

    /// Takes out the row of `slot`, which is there.
    fn remove(&mut self, slot: u32) {
        if self.table.remove(slot, &self.rows) {
            let row = self.rows[slot as usize];
            self.set.remove(row.key(), row.content);
            self.gone.push(slot);
        }
    }

    /// The slot of the row that has the key of row `row` of `rows`, as that key reads in the schema of the slot.
    pub fn find(&self, rows: &Lookup, row: usize) -> Option<u32> {
        rows.readings().find_map(|prints| {
            let slot = self.table.find(halves(prints.keys[row]), &self.rows)?;
            std::ptr::eq(rows.as_in(self.schema_of(slot)), prints).then_some(slot)
        })
    }

    /// What [`Self::find`] finds for each of the rows.
    pub fn find_all(&self, rows: &Lookup) -> Vec<Option<u32>> {
        if rows.readings().count() == 1 {
            return self.table.find_all(&rows.own.keys, &self.rows);
        }
        (0..rows.own.len()).map(|row| self.find(rows, row)).collect()
    }

    /// The number of the schema that the row of `slot` is in.
    pub fn schema_of(&self, slot: u32) -> usize {
        let after = self.files.partition_point(|&(first, _)| first <= slot as usize);
        after.checked_sub(1).map_or(0, |file| self.files[file].1)
    }

    /// The content's fingerprint of the row of `slot`.
    pub fn content(&self, slot: u32) -> u64 {
        self.rows[slot as usize].content
    }

    /// The key's fingerprint of the row of `slot`.
    pub(crate) fn key(&self, slot: u32) -> u128 {
        self.rows[slot as usize].key()
    }

    /// Whether the date of the row of `slot` is smaller than value `row` of `orders`.
    pub fn precedes(&self, slot: u32, orders: &Orders, row: usize) -> bool {
        orders.exceeds(row, &self.orders, slot as usize)
    }

    /// How many rows the snapshot has.
    pub fn rows(&self) -> u64 {
        self.table.len() as u64
    }

    /// The fingerprint of the snapshot.
    pub fn set_hash(&self) -> SetHash {
        self.set
    }

    /// The number of slots, those of replaced rows included.
    pub(crate) fn slots(&self) -> usize {
        self.rows.len()
    }

    /// The slots whose rows later ones replaced or deleted.
    pub(crate) fn gone(&self) -> &[u32] {
        &self.gone
    }
}

#[cfg(test)]
mod tests {
    use super::super::prints::Prints;
    use super::*;

    fn prints(rows: &[(u128, u64)]) -> Lookup {
        let (keys, contents) = rows.iter().copied().unzip();
        Prints { keys, contents, ..Prints::default() }.into()
    }

    #[test]
    fn replay_gives_the_state_after_the_last_object() {
        use Operation::{Delete, Insert, Update};
        let mut index = Index::new();
        index.begin_file(0);
        index.load(&prints(&[(1, 10), (2, 20), (3, 30)]), None).unwrap();
        index.begin_file(1);
        index.load(&prints(&[(4, 40), (1, 11), (2, 20)]), Some(&[Insert, Update, Delete])).unwrap();
        assert_eq!(index.rows(), 3);
        assert_eq!(
            [1, 2, 3, 4].map(|key| index.table.find(halves(key), &index.rows)),
            [Some(4), None, Some(2), Some(3)]
        );
        assert_eq!([index.schema_of(2), index.schema_of(4)], [0, 1]);
        let mut expected = SetHash::default();
        [(1, 11), (3, 30), (4, 40)].iter().for_each(|&(key, content)| expected.add(key, content));
        assert_eq!(index.set_hash(), expected);
    }

    #[test]
    fn a_key_is_looked_up_as_it_reads_in_the_schema_of_each_row() {
        let mut index = Index::new();
        index.begin_file(0);
        index.load(&prints(&[(1, 10), (2, 20)]), None).unwrap();
        index.begin_file(1);
        let own = Prints { keys: vec![101, 102], contents: vec![11, 20], ..Prints::default() };
        let older = Prints { keys: vec![1, 2], contents: vec![11, 20], ..Prints::default() };
        let rows = Lookup { own, older: vec![Some(older), None] };
        index.load(&rows, Some(&[Operation::Update, Operation::Delete])).unwrap();
        assert_eq!([1, 2, 101, 102].map(|key| index.table.find(halves(key), &index.rows)), [None, None, Some(2), None]);
        assert_eq!(index.find(&rows, 0), Some(2));
        assert_eq!(index.gone(), [0, 1, 3]);
    }

    #[test]
    fn a_log_that_does_not_chain_is_an_error() {
        for (key, operation) in [(1, Operation::Insert), (9, Operation::Update), (9, Operation::Delete)] {
            let mut index = Index::new();
            index.load(&prints(&[(1, 10)]), None).unwrap();
            assert_eq!(index.load(&prints(&[(key, 5)]), Some(&[operation])).unwrap_err().code(), "BrokenLog");
        }
    }
}
