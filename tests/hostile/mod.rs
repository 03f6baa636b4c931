//! Hostile input: each kind has one clear error, which names the place, and changes nothing in the lake.

mod archives;
mod csv;
pub(crate) mod forge;
mod fuzz;
pub(crate) mod lake;
mod written;
