//! The receiver as senders see it.
