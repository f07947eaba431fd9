//! YAML as Go's YAML libraries read and write it.
//!
//! - [`from_str`], [`yaml_to_json`], [`from_yaml_values`]: the resolver of go-yaml v2 through the JSON of
//!   `sigs.k8s.io/yaml`, with its error texts ([`Error`]). [`decode`] builds any other tree ([`Build`]).
//! - [`to_yaml`], [`to_yaml_pretty`]: the emitters of go-yaml v2 and v3, of any [`Tree`].
//! - [`to_json`] and its kin: JSON as `encoding/json` writes it, of any [`Tree`].
//! - [`documents`]: streams of several documents. [`node`]: trees that keep places, styles and comments.
//! - [`number`]: floats as `strconv` formats them.
//!
//! The crate does no input or output and its work is bounded: nesting by [`Options::max_depth`], aliases by go-yaml's
//! own ratio.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod build;
mod decode;
mod emit;
mod error;
mod gosyntax;
pub mod json;
mod load;
pub mod node;
pub mod number;
mod parse;
mod resolve;
mod scan;
mod sort;
mod stream;
mod tape;
mod timestamp;
mod tree;
pub mod unicode;
mod value;

pub use build::{Build, JsonBuilder, ValueBuilder};
pub use decode::Options;
pub use emit::{YamlWriter, to_yaml, to_yaml_pretty};
pub use error::{Error, ErrorKind, Result};
pub use json::{to_json, to_json_pretty, to_json_raw};
pub use load::{
    decode, decode_bytes, from_slice, from_str, from_yaml_any, from_yaml_array, from_yaml_values,
    yaml_to_json, yaml_to_json_strict,
};
pub use resolve::Schema;
pub use stream::{Document, Documents, StreamOptions, documents, documents_with};
pub use tree::{Sink, Tree};
pub use value::{Map, Number, Value};
