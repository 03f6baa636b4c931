//! The configuration: raw JSON in, a valid `Config` out, all faults reported at once.
