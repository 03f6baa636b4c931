//! A change feed for sources that have none.
//!
//! Data flows one way: request → config and secrets → source → table → diff → lake (commit) → report.

#![recursion_limit = "256"] // the futures of the AWS SDK nest deeply

mod ahead;
pub mod cli;
pub mod clients;
pub mod config;
pub mod diff;
pub mod error;
pub mod lake;
pub mod lambda;
mod near;
pub mod ops;
pub mod pipeline;
mod places;
pub mod position;
pub mod report;
pub mod request;
mod retry;
pub mod secrets;
pub mod source;
pub mod table;
pub mod telemetry;
pub mod workspace;

pub use error::{Error, Kind, Result};
