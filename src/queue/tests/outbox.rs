use super::*;
use crate::model::{Event, Severity};

pub(super) fn message(store: &Store, cause: Cause) -> NewMessage {
    NewMessage {
        alert: ObjectKey::new(Kind::Alert, "flux-system", "chat"),
        provider: ObjectKey::new(Kind::Provider, "flux-system", "slack"),
        event: Event {
            object: app(),
            api_version: "source.toolkit.fluxcd.io/v1".into(),
            uid: String::new(),
            resource_version: String::new(),
            severity: Severity::Info,
            timestamp: store.clock.now(),
            reason: "NewArtifact".into(),
            message: "stored artifact".into(),
            metadata: Default::default(),
            reporting_controller: "source-controller".into(),
            cause: cause.clone(),
        },
        cause,
    }
}

async fn claim(store: &Store) -> Vec<LeasedMessage> {
    store.queue.claim_messages(10, LEASE).await.unwrap()
}

fn down() -> MessageOutcome {
    MessageOutcome::Retry { after: None, error: "503".into() }
}

#[tokio::test]
async fn f33_a_chat_that_is_down_is_tried_with_growing_pauses_and_given_up_after_a_day() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let cause = Cause::of(CauseKind::Interval);
    store.queue.enqueue_messages(vec![message(&store, cause)]).await.unwrap();
    let start = store.clock.now();
    let mut tries = Vec::new();
    while store.queue.list_messages(1).await.unwrap()[0].state != MessageState::Dead {
        for leased in claim(&store).await {
            tries.push(store.clock.now().duration_since(start).as_secs());
            store.queue.finish_message(&leased.lease, down()).await.unwrap();
        }
        let passed = store.clock.now().duration_since(start).as_secs();
        store.clock.advance(seconds(if passed < 60 { 1 } else { 20 }));
        assert!(tries.len() < 200);
    }
    let pauses: Vec<_> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(pauses[0] <= 3 && pauses.iter().all(|pause| *pause <= 920), "{pauses:?}");
    assert!(pauses[8] > 300, "{pauses:?}");
    let last = tries.last().unwrap();
    assert!((86_400 - 920..=86_400).contains(last), "last try after {last} s");
    let dead = store.queue.list_messages(1).await.unwrap().remove(0);
    assert_eq!(dead.last_error.unwrap(), format!("given up after {} attempts: 503", tries.len()));
    assert_eq!(store.queue.facts().await.unwrap().outbox_dead, 1);
}

#[tokio::test]
async fn f33_the_other_ends_wish_for_a_pause_is_honoured() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue_messages(vec![message(&store, Cause::of(CauseKind::Interval))]).await.unwrap();
    let leased = claim(&store).await.remove(0);
    let wish = MessageOutcome::Retry { after: Some(seconds(120)), error: "429".into() };
    store.queue.finish_message(&leased.lease, wish).await.unwrap();
    store.clock.advance(seconds(119));
    assert!(claim(&store).await.is_empty());
    store.clock.advance(seconds(1));
    let leased = claim(&store).await.remove(0);
    assert_eq!(leased.attempts, 1);
    store.queue.finish_message(&leased.lease, MessageOutcome::Sent).await.unwrap();
    assert!(claim(&store).await.is_empty());
    let sent = store.queue.list_messages(1).await.unwrap().remove(0);
    assert_eq!((sent.state, sent.last_error), (MessageState::Sent, None));
}

#[tokio::test]
async fn a_message_whose_sender_was_killed_is_sent_again_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue_messages(vec![message(&store, Cause::of(CauseKind::Interval))]).await.unwrap();
    let first = claim(&store).await.remove(0);
    let clock = store.kill().await;
    // The lock says that the sender is gone: nobody waits for its lease to run out.
    let store = Store::open_at(dir.path(), clock).await;
    let second = claim(&store).await.remove(0);
    assert_eq!(second.message, first.message);
    let late = store.queue.finish_message(&first.lease, MessageOutcome::Sent).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    store.queue.finish_message(&second.lease, MessageOutcome::Sent).await.unwrap();
}

#[tokio::test]
async fn alerts_and_providers_have_the_messages_they_send_in_their_story() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let one = message(&store, Cause::of(CauseKind::Interval));
    store.queue.enqueue_messages(vec![one.clone()]).await.unwrap();
    let told = async |key: &ObjectKey| store.queue.story_of_object(key, 9).await.unwrap().messages.len();
    assert_eq!((told(&one.alert).await, told(&one.provider).await, told(&one.event.object).await), (1, 1, 1));
    let other = ObjectKey::new(Kind::Provider, "flux-system", "other");
    assert_eq!(told(&other).await, 0);
}
