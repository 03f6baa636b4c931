//! Store.

/// Store.
#[derive(Debug)]
pub struct DirStore;
