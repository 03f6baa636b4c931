//! Which row has a key: a hash table of row numbers (slots) with open addressing.
//!
//! A lookup waits for memory twice, once for the place in the table and once for the row, and [`Slots::find_all`] lets the
//! processor wait for many rows at a time: that is why the table is our own.

use super::index::Row;

/// A place that never held a row, and one whose row was removed.
const EMPTY: u64 = 0;
const REMOVED: u64 = u32::MAX as u64;

/// At most this share of the places is in use.
const FULL: (usize, usize) = (2, 3);

/// The greatest slot; the two numbers above mark places.
pub(super) const MAX_SLOT: u32 = u32::MAX - 2;

/// The table. Each place holds half of the key's other word beside the slot, so that a foreign row is hardly ever looked at.
#[derive(Debug, Default)]
pub(super) struct Slots {
    places: Vec<u64>,
    rows: usize,
    used: usize,
}

impl Slots {
    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.rows
    }

    /// Makes room for so many rows more; `rows` are those that the slots number.
    pub(super) fn reserve(&mut self, more: usize, rows: &[Row]) {
        let places = (self.rows + more) * FULL.1 / FULL.0 + 1;
        if places > self.places.len() {
            self.rebuild(places, rows);
        }
    }

    /// The slot of the row that has this key.
    pub(super) fn find(&self, key: [u64; 2], rows: &[Row]) -> Option<u32> {
        let mut place = self.home(key);
        loop {
            match *self.places.get(place)? {
                EMPTY => return None,
                entry if is_of(entry, key) && rows[slot(entry) as usize].key == key => return Some(slot(entry)),
                _ => place = self.after(place),
            }
        }
    }

    /// The slots of the rows that have these keys.
    pub(super) fn find_all(&self, keys: &[u128], rows: &[Row]) -> Vec<Option<u32>> {
        if self.rows == 0 {
            return vec![None; keys.len()];
        }
        let first = self.first_entries(keys.iter().map(|&key| halves(key)));
        let found = keys.iter().zip(first).map(|(&key, entry)| match entry {
            EMPTY => None,
            _ => {
                let key = halves(key);
                let here = is_of(entry, key) && rows[slot(entry) as usize].key == key;
                if here { Some(slot(entry)) } else { self.find(key, rows) }
            }
        });
        found.collect()
    }

    /// What is at the first places of the keys. Nothing in this loop depends on what it reads, so that many places are on
    /// their way from memory at once.
    fn first_entries(&self, keys: impl Iterator<Item = [u64; 2]>) -> Vec<u64> {
        keys.map(|key| self.places[self.home(key)]).collect()
    }

    /// Has the places of rows that are about to be inserted brought from memory, all at once.
    pub(super) fn warm_up(&self, rows: &[Row]) {
        if !self.places.is_empty() {
            std::hint::black_box(self.first_entries(rows.iter().map(|row| row.key)));
        }
    }

    /// Enters the row of `slot`, which is in `rows`; `false` where its key is there already.
    pub(super) fn insert(&mut self, slot: u32, rows: &[Row]) -> bool {
        if (self.used + 1) * FULL.1 > self.places.len() * FULL.0 {
            self.rebuild((self.rows + 8) * 2, rows);
        }
        let key = rows[slot as usize].key;
        let mut place = self.home(key);
        loop {
            match self.places[place] {
                EMPTY => break,
                entry if is_of(entry, key) && rows[self::slot(entry) as usize].key == key => return false,
                _ => place = self.after(place),
            }
        }
        self.places[place] = entry(slot, key);
        self.rows += 1;
        self.used += 1;
        true
    }

    /// Takes out the row of `slot`; `false` where it is not there.
    pub(super) fn remove(&mut self, slot: u32, rows: &[Row]) -> bool {
        let key = rows[slot as usize].key;
        let mut place = self.home(key);
        while let Some(&there) = self.places.get(place).filter(|&&there| there != EMPTY) {
            if there == entry(slot, key) {
                self.places[place] = REMOVED;
                self.rows -= 1;
                return true;
            }
            place = self.after(place);
        }
        false
    }

    fn rebuild(&mut self, places: usize, rows: &[Row]) {
        let old = std::mem::replace(&mut self.places, vec![EMPTY; places]);
        for there in old.into_iter().filter(|&there| there != EMPTY && there != REMOVED) {
            let mut place = self.home(rows[slot(there) as usize].key);
            while self.places[place] != EMPTY {
                place = self.after(place);
            }
            self.places[place] = there;
        }
        self.used = self.rows;
    }

    /// The first place of a key: its first word as a fraction of all places.
    #[expect(clippy::cast_possible_truncation, reason = "less than the number of places")]
    fn home(&self, key: [u64; 2]) -> usize {
        ((u128::from(key[0]) * self.places.len() as u128) >> 64) as usize
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.places.len() { 0 } else { place + 1 }
    }
}

/// The two words of a key.
#[expect(clippy::cast_possible_truncation, reason = "each half is taken")]
pub(super) fn halves(key: u128) -> [u64; 2] {
    [key as u64, (key >> 64) as u64]
}

fn entry(slot: u32, key: [u64; 2]) -> u64 {
    key[1] << 32 | (u64::from(slot) + 1)
}

/// Whether the place may hold the key; a removed one never does, because its number is greater than any slot's.
fn is_of(entry: u64, key: [u64; 2]) -> bool {
    entry >> 32 == key[1] & 0xFFFF_FFFF && entry & 0xFFFF_FFFF != REMOVED
}

#[expect(clippy::cast_possible_truncation, reason = "the lower half is what is wanted")]
fn slot(entry: u64) -> u32 {
    (entry as u32).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    fn row(key: u128) -> Row {
        Row::new(key, 0)
    }

    proptest! {
        /// Keys that crowd into few places, in any order of inserts and removals, against the standard library's table.
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0_u8..2, 0_u64..40, 0_u64..3), 0..300)) {
            let (mut rows, mut slots, mut model) = (Vec::new(), Slots::default(), HashMap::new());
            for (remove, low, high) in steps {
                let key = u128::from(low << 59) | u128::from(high) << 64;
                if remove == 1 {
                    if let Some(slot) = model.remove(&key) {
                        prop_assert!(slots.remove(slot, &rows));
                        prop_assert!(!slots.remove(slot, &rows));
                    }
                } else {
                    rows.push(row(key));
                    let slot = u32::try_from(rows.len() - 1).unwrap();
                    prop_assert_eq!(slots.insert(slot, &rows), !model.contains_key(&key));
                    model.entry(key).or_insert(slot);
                }
                prop_assert_eq!(slots.len(), model.len());
            }
            let keys: Vec<u128> = (0..40).flat_map(|low: u64| (0..4).map(move |high: u64| u128::from(low << 59) | u128::from(high) << 64)).collect();
            let all = slots.find_all(&keys, &rows);
            for (key, found) in keys.iter().zip(all) {
                prop_assert_eq!(found, model.get(key).copied());
                prop_assert_eq!(slots.find(halves(*key), &rows), found);
            }
        }
    }

    #[test]
    fn an_empty_table_finds_nothing() {
        let slots = Slots::default();
        assert_eq!(slots.find([1, 2], &[]), None);
        assert_eq!(slots.find_all(&[1, 2], &[]), [None, None]);
    }
}
