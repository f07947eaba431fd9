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
mod crypto;
mod dates;
mod decimal;
mod defaults;
mod dicts;
mod durations;
mod encodings;
mod equal;
mod ip;
mod jsons;
mod lists;
mod merge;
mod numbers;
mod paths;
mod reflection;
mod regexps;
mod semvers;
mod strings;
mod surroundings;
mod text;
mod unicode;
mod url;
mod urls;

use crate::Func;
pub(crate) use encodings::base64_encode;
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
        dates::FUNCTIONS,
        regexps::FUNCTIONS,
        encodings::FUNCTIONS,
        urls::FUNCTIONS,
        jsons::FUNCTIONS,
        crypto::FUNCTIONS,
    ]
    .into_iter()
    .flatten()
    .cloned()
}

/// Functions of durations as values (`mustToDuration`, `durationSeconds`, …), which are not sprig's;
/// Helm has them since 4.3.
pub fn duration_functions() -> impl Iterator<Item = Func> {
    durations::FUNCTIONS.iter().cloned()
}
