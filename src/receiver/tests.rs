//! The receiver as senders see it: raw bytes over a socket, and what is in the inbox afterwards.

mod delivery;
mod filters;
mod hostile;
mod identity;
mod images;
mod issuer;
mod mutation;
mod world;

use std::time::Duration;

use serde_json::{Value, json};

use self::world::{MANIFESTS, Reply, World, chunked, github, github_push, post};
use super::*;
use crate::model::{Clock, Kind, ObjectKey};
use crate::queue::DeliveryFilter;
