//! Golden tables: small snapshots through the whole pipeline, and exactly what has to come out.

mod changes;
mod dialects;
mod drift;
mod encodings;
mod files;
mod guards;
mod headers;
mod parquet;
mod settings;
mod types;
