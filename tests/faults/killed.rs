//! F1: killed with SIGKILL at every step of a push, one after another: at each request of the path as it arrives and as it
//! is done but not answered yet (fetch, look-up in the middle of a rendering, first and last apply, Helm's records, chat),
//! and at each `fsync` of the store. Whatever the step, a restart finishes the push by itself.

use std::collections::HashMap;
use std::time::Duration;

use kube_sim::ClusterHandle;
use sluice::model::Clock;
use sluice::queue::{DeliveryFilter, JobState, Queue, QueueSettings};

use crate::strace::Strace;
use crate::world::{Point, Setup, World, name, patiently, records, release};

/// Asks the member in the middle of a rendering, and adds nothing to the release.
const LOOKUP: &str = "{{- $found := lookup \"v1\" \"ConfigMap\" \"default\" \"asked-while-rendering\" }}\n";

/// What one push leaves behind on a member.
fn arrived(cluster: &ClusterHandle, member: usize, number: u32) -> bool {
    let carries = |kind: &str, api: &str, at: &str| {
        cluster
            .get(api, kind, Some("app"), &name(member))
            .is_some_and(|object| object.pointer(at) == Some(&number.into()))
    };
    carries("services", "v1", "/spec/ports/0/port")
        && carries("deployments", "apps/v1", "/spec/template/spec/containers/0/ports/0/containerPort")
}

fn generation(cluster: &ClusterHandle, member: usize) -> i64 {
    let deployment = cluster.get("apps/v1", "deployments", Some("app"), &name(member)).unwrap();
    deployment["metadata"]["generation"].as_i64().unwrap()
}

struct Pushes {
    world: World,
    /// The last port that was pushed.
    number: u32,
    /// Deliveries that were answered with 200.
    accepted: Vec<String>,
}

impl Pushes {
    async fn start() -> Self {
        let setup = Setup { files: vec![("helm-chart/templates/asks.yaml", LOOKUP)], ..Setup::default() };
        let world = World::start(setup, |_, _| {}).await;
        for member in [1, 2] {
            world.deployed(member, |_| true).await;
        }
        let mut pushes = Self { world, number: 7999, accepted: Vec::new() };
        // From here on both ports are the same number.
        let commit = pushes.commit();
        pushes.send(&commit, "first").await;
        pushes.converged(&commit).await;
        pushes
    }

    /// The next push's commit.
    fn commit(&mut self) -> String {
        self.number += 1;
        let number = self.number;
        self.world.commit("helm-chart/values.yaml", |text| {
            let port = |line: &str| match line.split_once("port: ") {
                Some((indent, _)) => format!("{indent}port: {number}\n"),
                None => format!("{line}\n"),
            };
            text.lines().map(port).collect()
        })
    }

    /// Sends the hook of a push once; whether it was accepted.
    async fn send(&mut self, commit: &str, id: &str) -> bool {
        let accepted = self.world.hook(commit, id).await == Some(200);
        if accepted {
            self.accepted.push(id.to_owned());
        }
        accepted
    }

    /// Waits until both members carry the last push, Helm's records say so, and the chat has heard of it.
    async fn converged(&self, commit: &str) {
        let revision = format!("@1.0.0+{}", &commit[..12]);
        for member in [1, 2] {
            self.world.deployed(member, |cluster| arrived(cluster, member, self.number)).await;
            let told = format!("{}.v", release(member));
            self.world.chat.until(&[&told, &revision]).await;
        }
    }

    /// A push during which the agent is killed, or would have been; whether it was.
    async fn survives(&mut self, id: &str, what: &str) -> bool {
        let before = [1, 2].map(|member| generation(&self.world.members[member - 1], member));
        let commit = self.commit();
        let accepted = self.send(&commit, id).await;
        let killed = tokio::select! {
            () = ended(&self.world) => true,
            // Only a push that was accepted can arrive.
            () = self.converged(&commit), if accepted => false,
        };
        self.world.trap.disarm();
        if killed {
            tokio::task::block_in_place(|| self.world.agent.restart());
            // A sender that got no answer sends again.
            if !accepted {
                patiently("the hook to be accepted after the restart", async {
                    while !self.send(&commit, id).await {}
                })
                .await;
            }
            self.converged(&commit).await;
        }
        for member in [1, 2] {
            let cluster = &self.world.members[member - 1];
            let records = records(cluster, &release(member));
            let deployed = records.iter().filter(|(_, status)| status == "deployed").count();
            let pending = records.iter().any(|(_, status)| status.starts_with("pending"));
            assert!(deployed == 1 && !pending, "{what}: member{member} has {records:?}");
            // Applied again, perhaps, but changed once: nothing older came in between.
            assert_eq!(generation(cluster, member), before[member - 1] + 1, "{what}: member{member}");
        }
        killed
    }

