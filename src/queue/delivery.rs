//! Webhook deliveries as they are stored: the inbox.

use bytes::Bytes;

use super::{JobState, Step, StoredJob, StoredMessage};
use crate::model::{DeliveryId, ObjectKey, Timestamp};

/// An authentic delivery, ready to be stored. The receiver has capped the body and redacted the headers.
#[derive(Clone, Debug)]
pub struct NewDelivery {
    /// Our id.
    pub id: DeliveryId,
    /// The Receiver it came in by.
    pub receiver: ObjectKey,
    /// The receiver's `spec.type`.
    pub provider: String,
    /// The event as the sender names it (`push`, `Tag Push Hook`); empty when it names none.
    pub event: String,
    /// The sender's delivery id, if it sends one.
    pub sender_id: Option<String>,
    /// What makes two deliveries the same one: the sender's id, or a digest of the body.
    pub dedup_key: String,
    /// Until when a delivery with the same key is a duplicate.
    pub dedup_until: Timestamp,
    /// When the request's head had arrived.
    pub received_at: Timestamp,
    /// Headers without credentials or signatures.
    pub headers: Vec<(String, String)>,
    /// The body, or its beginning.
    pub body: Bytes,
    /// How long the body was on the wire.
    pub body_size: u64,
    /// What the body says, as the receiver read it; `commit` and `ref` are looked up by `sluice explain`.
    pub facts: serde_json::Value,
    /// Why nothing, or not everything, came of it.
    pub note: Option<String>,
}

/// What became of a delivery that was handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is on disk, and so are its jobs.
    Stored(DeliveryId),
    /// The same delivery was stored before; nothing was written.
    Duplicate {
        /// The one stored before.
        of: DeliveryId,
    },
}

/// Which deliveries to list; an empty filter lists all.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those of this Receiver.
    pub receiver: Option<ObjectKey>,
    /// Only those of Receivers of this namespace.
    pub namespace: Option<String>,
    /// Only those received at or after this time.
    pub since: Option<Timestamp>,
    /// Only those older than this delivery: the way to page.
    pub before: Option<DeliveryId>,
}

/// One line of the inbox.
#[derive(Clone, Debug, PartialEq)]
pub struct DeliverySummary {
    /// Our id.
    pub id: DeliveryId,
    /// The Receiver, as `Receiver/namespace/name`.
    pub receiver: ObjectKey,
    /// The receiver's type.
    pub provider: String,
    /// The sender's word for the event.
    pub event: String,
    /// The sender's delivery id.
    pub sender_id: Option<String>,
    /// When the request's head had arrived.
    pub received_at: Timestamp,
    /// When the row was written.
    pub stored_at: Timestamp,
    /// What the body says.
    pub facts: serde_json::Value,
    /// Why nothing, or not everything, came of it.
    pub note: Option<String>,
    /// How many jobs stand in which state because of it.
    pub jobs: Vec<(JobState, u64)>,
}

/// Everything known about one delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The line of the list.
    pub summary: DeliverySummary,
    /// Headers without credentials.
    pub headers: Vec<(String, String)>,
    /// The body as far as it was kept; `None` once retention has removed it.
    pub body: Option<Bytes>,
    /// How long the body was on the wire.
    pub body_size: u64,
    /// Every job it caused, dependents included, oldest first.
    pub jobs: Vec<StoredJob>,
    /// What those jobs did, in order of time.
    pub steps: Vec<Step>,
    /// The messages that went out because of it.
    pub messages: Vec<StoredMessage>,
}
