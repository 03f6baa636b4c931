//! Hostile input: each kind has one clear error, which names the place, and changes nothing in the lake.

mod archives;
mod csv;
mod forge;
mod fuzz;
mod lake;
mod written;
