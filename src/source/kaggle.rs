//! Kaggle's public API: version check and verified download.
