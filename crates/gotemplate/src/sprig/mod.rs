//! The function library charts call: sprig v3.3.0, value for value and error for error.

pub mod regexp;
pub mod time;

mod case;
mod text;
mod unicode;
