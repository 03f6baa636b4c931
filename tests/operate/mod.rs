//! What people ask a lake: what changed when (`history`), and how a table was at a time (`restore`).

mod browser;
mod commands;
mod page;
mod restore;
mod s3;
