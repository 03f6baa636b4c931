//! Kaggle's public API: version check and verified download.

mod dataset;

pub use self::dataset::Dataset;
