use std::io::Read as _;

use sqlx::ConnectOptions;

use super::*;

const DAY: u64 = 86_400;

async fn tidy(store: &Store) {
    while store.queue.tidy().await.unwrap() {}
}

async fn kept(store: &Store) -> Vec<String> {
    let listed = store.queue.list_deliveries(&DeliveryFilter::default(), 10_000).await.unwrap();
    listed.into_iter().rev().map(|line| line.sender_id.unwrap()).collect()
}

#[tokio::test]
async fn deliveries_are_kept_for_three_days_whatever_the_settings_say() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = QueueSettings { keep_deliveries: seconds(1), ..QueueSettings::following(&clock) };
    let store = Store::open_with(dir.path(), settings, clock).await;
    store.queue.record_delivery(store.delivery("old"), vec![]).await.unwrap();
    store.clock.advance(seconds(DAY));
    store.queue.record_delivery(store.delivery("young"), vec![]).await.unwrap();
    store.clock.advance(seconds(2 * DAY + 1));
    tidy(&store).await;
    assert_eq!(kept(&store).await, ["young"]);
}

#[tokio::test]
async fn a_delivery_stays_while_its_job_waits_and_goes_with_everything_after() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let delivery = store.delivery("d");
    let job = NewJob {
        due_at: store.clock.now().saturating_add(seconds(30 * DAY)).unwrap(),
        ..store.push(app(), &delivery.id, "1")
    };
    store.queue.record_delivery(delivery, vec![job]).await.unwrap();
    store.clock.advance(seconds(20 * DAY));
    tidy(&store).await;
    assert_eq!(kept(&store).await, ["d"]);
    store.clock.advance(seconds(10 * DAY));
    let job = store.claim_one().await;
    store.finish(&job, JobOutcome::Done).await;
    tidy(&store).await;
    assert!(kept(&store).await.is_empty());
    assert_eq!(store.queue.story_of_object(&app(), 9).await.unwrap().jobs.len(), 1, "the job just ended");
    store.clock.advance(seconds(15 * DAY));
    tidy(&store).await;
    assert!(store.queue.story_of_object(&app(), 9).await.unwrap().is_empty());
}

#[tokio::test]
async fn rows_are_bounded_and_bodies_go_first() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings =
        QueueSettings { max_deliveries: 1000, max_bodies: 100, ..QueueSettings::following(&clock) };
    let store = Store::open_with(dir.path(), settings, clock).await;
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..1700 {
        let (queue, delivery) = (store.queue.clone(), store.delivery(&format!("{n:04}")));
        asked.spawn(async move { queue.record_delivery(delivery, vec![]).await.map(drop) });
    }
    asked.join_all().await.into_iter().collect::<Result<Vec<_>, _>>().unwrap();
    assert!(store.queue.tidy().await.unwrap(), "one batch is not all");
    tidy(&store).await;
    let lines = store.queue.list_deliveries(&DeliveryFilter::default(), 10_000).await.unwrap();
    assert_eq!(lines.len(), 1000);
    assert!(store.queue.delivery(&lines[99].id).await.unwrap().unwrap().body.is_some());
    assert!(store.queue.delivery(&lines[100].id).await.unwrap().unwrap().body.is_none());
}

#[tokio::test]
async fn f22_a_store_locked_by_another_program_is_unavailable_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings =
        QueueSettings { busy_timeout: Duration::from_millis(20), ..QueueSettings::following(&clock) };
    let store = Store::open_with(dir.path(), settings, clock).await;
    assert!(store.queue.health().writable);
    let intruder = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join("store.db"));
    let mut intruder = intruder.connect().await.unwrap();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut intruder).await.unwrap();

    let refused = store.queue.record_delivery(store.delivery("a"), vec![]).await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused}");
    assert!(refused.to_string().contains("hint: "), "{refused}");
    assert!(!store.queue.health().writable);
    assert!(store.queue.list_deliveries(&DeliveryFilter::default(), 1).await.is_ok(), "reading goes on");

    sqlx::query("ROLLBACK").execute(&mut intruder).await.unwrap();
    store.queue.record_delivery(store.delivery("a"), vec![]).await.expect("recovered by itself");
    assert!(store.queue.health().writable);
}

