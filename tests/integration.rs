//! The one integration binary: see the modules for what each of them attacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod config_schema;
mod consume;
mod crash;
mod disk;
mod events;
mod fingerprints;
mod golden;
mod handler;
mod hostile;
mod identities;
mod kaggle;
mod latency;
mod networks;
mod operate;
mod properties;
mod protocol;
mod races;
mod remedies;
mod runbook;
mod second_reader;
mod simulator;
mod sqlserver;
mod sqlserver_client;
mod sqlserver_wire;
mod store;
mod support;
mod tds;
