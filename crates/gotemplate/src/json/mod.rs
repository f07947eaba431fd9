//! JSON between text and values, as Go's `encoding/json` has it since Go 1.27.

mod decode;
mod encode;

pub use decode::{Decoded, decode, decode_into};
pub use encode::{Style, encode};
