//! What the integration tests share.

pub(crate) mod emulator;
pub(crate) mod faults;
pub(crate) mod kaggle;
pub(crate) mod lab;
pub(crate) mod script;
