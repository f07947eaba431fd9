//! Logs, metrics and health: what an operator sees of the process itself.
//!
//! Usable from every room, knows none of them. Secrets never come here; control bytes that others put into names and
//! messages are escaped before they reach a terminal.

mod health;
mod log;
mod metrics;

pub use health::{Observed, Readiness, routes};
pub use log::{LogFormat, LogSettings, escape, init, one_line};
pub use metrics::{DeliveryLabels, Metrics, QueueGauges};
