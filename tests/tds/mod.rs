//! The TDS server of these tests, held to clients of other hands: tiberius here, FreeTDS and python-tds in `foreign`.

mod client;
mod faults;
mod foreign;
mod matrix;
mod requests;
mod tls;
mod types;
