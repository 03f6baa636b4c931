//! Store.

/// Store.
#[derive(Debug)]
pub struct MemoryStore;
