//! A stored delivery once more: what it would wake today.

use flux_api::Receiver;

use super::facts::Facts;
use super::filter::{self, Filters};
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
    pub async fn replay(&self, delivery: &Delivery, now: Timestamp) -> Result<Replay, String> {
        let summary = &delivery.summary;
        let key = &summary.receiver;
        let receiver = self
            .objects()
            .get_as::<Receiver>(&key.namespace, &key.name)
            .ok_or_else(|| format!("`{key}` is gone, and with it what its deliveries wake"))?;
        let provider = Provider::of(receiver.spec.receiver_type());
        let facts: Facts = serde_json::from_value(summary.facts.clone())
            .map_err(|error| format!("the facts of delivery `{}` cannot be read: {error}", summary.id))?;
        let (listed, mut problems) =
            plan::listed(self.objects(), &receiver, self.settings().no_cross_namespace_refs);
        let filters = Filters::compile(&receiver)?;
        let listed = if filters.is_empty() {
            listed
        } else {
            let request = request(provider, delivery)?;
            let evaluation = tokio::task::spawn_blocking(move || filters.apply(listed, &request, None));
            let (kept, more) = evaluation.await.map_err(|_| "the agent is about to end".to_owned())?;
            problems.extend(more);
            kept
        };
        let listed = plan::objects_of(listed);
        // What was stored is the header's word, or the body's, as it was when the delivery came in.
        let event = provider.filtered_event(Some(&summary.event), None);
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

/// What the Receiver's expressions see of a stored delivery.
fn request(provider: Provider, delivery: &Delivery) -> Result<serde_json::Value, String> {
    let id = &delivery.summary.id;
    if provider == Provider::GenericOidc {
        return Err(format!(
            "the expressions of its Receiver speak of the token of delivery `{id}`, which is not kept"
        ));
    }
    let body = delivery.body.as_deref().filter(|body| body.len() as u64 == delivery.body_size);
    let body = body.ok_or_else(|| {
        format!(
            "the expressions of its Receiver speak of the body of delivery `{id}`, which is not kept whole"
        )
    })?;
    let mut headers = http::HeaderMap::new();
    for (name, value) in &delivery.headers {
        if let (Ok(name), Ok(value)) = (name.parse::<http::HeaderName>(), value.parse()) {
            headers.append(name, value);
        }
    }
    let parsed = provider.parse(&headers, body).map_err(|error| error.to_string())?;
    match parsed.request {
        Some(request) => Ok(request),
        None => filter::request(&headers, body).map_err(|error| error.to_string()),
    }
}
