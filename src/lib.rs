//! sluice: push-based continuous delivery that reads Flux's YAML.
//!
//! The rooms, from the rim inwards (see `ARCHITECTURE.md` for the invariants of each):
//!
//! * [`model`]: ids, revisions, causes and events; no I/O.

pub mod api;
pub mod app;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod image;
pub mod model;
pub mod notify;
pub mod objects;
pub mod queue;
pub mod receiver;
pub mod reconcile;
pub mod release;
pub mod render;
pub mod source;
pub mod telemetry;
