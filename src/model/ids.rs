//! Names of things that pass between rooms, as types of their own.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps the text as it stands.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name! {
    /// What a source stands at, as Flux writes it: `master@sha1:<40 hex>`, `sha256:<hex>`, `1.0.0+<12 hex>.1`.
    Revision
}
name! {
    /// A content digest with its algorithm: `sha256:<hex>`.
    Digest
}
name! {
    /// One webhook delivery as we stored it (uuid v7, so ids sort by arrival).
    DeliveryId
}
name! {
    /// One job of the queue (uuid v7).
    JobId
}

impl DeliveryId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// When it was made, which is when the delivery arrived; the id carries it.
    pub fn generated_at(&self) -> Option<super::Timestamp> {
        let (seconds, nanos) = uuid::Uuid::parse_str(&self.0).ok()?.get_timestamp()?.to_unix();
        super::Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
    }
}

impl JobId {
    /// A fresh id.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }
}

/// Why a job runs. Every job, fetch, render, apply and message carries it, so that the whole story can be told.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Cause {
    /// What set the job off.
    pub kind: CauseKind,
    /// The delivery at the start of the chain, if a webhook was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
}

/// What can set a job off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseKind {
    /// A webhook named the object.
    Delivery,
    /// The object's `spec.interval` (or `retryInterval`, or a backoff) came due.
    Interval,
    /// Somebody asked: `sluice reconcile`, or the `reconcile.fluxcd.io/requestedAt` annotation.
    Request,
    /// The object itself, or a Secret or ConfigMap it reads, was added or changed.
    Change,
    /// A source or dependency it refers to has a new revision or became ready.
    Dependency,
    /// A stored delivery was replayed by hand.
    Replay,
    /// The agent started and looks at everything once.
    Start,
}

impl Cause {
    /// A cause without a delivery.
    pub fn of(kind: CauseKind) -> Self {
        Self { kind, delivery: None }
    }

    /// A webhook delivery as the cause.
    pub fn delivery(id: DeliveryId) -> Self {
        Self { kind: CauseKind::Delivery, delivery: Some(id) }
    }

    /// The same chain one step on: the delivery stays, the kind says how this link came about.
    pub fn then(&self, kind: CauseKind) -> Self {
        Self { kind, delivery: self.delivery.clone() }
    }
}

impl CauseKind {
    /// The word stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            CauseKind::Delivery => "delivery",
            CauseKind::Interval => "interval",
            CauseKind::Request => "request",
            CauseKind::Change => "change",
            CauseKind::Dependency => "dependency",
            CauseKind::Replay => "replay",
            CauseKind::Start => "start",
        }
    }
}

impl fmt::Display for CauseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
