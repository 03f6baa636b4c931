//! Sources: where a snapshot comes from. Both jobs end in the same value, so that the rest of the program is one.

pub mod archive;
mod inflate;
pub mod kaggle;

pub use self::inflate::Limits;
