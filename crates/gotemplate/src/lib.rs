//! Go's `text/template` with its value model, `fmt` and the sprig functions.
//!
//! Data in, text out: no clock, no network, no files. What a function needs from outside reaches it
//! through [`Ctx`]. Charts are untrusted, so execution counts its steps, depth and bytes and stops at a
//! limit with a typed error; it never recurses on the native stack for nested templates.
//!
//! The way through: a text becomes a [`Parsed`] (compiled, immutable, worth caching by its hash),
//! several make a [`TemplateSet`] that all threads share, and each render has a [`Renderer`] with its
//! own [`Ctx`] and its own view of the [`Frozen`] values.
//!
//! ```
//! use gotemplate::{Ctx, Frozen, FuncMap, Limits, MissingKey, Parsed, Renderer, TemplateSet};
//! use std::sync::Arc;
//!
//! let mut funcs = FuncMap::new();
//! funcs.extend(gotemplate::sprig::functions());
//! let mut set = TemplateSet::new("root", MissingKey::Zero);
//! let helpers = r#"{{ define "greet" }}Hello {{ .name | quote }}{{ end }}"#;
//! set.add(&Parsed::parse("helpers", helpers.as_bytes(), &funcs)?);
//! set.add(&Parsed::parse("main", &b"{{ template \"greet\" . }}!"[..], &funcs)?);
//! let set = Arc::new(set);
//!
//! let values = Frozen::map([("name", Frozen::from("Ada"))]);
//! let mut renderer = Renderer::new(Ctx::new(Limits::default()));
//! assert_eq!(renderer.execute(&set, "main", values.thaw())?, b"Hello \"Ada\"!");
//! # Ok::<(), gotemplate::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod builtins;
mod code;
mod collections;
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
mod watch;

pub use error::{Error, ExecError, Limit, ParseError};
pub use exec::Renderer;
pub use frozen::{Frozen, FrozenMap};
pub use func::{
    AfterFn, BoundFn, ControlFn, Ctx, Execute, Func, FuncBody, FuncMap, FuncValue, Limits, NativeFn, Reply,
    Target, ValueFn,
};
pub use host::Host;
pub use map::{List, Map};
pub use set::{MissingKey, Parsed, TemplateSet};
pub use text::Str;
pub use types::{GoType, Kind, Method, TypeDesc};
pub use value::{IntKind, UintKind, Value};
pub use watch::Watch;
