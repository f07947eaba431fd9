//! What is known of images.

use super::*;

fn image(name: &str) -> ObjectKey {
    ObjectKey::new(Kind::ImageRepository, "flux-system", name)
}

fn tags(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[tokio::test]
async fn tags_survive_a_kill_and_come_back_highest_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store
        .queue
        .put_image_tags(&image("app"), "ghcr.io/a/b", &tags(&["1.0", "a", "2.0", "B", "10"]))
        .await
        .unwrap();
    let clock = store.kill().await;
    let store = Store::open_at(dir.path(), clock).await;
    let known = store.queue.image_tags(&image("app"), "ghcr.io/a/b").await.unwrap();
    assert_eq!(known, ["a", "B", "2.0", "10", "1.0"]);
}

#[tokio::test]
async fn each_scan_leaves_exactly_what_it_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let (app, other) = (image("app"), image("other"));
    let known = async |object: &ObjectKey, repository: &str| {
        store.queue.image_tags(object, repository).await.unwrap().join(" ")
    };
    store.queue.put_image_tags(&app, "r/app", &tags(&["1", "2", "3"])).await.unwrap();
    store.queue.put_image_tags(&other, "r/app", &tags(&["9"])).await.unwrap();
    store.queue.put_image_tags(&app, "r/app", &tags(&["2", "4"])).await.unwrap();
    assert_eq!(known(&app, "r/app").await, "4 2");
    assert_eq!(known(&other, "r/app").await, "9");
    let commits = store.queue.facts().await.unwrap().commits;
    store.queue.put_image_tags(&app, "r/app", &tags(&["4", "2"])).await.unwrap();
    assert_eq!(store.queue.facts().await.unwrap().commits, commits, "nothing changed, nothing is written");
    store.queue.put_image_tags(&app, "r/app", &[]).await.unwrap();
    assert_eq!(known(&app, "r/app").await, "");
    assert_eq!(known(&other, "r/app").await, "9");
}

#[tokio::test]
async fn another_images_tags_are_never_taken_for_this_ones() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let app = image("app");
    store.queue.put_image_tags(&app, "r/old", &tags(&["9.0"])).await.unwrap();
    assert!(store.queue.image_tags(&app, "r/new").await.unwrap().is_empty());
    store.queue.put_image_tags(&app, "r/new", &tags(&["1.0"])).await.unwrap();
    assert_eq!(store.queue.image_tags(&app, "r/new").await.unwrap(), ["1.0"]);
    assert!(store.queue.image_tags(&app, "r/old").await.unwrap().is_empty());
}

#[tokio::test]
async fn tags_go_with_their_object() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let (app, other) = (image("app"), image("other"));
    for object in [&app, &other] {
        store.queue.put_image_tags(object, "r/app", &tags(&["1"])).await.unwrap();
    }
    store.queue.forget(&app).await.unwrap();
    assert!(store.queue.image_tags(&app, "r/app").await.unwrap().is_empty());
    store.queue.forget_image_tags(&other).await.unwrap();
    assert!(store.queue.image_tags(&other, "r/app").await.unwrap().is_empty());
}

#[tokio::test]
async fn h87_a_hundred_thousand_tags_are_kept_while_webhooks_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let many: Vec<String> = (0..100_000).map(|n| format!("1.{}.{}-build.{n}", n / 1000, n % 1000)).collect();
    let app = image("app");
    let other = ObjectKey::new(Kind::GitRepository, "a", "b");
    // Both at once; the job would be refused as unavailable if the writer were held up beyond the time of a webhook.
    let (kept, job) = tokio::join!(
        store.queue.put_image_tags(&app, "r/app", &many),
        store.queue.enqueue(vec![NewJob::now(other, Cause::of(CauseKind::Change), store.clock.now())]),
    );
    kept.unwrap();
    job.unwrap();
    assert_eq!(store.queue.image_tags(&app, "r/app").await.unwrap().len(), 100_000);
    let commits = store.queue.facts().await.unwrap().commits;
    let mut more = many.clone();
    more[0] = "2.0.0".to_owned();
    store.queue.put_image_tags(&app, "r/app", &more).await.unwrap();
    assert_eq!(store.queue.facts().await.unwrap().commits, commits + 1);
    let known = store.queue.image_tags(&app, "r/app").await.unwrap();
    assert_eq!((known.len(), known[0].as_str()), (100_000, "2.0.0"));
}
