//! The lake: keys, objects, and the protocol that commits to them.

pub mod store;
