//! How many rows go into one batch.

/// Rows per batch, at the most.
pub const BATCH_ROWS: usize = 4096;

/// Bytes of text per batch, unless a single row has more. Some fifteen batches are on their way at once (being read, waiting,
/// being encoded into two files), so that this is what bounds a run's memory where rows are long; a batch of rows of up to a
/// kilobyte is a whole one.
pub(crate) const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Bytes of an array per cell, beside its text: a value or an offset, and as much again for buffers that grow by doubling.
const CELL_BYTES: usize = 16;

/// How many rows of so many columns make a batch, at least one.
pub(crate) fn rows_per_batch(columns: usize) -> usize {
    (BATCH_BYTES / CELL_BYTES / columns.max(1)).clamp(1, BATCH_ROWS)
}

/// The same for rows that are known to have `bytes` bytes of values each.
pub(crate) fn rows_of_bytes(columns: usize, bytes: u64) -> usize {
    let fit = usize::try_from(BATCH_BYTES as u64 / bytes.max(1)).unwrap_or(BATCH_ROWS);
    rows_per_batch(columns).min(fit).max(1)
}
