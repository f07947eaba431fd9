//! A stored delivery once more: what it would wake today.

use flux_api::Receiver;

use super::facts::Facts;
use super::plan;
use super::provider::Provider;
use super::state::ReceiverState;
use crate::model::{Cause, CauseKind, Timestamp};
use crate::queue::{Delivery, NewJob, Priority};

/// What a replay leads to.
#[derive(Debug)]
pub struct Replay {
    /// The jobs to put in.
    pub jobs: Vec<NewJob>,
    /// Why nothing, or not everything, is woken.
    pub note: Option<String>,
}

impl ReceiverState {
    /// Plans a stored delivery again, with the objects as they are now. It was proved when it came in.
    ///
    /// # Errors
    /// With the text for the person who asked, when its Receiver is gone or its facts cannot be read.
    pub fn replay(&self, delivery: &Delivery, now: Timestamp) -> Result<Replay, String> {
        let summary = &delivery.summary;
        let key = &summary.receiver;
        let receiver = self
            .objects()
            .get_as::<Receiver>(&key.namespace, &key.name)
            .ok_or_else(|| format!("`{key}` is gone, and with it what its deliveries wake"))?;
        let provider = Provider::of(receiver.spec.receiver_type());
        let facts: Facts = serde_json::from_value(summary.facts.clone())
            .map_err(|error| format!("the facts of delivery `{}` cannot be read: {error}", summary.id))?;
        let (listed, problems) =
            plan::listed(self.objects(), &receiver, self.settings().no_cross_namespace_refs);
        let event = Some(summary.event.as_str()).filter(|event| !event.is_empty());
        let plan = plan::plan(&receiver, provider, event, &facts, &listed, problems);
        let cause = Cause { kind: CauseKind::Replay, delivery: Some(summary.id.clone()) };
        let jobs = plan
            .wake
            .into_iter()
            .map(|(object, payload)| NewJob {
                object,
                cause: cause.clone(),
                due_at: now,
                payload,
                priority: Priority::Push,
            })
            .collect();
        Ok(Replay { jobs, note: plan.note })
    }
}
