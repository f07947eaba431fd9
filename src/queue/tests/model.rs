//! The queue against a reference so small that its rules can be read at a glance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// What can happen.
#[derive(Clone, Debug)]
enum Act {
    /// A push for an object, named by number.
    Push(u8),
    /// A timer for an object, due in so many seconds.
    Timer(u8, u64),
    Claim,
    /// The n-th job in hand ends; kept in hand it becomes a late one.
    Done(u8),
    Retry(u8, u64),
    /// Somebody who lost his lease comes back with a result.
    Late(u8),
    Pass(u64),
    Crash,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let object = 0..4_u8;
    prop::collection::vec(
        prop_oneof![
            4 => object.clone().prop_map(Act::Push),
            2 => (object, 0..100_u64).prop_map(|(object, after)| Act::Timer(object, after)),
            4 => Just(Act::Claim),
            3 => any::<u8>().prop_map(Act::Done),
            1 => (any::<u8>(), 0..50_u64).prop_map(|(n, after)| Act::Retry(n, after)),
            1 => any::<u8>().prop_map(Act::Late),
            2 => (0..45_u64).prop_map(Act::Pass),
            1 => Just(Act::Crash),
        ],
        1..60,
    )
}

#[derive(Default, Debug, Clone, PartialEq)]
struct Waiting {
    due: u64,
    hint: Option<u64>,
    pushes: BTreeSet<u64>,
}

/// Per object: what waits, what runs (and until when), how often a run vanished.
#[derive(Default, Debug)]
struct Reference {
    now: u64,
    waiting: BTreeMap<u8, Waiting>,
    running: BTreeMap<u8, (u64, Waiting)>,
    vanished: BTreeMap<u8, (u32, u64)>,
}

impl Reference {
    fn put(&mut self, object: u8, new: Waiting) {
        let waiting =
            self.waiting.entry(object).or_insert_with(|| Waiting { due: u64::MAX, ..Default::default() });
        waiting.due = waiting.due.min(new.due);
        waiting.hint = new.hint.or(waiting.hint);
        waiting.pushes.extend(new.pushes);
    }

    fn timer(&mut self, object: u8, after: u64) {
        let aside = self.vanished.get(&object).map_or(0, |(_, until)| *until);
        self.put(object, Waiting { due: (self.now + after).max(aside), ..Default::default() });
    }

    /// A run that left its work undone: the successor inherits, but keeps its own newer hint.
    fn back(&mut self, object: u8, mut run: Waiting, due: u64) {
        run.due = due;
        if self.waiting.get(&object).is_some_and(|waiting| waiting.hint.is_some()) {
            run.hint = None;
        }
        self.put(object, run);
    }

    fn vanish(&mut self, object: u8) {
        let (_, run) = self.running.remove(&object).unwrap();
        let (count, until) = self.vanished.entry(object).or_default();
        *count += 1;
        if *count < 5 {
            let now = self.now;
            self.back(object, run, now);
        } else {
            *until = self.now + (60 << (*count - 5)).min(3600);
            self.timer(object, 0);
        }
    }

    fn claim(&mut self) -> Vec<(u8, Waiting)> {
        let gone: Vec<u8> = self
            .running
            .iter()
            .filter(|(_, (until, _))| *until <= self.now)
            .map(|(object, _)| *object)
            .collect();
        gone.into_iter().for_each(|object| self.vanish(object));
        let due: Vec<u8> = self
            .waiting
            .iter()
            .filter(|(object, waiting)| waiting.due <= self.now && !self.running.contains_key(object))
            .map(|(object, _)| *object)
            .collect();
        due.into_iter()
            .map(|object| {
                let waiting = self.waiting.remove(&object).unwrap();
                self.running.insert(object, (self.now + LEASE.as_secs(), waiting.clone()));
                (object, waiting)
            })
            .collect()
    }
}

fn object(n: u8) -> ObjectKey {
    release(&format!("r{n}"))
}

