//! A change feed for sources that have none.
//!
//! Data flows one way: trigger → config and secrets → source → table → diff → lake (commit) → report.

#![recursion_limit = "256"] // the futures of the AWS SDK nest deeply

mod ahead;
pub mod backfill;
pub mod cli;
pub mod clients;
pub mod config;
pub mod ddl;
pub mod diff;
pub mod doctor;
pub mod error;
mod figures;
pub mod handler;
pub mod history;
pub mod import;
pub mod lake;
mod near;
pub mod pipeline;
mod places;
pub mod position;
pub mod report;
pub mod restore;
mod retry;
pub mod secrets;
pub mod source;
pub mod survey;
pub mod table;
pub mod telemetry;
pub mod trigger;
pub mod verify;
pub mod workspace;

pub use error::{Error, Kind, Result};
