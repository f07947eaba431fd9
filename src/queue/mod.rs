//! The durable store: webhook deliveries, jobs, statuses, the outbox and the story of every push, in one SQLite file.
//!
//! A webhook is answered only after its row is on disk, and work goes on after `kill -9` at any instant, because
//! both live here. This room does not know what a job means, and runs none.

mod command;
mod delivery;
mod error;
mod handle;
mod housekeeper;
mod job;
mod leases;
mod message;
mod settings;
mod shared;
mod sqlite;
mod status;
mod step;
mod tags;
mod writer;

#[cfg(test)]
mod tests;

pub use delivery::{Delivery, DeliveryFilter, DeliverySummary, NewDelivery, Recorded};
pub use error::{OpenError, StoreError};
pub use handle::{Health, Queue, QueueFacts, check_store};
pub use job::{JobOutcome, JobResult, JobState, Lease, LeasedJob, NewJob, Priority, StoredJob};
pub use message::{LeasedMessage, MessageLease, MessageOutcome, MessageState, NewMessage, StoredMessage};
pub use settings::{QueueSettings, Steady};
pub use sqlite::StoreReport;
pub use status::{Applied, Generated, NewStatus, Overlay, StoredStatus};
pub use step::{Step, StepOutcome, Story};
pub use writer::Writer;
