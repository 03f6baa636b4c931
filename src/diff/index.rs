//! The index of the previous snapshot: a compact fingerprint of each row, and where the row stands.
//!
//! Rows are numbered in the order in which they are loaded: those of the full load, then those of each CDC object that
//! came after it (log replay). The number of a row is its slot.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::prints::{Orders, Prints, SetHash};
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

/// The previous snapshot. Memory per row: 24 bytes of fingerprints, 5 to 10 of table, 8 of date where there is one.
#[derive(Debug, Default)]
pub struct Index {
    table: HashTable<u32>,
    pub(crate) keys: Vec<u128>,
    pub(crate) contents: Vec<u64>,
    pub(crate) orders: Orders,
    gone: Vec<u32>,
    /// For each file loaded, its first slot and the number of the schema that its rows are in.
    files: Vec<(usize, usize)>,
    set: SetHash,
}

impl Index {
    /// An index of no rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins the next file, whose rows are in the schema of this number.
    pub fn begin_file(&mut self, schema: usize) {
        self.files.push((self.keys.len(), schema));
    }

    /// Loads rows; without `operations` each of them is an insert. A log that does not chain (an insert of a key that is
    /// there, an update or delete of one that is not) is an error.
    pub fn load(&mut self, prints: &Prints, operations: Option<&[Operation]>) -> Result<()> {
        let held = self.keys.len();
        self.keys.extend_from_slice(&prints.keys);
        self.contents.extend_from_slice(&prints.contents);
        self.orders.extend(&prints.orders, held, prints.len());
        for row in 0..prints.len() {
            let operation = operations.map_or(Operation::Insert, |operations| operations[row]);
            let slot = u32::try_from(held + row).map_err(|_| {
                Error::data("TooManyRows", "a table of more than 4,294,967,295 rows cannot be compared")
            })?;
            if !self.apply(slot, operation) {
                return Err(Error::internal(
                    "BrokenLog",
                    format!("row {slot} of the log: its operation does not follow from the rows before it"),
                ));
            }
        }
        Ok(())
    }

    fn apply(&mut self, slot: u32, operation: Operation) -> bool {
        let (key, content) = (self.keys[slot as usize], self.contents[slot as usize]);
        let keys = &self.keys;
        let entry =
            self.table.entry(short(key), |&other| keys[other as usize] == key, |&other| short(keys[other as usize]));
        match (operation, entry) {
            (Operation::Insert, Entry::Vacant(entry)) => {
                entry.insert(slot);
                self.set.add(key, content);
            }
            (Operation::Update, Entry::Occupied(mut entry)) => {
                let old = std::mem::replace(entry.get_mut(), slot);
                self.set.remove(key, self.contents[old as usize]);
                self.set.add(key, content);
                self.gone.push(old);
            }
            (Operation::Delete, Entry::Occupied(entry)) => {
                let (old, _) = entry.remove();
                self.set.remove(key, self.contents[old as usize]);
                self.gone.extend([old, slot]);
            }
            _ => return false,
        }
        true
    }

    /// The slot of the row with this key.
    pub fn find(&self, key: u128) -> Option<usize> {
        self.table.find(short(key), |&slot| self.keys[slot as usize] == key).map(|&slot| slot as usize)
    }

    /// The number of the schema that the row of `slot` is in.
    pub fn schema_of(&self, slot: usize) -> usize {
        let after = self.files.partition_point(|&(first, _)| first <= slot);
        after.checked_sub(1).map_or(0, |file| self.files[file].1)
    }

    /// The content's fingerprint of the row of `slot`.
    pub fn content(&self, slot: usize) -> u64 {
        self.contents[slot]
    }

    /// Whether the date of the row of `slot` is smaller than value `row` of `orders`.
    pub fn precedes(&self, slot: usize, orders: &Orders, row: usize) -> bool {
        orders.exceeds(row, &self.orders, slot)
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
        self.keys.len()
    }

    /// The slots whose rows later ones replaced or deleted.
    pub(crate) fn gone(&self) -> &[u32] {
        &self.gone
    }
}

#[expect(clippy::cast_possible_truncation, reason = "any 64 bits of a good fingerprint will do for a hash table")]
fn short(key: u128) -> u64 {
    key as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prints(rows: &[(u128, u64)]) -> Prints {
        let (keys, contents) = rows.iter().copied().unzip();
        Prints { keys, contents, ..Prints::default() }
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
        assert_eq!([1, 2, 3, 4].map(|key| index.find(key)), [Some(4), None, Some(2), Some(3)]);
        assert_eq!([index.schema_of(2), index.schema_of(4)], [0, 1]);
        let mut expected = SetHash::default();
        [(1, 11), (3, 30), (4, 40)].iter().for_each(|&(key, content)| expected.add(key, content));
        assert_eq!(index.set_hash(), expected);
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
