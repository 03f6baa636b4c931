//! What changed between two snapshots: pure decisions over fingerprints of rows, without I/O.
//!
//! Of the previous snapshot only an [`Index`] stays in memory: for each row its key's fingerprint, its content's and the
//! value of its date field. The new rows stream past it ([`Diff::classify`]); what was never met is deleted.

mod cells;
mod classify;
mod index;
mod lookup;
mod prints;
mod slots;

pub(crate) use self::cells::{column_hashes, distinct};
pub use self::classify::{Counts, Diff, Fault, Outcome, Rules, Verdict};
pub use self::index::{Index, Operation};
pub use self::lookup::{Lookup, LookupPlan};
pub use self::prints::{Orders, PrintPlan, Prints, SetHash};
