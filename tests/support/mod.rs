//! What the integration tests share.

pub(crate) mod cdc;
pub(crate) mod dataset;
pub(crate) mod emulator;
pub(crate) mod faults;
pub(crate) mod gate;
pub(crate) mod kaggle;
pub(crate) mod lab;
pub(crate) mod lake;
pub(crate) mod process;
pub(crate) mod proxy;
pub(crate) mod random;
pub(crate) mod runtime_api;
pub(crate) mod scene;
pub(crate) mod script;
pub(crate) mod sqlserver;
pub(crate) mod tds;
pub(crate) mod wire;
