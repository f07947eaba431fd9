//! The outbox: messages to chats, forges and CI that survive a restart and an outage of the other end.

use std::time::Duration;

use crate::model::{Cause, Event, ObjectKey, Timestamp};

/// One event for one Alert, to be sent by one Provider.
#[derive(Clone, Debug, PartialEq)]
pub struct NewMessage {
    /// The Alert that matched.
    pub alert: ObjectKey,
    /// The Provider that sends.
    pub provider: ObjectKey,
    /// What happened.
    pub event: Event,
    /// What set it off.
    pub cause: Cause,
}

/// The right to send a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageLease {
    /// The message.
    pub id: i64,
    /// The how manieth claim of it: the fencing token.
    pub claim: i64,
}

/// A message in the hands of a sender.
#[derive(Clone, Debug, PartialEq)]
pub struct LeasedMessage {
    /// The message.
    pub message: NewMessage,
    /// How many attempts have failed.
    pub attempts: u32,
    /// When it was put in.
    pub created_at: Timestamp,
    /// The token for `finish_message`.
    pub lease: MessageLease,
}

/// How an attempt to send ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageOutcome {
    /// The other end took it.
    Sent,
    /// It did not; try again, at the time the other end asked for or after our own backoff.
    Retry {
        /// What the other end asked for.
        after: Option<Duration>,
        /// The text people read.
        error: String,
    },
    /// It never will (a wrong address, a refused token, nobody wants it any more).
    Refused {
        /// The text people read.
        error: String,
    },
}

/// Where a stored message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MessageState {
    /// Waits to be sent.
    Pending,
    /// A sender has it.
    Sending,
    /// Sent.
    Sent,
    /// Given up.
    Dead,
}

impl MessageState {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            MessageState::Pending => "pending",
            MessageState::Sending => "sending",
            MessageState::Sent => "sent",
            MessageState::Dead => "dead",
        }
    }

    pub(super) fn parse(word: &str) -> Option<Self> {
        [MessageState::Pending, MessageState::Sending, MessageState::Sent, MessageState::Dead]
            .into_iter()
            .find(|state| state.as_str() == word)
    }
}

/// A message as it stands in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// Its number.
    pub id: i64,
    /// Who, what and why.
    pub message: NewMessage,
    /// Where it stands.
    pub state: MessageState,
    /// Failed attempts so far.
    pub attempts: u32,
    /// When it was put in.
    pub created_at: Timestamp,
    /// When it was sent or given up.
    pub finished_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}
