//! Git sources against a real git server (`git http-backend` behind the demo's forge) and a real `git` client.

#![allow(clippy::unwrap_used)]

mod artifacts;
mod connection;
mod fetching;
mod hostile;
mod pushing;
mod reading;
mod signing;
mod world;
