//! The one integration binary: see the modules for what each of them attacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod crash;
mod events;
mod fingerprints;
mod golden;
mod handler;
mod hostile;
mod kaggle;
mod networks;
mod operate;
mod properties;
mod protocol;
mod races;
mod second_reader;
mod simulator;
mod store;
mod support;
