//! Alert.

use std::collections::BTreeMap;

use super::common::LocalRef;
use super::receiver::ObjectSelector;
use crate::macros::{api, words};

api! {
    /// Which events go to which Provider.
    AlertSpec {
        /// The Provider, same namespace.
        provider_ref: LocalRef,
        /// Absent: info, which is everything.
        event_severity: Option<EventSeverity>,
        /// Whose events.
        event_sources: Vec<ObjectSelector>,
        /// Only messages matching one of these regular expressions; all when empty.
        inclusion_list: Vec<String>,
        /// No messages matching one of these.
        exclusion_list: Vec<String>,
        /// Added to every event.
        event_metadata: BTreeMap<String, String>,
        /// Added to every event (deprecated).
        summary: Option<String>,
        /// Leave it alone.
        suspend: bool,
    }

    /// An Alert is a static object: it has no status.
    AlertStatus {
    }
}

words! {
    /// Which events pass.
    EventSeverity {
        Info = "info",
        Error = "error",
    }
}

impl AlertSpec {
    /// info unless said otherwise.
    pub fn event_severity(&self) -> EventSeverity {
        self.event_severity.unwrap_or(EventSeverity::Info)
    }
}
