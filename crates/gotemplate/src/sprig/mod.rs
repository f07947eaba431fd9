//! The function library charts call: sprig v3.3.0, value for value and error for error.
//!
//! [`functions`] gives all of them but `env` and `expandenv`, which Helm takes out. They are pure apart
//! from the clock, the random bytes and the local time zone that come from [`Surroundings`]. Helm's own
//! functions (`toYaml`, `include`, …) are not here.

pub mod regexp;
pub mod time;

mod args;
mod case;
mod cast;
mod decimal;
mod defaults;
mod dicts;
mod equal;
mod lists;
mod merge;
mod numbers;
mod paths;
mod reflection;
mod semvers;
mod strings;
mod surroundings;
mod text;
mod unicode;

use crate::Func;
pub use surroundings::{FillRandom, Surroundings};

/// The functions of sprig.
pub fn functions() -> impl Iterator<Item = Func> {
    [
        strings::FUNCTIONS,
        numbers::FUNCTIONS,
        lists::FUNCTIONS,
        dicts::FUNCTIONS,
        defaults::FUNCTIONS,
        reflection::FUNCTIONS,
        paths::FUNCTIONS,
        semvers::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .cloned()
}
