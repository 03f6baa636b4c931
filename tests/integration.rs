//! The one integration binary: see the modules for what each of them attacks.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod crash;
mod events;
mod kaggle;
mod protocol;
mod races;
mod simulator;
mod store;
mod support;
