//! What changed between two snapshots: pure decisions over fingerprints of rows, without I/O.
//!
//! Of the previous snapshot only an [`Index`] stays in memory: for each row its key's fingerprint, its content's and the
//! value of its date field. The new rows stream past it ([`Diff::classify`]); what was never met is deleted.

mod cells;
mod classify;
mod index;
mod prints;

pub use self::classify::{Counts, Diff, Fault, Rules, Verdict};
pub use self::index::{Index, Operation};
pub use self::prints::{KeyColumn, PrintPlan, Prints, SetHash};
