//! The one integration binary: see the modules for what each of them attacks.

mod support;
