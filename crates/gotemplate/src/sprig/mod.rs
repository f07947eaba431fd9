//! The function library charts call: sprig v3.3.0, value for value and error for error.

pub mod regexp;

mod case;
mod text;
mod unicode;
