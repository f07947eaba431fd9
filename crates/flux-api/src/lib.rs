//! Flux kinds, conditions, reasons and references.

mod kind;

pub use kind::{Kind, UnknownKind};
