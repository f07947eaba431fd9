//! F24: the disk fails while the store is written.

use crate::strace::Strace;
use crate::world::{World, patiently};

#[tokio::test(flavor = "multi_thread")]
async fn f24_after_a_failed_fsync_nothing_is_accepted_and_the_agent_ends_with_an_error() {
    let world = World::plain().await;
    for member in [1, 2] {
        world.deployed(member, |_| true).await;
    }
    let commit = world.repository.head("master").unwrap().unwrap();
    assert_eq!(world.hook(&commit, "before").await, Some(200));
    let failing = "inject=fsync,fdatasync:error=EIO:when=1+";
    let strace = tokio::task::block_in_place(|| {
        Strace::attach(world.agent.id(), &["-e", "trace=fsync,fdatasync", "-e", failing])
    });
    // Nobody knows what a failed fsync left on the disk: not one hook may be acknowledged after it.
    let mut answers = Vec::new();
    patiently("the agent to give up", async {
        while world.agent.has_ended().is_none() {
            let id = format!("after-{}", answers.len());
            answers.push(world.hook(&commit, &id).await);
        }
    })
    .await;
    assert!(!answers.contains(&Some(200)), "{answers:?}");
    let status = world.agent.has_ended().unwrap();
    assert_eq!(status.code(), Some(1), "{status}");
    drop(strace);
    world.end().await;
}
