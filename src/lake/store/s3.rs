//! Store.

/// Store.
#[derive(Debug)]
pub struct S3Store;

/// Options.
#[derive(Debug)]
pub struct S3Options;
