//! Go's text/template with sprig's functions
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod sprig;