async fn check(acts: Vec<Act>) -> Result<(), TestCaseError> {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).await;
    let mut reference = Reference::default();
    let mut in_hand: Vec<(u8, LeasedJob)> = Vec::new();
    let mut lost: Vec<LeasedJob> = Vec::new();
    let mut pushes = 0_u64;
    for act in acts {
        match act {
            Act::Push(n) => {
                pushes += 1;
                let job = NewJob {
                    payload: json!(pushes),
                    ..store.push(object(n), &DeliveryId::new(pushes.to_string()), "")
                };
                store.queue.enqueue(vec![job]).await.unwrap();
                let due = reference.now;
                reference.put(n, Waiting { due, hint: Some(pushes), pushes: [pushes].into() });
            }
            Act::Timer(n, after) => {
                store.queue.enqueue(vec![store.timer(object(n), seconds(after))]).await.unwrap();
                reference.timer(n, after);
            }
            Act::Claim => {
                // All that can be claimed: which of several goes first is another test's business.
                let expected: BTreeMap<u8, Waiting> = reference.claim().into_iter().collect();
                let mut claimed = BTreeMap::new();
                for job in store.claim_all().await {
                    let n: u8 = job.object.name[1..].parse().unwrap();
                    let waiting = Waiting {
                        due: job.due_at.duration_since("2026-03-01T12:00:00Z".parse().unwrap()).as_secs()
                            as u64,
                        hint: job.payload.as_u64(),
                        pushes: job
                            .causes
                            .iter()
                            .filter_map(|cause| cause.delivery.as_ref()?.as_str().parse().ok())
                            .collect(),
                    };
                    claimed.insert(n, waiting);
                    in_hand.push((n, job));
                }
                prop_assert_eq!(claimed, expected);
            }
            Act::Done(i) | Act::Retry(i, _) if !in_hand.is_empty() => {
                let (n, job) = in_hand.remove(usize::from(i) % in_hand.len());
                let outcome = match act {
                    Act::Retry(_, after) => JobOutcome::Retry { after: seconds(after), error: "no".into() },
                    _ => JobOutcome::Done,
                };
                // A lease that ran out still stands as long as nobody took the job.
                let stands = reference.running.contains_key(&n) && !lost.contains(&job);
                let finished = store.queue.finish(&job.lease, JobResult::of(outcome)).await;
                prop_assert_eq!(finished.is_ok(), stands, "{:?}", finished);
                if stands {
                    reference.vanished.remove(&n);
                    let (_, run) = reference.running.remove(&n).unwrap();
                    if let Act::Retry(_, after) = act {
                        let due = reference.now + after;
                        reference.back(n, run, due);
                    }
                }
                lost.push(job);
            }
            Act::Late(i) if !lost.is_empty() => {
                let job = &lost[usize::from(i) % lost.len()];
                let late = store.queue.finish(&job.lease, JobResult::of(JobOutcome::Done)).await;
                prop_assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{:?}", late);
            }
            Act::Done(_) | Act::Retry(..) | Act::Late(_) => {}
            Act::Pass(by) => {
                store.clock.advance(seconds(by));
                reference.now += by;
            }
            Act::Crash => {
                let clock = store.kill().await;
                store = Store::open_at(dir.path(), clock).await;
                let running: Vec<u8> = reference.running.keys().copied().collect();
                running.into_iter().for_each(|n| reference.vanish(n));
                lost.extend(in_hand.drain(..).map(|(_, job)| job));
            }
        }
        // Runs whose lease ran out are lost once the next claim has taken them away.
        let standing = &reference.running;
        let (kept, gone): (Vec<_>, Vec<_>) =
            in_hand.into_iter().partition(|(n, job)| standing.get(n).is_some_and(|_| !lost.contains(job)));
        in_hand = kept;
        lost.extend(gone.into_iter().map(|(_, job)| job));
        // The same object claimed again: only the newest lease stands.
        let mut newest: BTreeMap<u8, LeasedJob> = BTreeMap::new();
        for (n, job) in in_hand.drain(..) {
            if let Some(older) = newest.insert(n, job) {
                lost.push(older);
            }
        }
        in_hand.extend(newest);
        let facts = store.queue.facts().await.unwrap();
        prop_assert_eq!(
            (facts.pending, facts.running),
            (reference.waiting.len() as u64, reference.running.len() as u64)
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, failure_persistence: None, ..Default::default() })]
    #[test]
    fn whatever_happens_the_queue_keeps_its_rules(acts in acts()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(check(acts))?;
    }
}
