//! The one integration binary: see the modules for what each of them attacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod cli;
mod crash;
mod events;
mod golden;
mod handler;
mod kaggle;
mod networks;
mod simulator;
mod store;
mod support;
