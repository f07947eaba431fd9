//! What `--metrics-listen` wants to know of the store and the objects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flux_api::{condition_type, conditions};

use super::StaticProblem;
use super::fault::Faults;
use crate::model::{Clock, Kind, Timestamp};
use crate::objects::Objects;
use crate::queue::Queue;
use crate::telemetry::{Metrics, Observed, QueueGauges, Readiness};

/// Ready while the store can be written.
pub fn readiness(queue: Queue) -> Readiness {
    Arc::new(move || {
        let health = queue.health();
        match health.complaint {
            None if health.writable => Ok(()),
            complaint => Err(complaint.unwrap_or_else(|| "the store cannot be written".to_owned())),
        }
    })
}

/// Brings the gauges of queue, outbox and objects up to date.
pub fn observed(
    metrics: Metrics,
    queue: Queue,
    objects: Objects,
    static_problem: StaticProblem,
    clock: Clock,
) -> Observed {
    let started = clock.now();
    Arc::new(move || {
        let (metrics, queue, objects, clock) =
            (metrics.clone(), queue.clone(), objects.clone(), clock.clone());
        let static_problem = StaticProblem::clone(&static_problem);
        Box::pin(async move {
            match queue.facts().await {
                Ok(facts) => {
                    let now = clock.now();
                    metrics.queue(&QueueGauges {
                        pending: facts.pending,
                        due: facts.due,
                        running: facts.running,
                        oldest_due: since(facts.oldest_due, now),
                        set_aside: facts.set_aside,
                        outbox_pending: facts.outbox_pending,
                        outbox_oldest: since(facts.outbox_oldest, now),
                        outbox_dead: facts.outbox_dead,
                        deliveries: facts.deliveries,
                    });
                }
                Err(error) => tracing::debug!("metrics show the queue as it was: {error}"),
            }
            let mut counts: BTreeMap<(Kind, &str), usize> = BTreeMap::new();
            for kind in Kind::ALL {
                for ready in ["True", "False", "Unknown"] {
                    counts.insert((*kind, ready), 0);
                }
            }
            let faults = Faults::new(&objects, &static_problem, started);
            for (key, _) in faults.absent() {
                *counts.entry((key.kind, "False")).or_default() += 1;
            }
            for object in objects.all() {
                if faults.of(&object).is_some() {
                    *counts.entry((object.kind(), "False")).or_default() += 1;
                    continue;
                }
                let ready = conditions::get(object.conditions(), condition_type::READY)
                    .map_or("Unknown", |condition| condition.status.as_str());
                *counts.entry((object.kind(), ready)).or_default() += 1;
            }
            for ((kind, ready), count) in counts {
                metrics.objects(kind.as_str(), ready, count);
            }
        })
    })
}

fn since(then: Option<Timestamp>, now: Timestamp) -> Duration {
    then.and_then(|then| Duration::try_from(now.duration_since(then)).ok()).unwrap_or_default()
}
