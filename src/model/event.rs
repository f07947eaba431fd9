//! What happened to an object, as it goes to Alerts, logs and `sluice explain`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Cause, ObjectKey, Timestamp};

/// How bad it is, in Flux's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// For the record only; never sent to a chat.
    Trace,
    /// As it should be.
    Info,
    /// Somebody should look.
    Error,
}

impl Severity {
    /// Flux's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Trace => "trace",
            Severity::Info => "info",
            Severity::Error => "error",
        }
    }
}

/// One event, with the fields of Flux's `event.toolkit.fluxcd.io/v1beta1`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The object it happened to.
    pub object: ObjectKey,
    /// The object's API version (`helm.toolkit.fluxcd.io/v2`), as the wire format wants it.
    pub api_version: String,
    /// The object's uid and resource version; empty when unknown.
    pub uid: String,
    /// See `uid`.
    pub resource_version: String,
    /// How bad.
    pub severity: Severity,
    /// When.
    pub timestamp: Timestamp,
    /// One of Flux's reason words (`UpgradeSucceeded`).
    pub reason: String,
    /// The text people read; the same as in the condition.
    pub message: String,
    /// Flux's metadata: `<group>/revision` and friends, unstripped.
    pub metadata: BTreeMap<String, String>,
    /// The controller whose part we play (`helm-controller`): Flux users filter on it.
    pub reporting_controller: String,
    /// What set it off.
    pub cause: Cause,
}
