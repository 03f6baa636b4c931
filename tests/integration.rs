//! The one integration binary: see the modules for what each of them attacks.

mod kaggle;
mod support;
