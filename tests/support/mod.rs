//! What the integration tests share.

pub(crate) mod dataset;
pub(crate) mod emulator;
pub(crate) mod faults;
pub(crate) mod kaggle;
pub(crate) mod lab;
pub(crate) mod proxy;
pub(crate) mod runtime_api;
pub(crate) mod script;
