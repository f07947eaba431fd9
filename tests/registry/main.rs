//! The registry client, and what is built on it, against registries on loopback that keep state and can misbehave.

#![allow(clippy::unwrap_used)]

mod connection;
mod digests;
mod hostile;
mod listing;
mod stories;
mod tokens;
mod world;
