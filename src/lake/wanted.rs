//! Rows of a Parquet file that are wanted by their numbers, such as those that were deleted.

use std::ops::Range;

use arrow::array::{RecordBatch, UInt32Array};
use parquet::arrow::arrow_reader::RowSelection;

use super::base::take;
use super::parquet::ParquetFile;
use crate::error::Result;

/// Fewer rows between two wanted ones are decoded and left out: the reader needs longer to skip them.
const READ_THROUGH: usize = 1024;

/// Some rows of a file, and the runs of rows that are decoded for them.
pub(super) struct Wanted {
    /// Ascending, at least [`READ_THROUGH`] rows apart.
    spans: Vec<Range<usize>>,
    /// Where each wanted row is among the rows of all spans, ascending.
    offsets: Vec<usize>,
}

impl Wanted {
    /// The rows of `slots`, ascending, in the file whose first row has the slot `first`.
    pub(super) fn new(slots: &[u32], first: u64) -> Self {
        let mut spans: Vec<Range<usize>> = Vec::new();
        let mut skipped = 0;
        let offset = |&slot: &u32| {
            let row = usize::try_from(u64::from(slot) - first).unwrap_or(usize::MAX);
            let end = spans.last().map_or(0, |span| span.end);
            match spans.last_mut() {
                Some(last) if row - end < READ_THROUGH => last.end = row + 1,
                _ => {
                    skipped += row - end;
                    spans.push(row..row + 1);
                }
            }
            row - skipped
        };
        let offsets = slots.iter().map(offset).collect();
        Self { spans, offsets }
    }

    /// Gives the rows, in order.
    pub(super) fn read(self, file: &ParquetFile, give: &mut dyn FnMut(RecordBatch) -> Result<()>) -> Result<()> {
        let rows = self.spans.last().map_or(0, |span| span.end);
        let selection = RowSelection::from_consecutive_ranges(self.spans.into_iter(), rows);
        let (mut first, mut rest) = (0, self.offsets.as_slice());
        for batch in file.batches(Some(selection))? {
            let batch = batch?;
            let end = first + batch.num_rows();
            let (here, others) = rest.split_at(rest.partition_point(|&offset| offset < end));
            let picked: UInt32Array = here.iter().map(|&offset| (offset - first) as u32).collect();
            match here.len() {
                0 => {}
                all if all == batch.num_rows() => give(batch)?,
                _ => give(take(&batch, &picked)?)?,
            }
            (first, rest) = (end, others);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is decoded and then picked are the wanted rows.
        #[test]
        fn the_rows_at_the_offsets_of_the_spans_are_the_wanted_ones(
            gaps in proptest::collection::vec(prop_oneof![0..5_u32, 1000..1050_u32, 0..100_000_u32], 0..60),
            first in 0..1000_u32,
        ) {
            let mut next = first;
            let slots: Vec<u32> = gaps.iter().map(|gap| { next += gap + 1; next - 1 }).collect();
            let wanted = Wanted::new(&slots, u64::from(first));
            let decoded: Vec<usize> = wanted.spans.iter().cloned().flatten().collect();
            let picked: Vec<u32> = wanted.offsets.iter().map(|&offset| decoded[offset] as u32 + first).collect();
            prop_assert_eq!(picked, slots);
            prop_assert!(wanted.spans.windows(2).all(|pair| pair[1].start - pair[0].end >= READ_THROUGH));
        }
    }
}
