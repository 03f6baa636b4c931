//! How many different values there are, in bounded memory: the smallest of their hashes (a KMV sketch).
//!
//! While there are fewer values than the sketch can hold, the count is exact. Beyond, how densely the smallest hashes lie
//! tells how many there are, about 1.6 % off for 4096. A value that comes twice is noticed if its hash is among them.

use std::collections::BTreeSet;

/// The smallest hashes of a column's values.
#[derive(Debug)]
pub(super) struct Sketch {
    smallest: BTreeSet<u64>,
    capacity: usize,
    /// The hash that no longer had room; every later one from there on is left out.
    bound: Option<u64>,
    repeats: bool,
}

impl Sketch {
    /// A sketch of at most `capacity` hashes.
    pub(super) fn new(capacity: usize) -> Self {
        Self { smallest: BTreeSet::new(), capacity: capacity.max(2), bound: None, repeats: false }
    }

    /// Takes a value by its hash.
    pub(super) fn add(&mut self, hash: u64) {
        if self.bound.is_some_and(|bound| hash >= bound) {
            return;
        }
        self.repeats |= !self.smallest.insert(hash);
        if self.smallest.len() > self.capacity {
            self.bound = self.smallest.pop_last();
        }
    }

    /// Whether a value was surely there twice.
    pub(super) fn repeats(&self) -> bool {
        self.repeats
    }

    /// Whether [`Self::distinct`] is a count and no estimate.
    pub(super) fn exact(&self) -> bool {
        self.bound.is_none()
    }

    /// How many different values there are.
    pub(super) fn distinct(&self) -> u64 {
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        match self.bound {
            None => self.smallest.len() as u64,
            Some(bound) => (self.capacity as f64 * (u64::MAX as f64 / bound.max(1) as f64)) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;

    fn sketch(values: impl Iterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::new(1024);
        values.for_each(|value| sketch.add(xxh3_64(&value.to_le_bytes())));
        sketch
    }

    #[test]
    fn few_values_are_counted() {
        let found = sketch((0..5000).map(|value| value % 1000));
        assert_eq!((found.distinct(), found.exact(), found.repeats()), (1000, true, true));
    }

    #[test]
    fn many_values_are_estimated_within_a_tenth() {
        let found = sketch(0..200_000);
        assert!(!found.exact() && !found.repeats());
        assert!((180_000..220_000).contains(&found.distinct()), "{}", found.distinct());
    }

    #[test]
    fn values_that_often_come_twice_are_noticed() {
        assert!(sketch((0..200_000).map(|value| value / 2)).repeats());
    }
}