    /// After everything: no delivery that was accepted is missing, and each has led to jobs that ended well.
    async fn end(self) {
        let state = self.world.state();
        let Self { world, accepted, .. } = self;
        world.agent.killer()();
        tokio::task::block_in_place(|| world.agent.ended());
        let (queue, writer) = Queue::open(&state, QueueSettings::default(), Clock::system()).await.unwrap();
        let writing = tokio::spawn(writer.run());
        let stored = queue.list_deliveries(&DeliveryFilter::default(), 10_000).await.unwrap();
        let stored: HashMap<_, _> =
            stored.into_iter().filter_map(|delivery| Some((delivery.sender_id?, delivery.jobs))).collect();
        for id in accepted {
            let jobs = stored.get(&id).unwrap_or_else(|| panic!("`{id}` was accepted and is lost"));
            assert!(!jobs.is_empty(), "`{id}` has no job");
            let well = jobs.iter().all(|(state, _)| matches!(state, JobState::Done | JobState::Superseded));
            assert!(well, "`{id}`: {jobs:?}");
        }
        queue.close().await.unwrap();
        writing.await.unwrap().unwrap();
        world.end().await;
    }
}

/// Resolves when the agent has ended. The end of a process sends no signal that could be waited for here.
async fn ended(world: &World) {
    while world.agent.has_ended().is_none() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_killed_at_every_request_of_a_push_a_restart_finishes_it() {
    let mut pushes = Pushes::start().await;
    // What a push consists of, seen once without a kill.
    pushes.world.trap.disarm();
    let commit = pushes.commit();
    assert!(pushes.send(&commit, "recorded").await);
    pushes.converged(&commit).await;
    let mut points: Vec<Point> = pushes.world.trap.seen();
    // The second member is the bystander.
    points.retain(|point| !point.what.starts_with("member2"));
    points.dedup();
    for needed in [
        "git POST git-upload-pack",
        "member1 GET configmaps",
        "member1 POST secrets",
        "member1 PATCH services",
        "member1 PATCH deployments",
        "member1 PUT secrets",
        "chat POST ",
    ] {
        let both = points.iter().filter(|point| point.what.starts_with(needed)).count();
        assert!(both >= 2, "`{needed}` is not part of a push: {points:#?}");
    }
    let mut sprung = 0;
    for (index, point) in points.iter().enumerate() {
        let what = format!("killed at {point}");
        pushes.world.trap.arm(point.clone(), pushes.world.agent.killer());
        let killed = pushes.survives(&format!("request-{index}"), &what).await;
        eprintln!("{what}: {}", if killed { "finished after a restart" } else { "not reached this time" });
        sprung += usize::from(killed);
    }
    // Which requests there are depends a little on what a fresh process knows already.
    assert!(sprung * 10 >= points.len() * 9, "{sprung} of {} points were reached", points.len());
    pushes.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f1_killed_at_every_fsync_of_a_push_a_restart_finishes_it() {
    let mut pushes = Pushes::start().await;
    let mut count = 0;
    loop {
        let inject = format!("inject=fsync,fdatasync:signal=KILL:when={}", count + 1);
        let strace = tokio::task::block_in_place(|| {
            Strace::attach(pushes.world.agent.id(), &["-e", "trace=fsync,fdatasync", "-e", &inject])
        });
        let what = format!("killed at fsync {}", count + 1);
        let killed = pushes.survives(&format!("fsync-{count}"), &what).await;
        drop(strace);
        if !killed {
            break;
        }
        eprintln!("{what}: finished after a restart");
        count += 1;
        assert!(count < 60, "a push takes more than {count} commits");
    }
    // The delivery, and for each of three jobs the claim and the end; messages besides.
    assert!(count >= 5, "only {count} commits were met");
    pushes.end().await;
}
