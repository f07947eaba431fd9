//! Flux's kinds as Rust types: specs, statuses, conditions, reasons, and strict reading of every API version.
//!
//! Data in, data out. Whatever version a manifest is written in, there is one in-memory form per kind, today's; what
//! only older versions had is mapped while decoding. [`decode`] refuses what an API server in strict mode refuses and
//! says everything that is wrong at once. Nothing here fetches, stores or watches.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod condition;
mod convert;
mod decode;
mod duration;
mod foreign;
mod kind;
mod kinds;
mod macros;
mod meta;
mod names;
mod object;
mod problem;
pub mod reason;
mod schema;
mod time;

pub use condition::{Condition, ConditionStatus, condition_type, conditions};
pub use decode::{Class, classify, decode};
pub use duration::{DurationError, GoDuration};
pub use foreign::ForeignReference;
pub use kind::{Kind, UnknownKind};
pub use kinds::*;
pub use meta::{ObjectMeta, label_problem, path_problem, subdomain_problem};
pub use names::{FINALIZER, annotation, controller, label};
pub use object::*;
pub use problem::{DecodeError, Path, Problem, Segment};
pub use time::Time;