#[tokio::test]
async fn f21_a_full_store_is_unavailable_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = QueueSettings::following(&clock);
    let (queue, mut writer) = Queue::open(dir.path(), settings, clock.clone()).await.unwrap();
    // The nearest thing to a full disk that a connection can be told: no page more than there are.
    let conn = writer.connection.as_mut().unwrap();
    sqlx::query("PRAGMA max_page_count = 1").execute(conn).await.unwrap();
    let store = Store { queue, clock, writer: tokio::spawn(writer.run()) };
    let large = NewDelivery { body: vec![b'x'; 200_000].into(), ..store.delivery("a") };
    let refused = store.queue.record_delivery(large.clone(), vec![]).await.unwrap_err();
    assert!(refused.is_unavailable(), "{refused}");
    // The writer opens the store anew, and this time there is room.
    let stored = store.queue.record_delivery(large, vec![]).await.expect("recovered by itself");
    assert!(matches!(stored, Recorded::Stored(_)), "nothing of the first try was left: {stored:?}");
}

#[tokio::test]
async fn closing_writes_what_was_handed_in_and_frees_the_lock() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    store.queue.close().await.unwrap();
    store.writer.await.unwrap().unwrap();
    assert!(matches!(store.queue.enqueue(vec![]).await, Err(StoreError::Closed)));
    assert!(!store.queue.health().writable);
    drop(store.queue);
    let store = Store::open_at(dir.path(), store.clock).await;
    store.claim_one().await;
}

#[tokio::test]
async fn the_writer_ends_with_the_last_handle() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    drop(store.queue);
    tokio::time::timeout(seconds(20), store.writer).await.expect("ends").unwrap().unwrap();
}

#[tokio::test]
async fn generated_objects_overlays_and_what_was_applied_survive_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let chart = ObjectKey::new(Kind::HelmChart, "flux-system", "apps-web");
    let generated =
        Generated { object: chart.clone(), owner: release("web"), manifest: json!({"kind": "HelmChart"}) };
    let overlay = Overlay { object: app(), patch: json!({"spec": {"suspend": true}}) };
    let applied = Applied {
        object: release("web"),
        cluster: "member1".into(),
        digest: crate::model::Digest::new("sha256:aa"),
        revision: crate::model::Revision::new("main@sha1:bb"),
        release_version: Some(3),
        at: store.clock.now(),
    };
    store.queue.put_generated(generated.clone()).await.unwrap();
    store.queue.put_overlay(overlay.clone()).await.unwrap();
    store.queue.put_applied(applied.clone()).await.unwrap();
    let clock = store.kill().await;
    let store = Store::open_at(dir.path(), clock).await;
    assert_eq!(store.queue.generated().await.unwrap(), [generated]);
    assert_eq!(store.queue.overlays().await.unwrap(), [overlay]);
    assert_eq!(store.queue.applied(&release("web")).await.unwrap(), [applied]);
    store.queue.put_overlay(Overlay { object: app(), patch: json!({}) }).await.unwrap();
    assert_eq!(store.queue.overlays().await.unwrap(), []);
    store.queue.delete_generated(&chart).await.unwrap();
    assert_eq!(store.queue.generated().await.unwrap(), []);
}

/// How often the WAL has begun anew, as its head counts (https://www.sqlite.org/fileformat2.html#walformat).
fn wal_rounds(dir: &Path) -> u32 {
    let mut head = [0; 16];
    std::fs::File::open(dir.join("store.db-wal")).unwrap().read_exact(&mut head).unwrap();
    u32::from_be_bytes(head[12..].try_into().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wal_begins_anew_under_a_flood() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let body: bytes::Bytes = vec![b'x'; 256 << 10].into();
    let first = wal_rounds(dir.path());
    let flood = async {
        for number in 0.. {
            let delivery = NewDelivery { body: body.clone(), ..store.delivery(&format!("flood-{number}")) };
            store.queue.record_delivery(delivery, Vec::new()).await.unwrap();
            if number % 64 == 0 && wal_rounds(dir.path()) != first {
                return number;
            }
        }
        unreachable!("numbers do not end")
    };
    let written = tokio::time::timeout(seconds(60), flood).await.expect("the WAL grows without end");
    assert!(written >= 256, "64 MiB are worth it, not {written} bodies");
}
