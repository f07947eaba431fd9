//! Go's `text/template` with its value model, `fmt` and the sprig functions.
//!
//! Data in, text out: no clock, no network, no files. What a function needs from outside reaches it
//! through [`Ctx`]. Charts are untrusted, so execution counts its steps, depth and bytes and stops at a
//! limit with a typed error; it never recurses on the native stack for nested templates.
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod builtins;
mod code;
mod compile;
pub mod error;
mod exec;
pub mod frozen;
pub mod func;
pub mod gofmt;
pub mod host;
pub mod json;
mod map;
mod parse;
mod set;
pub mod sprig;
mod text;
pub mod types;
pub mod value;

pub use error::{Error, ExecError, Limit, ParseError};
pub use exec::Renderer;
pub use frozen::{Frozen, FrozenMap};
pub use func::{
    AfterFn, BoundFn, ControlFn, Ctx, Execute, Func, FuncBody, FuncMap, FuncValue, Limits, NativeFn, Reply,
    Target,
};
pub use host::Host;
pub use map::{List, Map};
pub use set::{MissingKey, Parsed, TemplateSet};
pub use text::Str;
pub use types::{GoType, Kind, Method, TypeDesc};
pub use value::{IntKind, UintKind, Value};
