//! What people ask a lake: what changed when (`history`), how a table was at a time (`restore`); and how it gets the history
//! that the dataset has already (`backfill`).

mod backfill;
mod browser;
mod commands;
mod page;
mod restore;
mod restored_csv;
mod s3;
mod sources;
