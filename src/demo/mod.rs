//! A small world in one process: what `sluice demo` shows and the tests push to.

pub mod forge;
pub mod git_server;
pub mod registry;
pub mod repository;
pub mod sink;
pub mod tour;
pub mod world;
