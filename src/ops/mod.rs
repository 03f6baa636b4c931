//! What operators and readers do with a lake beside running it: looking, proving, restoring, taking over.

pub mod backfill;
pub mod ddl;
pub mod doctor;
pub(crate) mod figures;
pub mod history;
pub mod import;
pub mod profile;
pub mod restore;
pub mod verify;
