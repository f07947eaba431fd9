use super::*;

#[tokio::test]
async fn the_same_delivery_twice_is_stored_once_and_runs_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let first = store.delivery("guid-1");
    let job = store.push(app(), &first.id, "1");
    let stored = store.queue.record_delivery(first.clone(), vec![job.clone()]).await.unwrap();
    assert_eq!(stored, Recorded::Stored(first.id.clone()));
    let running = store.claim_one().await;
    store.finish(&running, JobOutcome::Done).await;

    let again = NewDelivery { body: "another body".into(), ..store.delivery("guid-1") };
    let recorded = store.queue.record_delivery(again, vec![job]).await.unwrap();
    assert_eq!(recorded, Recorded::Duplicate { of: first.id });
    assert!(store.claim_all().await.is_empty(), "a duplicate runs nothing");
    assert_eq!(store.queue.list_deliveries(&DeliveryFilter::default(), 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_same_delivery_after_its_window_counts_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let first = store.delivery("guid-1");
    store.queue.record_delivery(first, vec![]).await.unwrap();
    store.clock.advance(seconds(73 * 3600));
    let second = store.delivery("guid-1");
    let id = second.id.clone();
    assert_eq!(store.queue.record_delivery(second, vec![]).await.unwrap(), Recorded::Stored(id));
}

#[tokio::test]
async fn two_receivers_may_get_the_same_delivery() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.record_delivery(store.delivery("guid-1"), vec![]).await.unwrap();
    let other = ObjectKey::new(Kind::Receiver, "team", "github");
    let second = NewDelivery { receiver: other, ..store.delivery("guid-1") };
    assert!(matches!(store.queue.record_delivery(second, vec![]).await.unwrap(), Recorded::Stored(_)));
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let delivery = store.delivery("guid-1");
    let id = delivery.id.clone();
    let job = store.push(app(), &id, "1");
    store.queue.record_delivery(delivery, vec![job]).await.unwrap();
    let clock = store.kill().await;

    let store = Store::open_at(dir.path(), clock).await;
    let job = store.claim_one().await;
    assert_eq!(job.object, app());
    assert_eq!(job.causes, [Cause::delivery(id.clone())]);
    assert_eq!(job.payload, json!({"push": {"commit": "1"}}));
    let kept = store.queue.delivery(&id).await.unwrap().expect("kept");
    assert_eq!(kept.body.as_deref(), Some(&b"{}"[..]));
    assert_eq!(kept.jobs.len(), 1);
    let again = store.queue.record_delivery(store.delivery("guid-1"), vec![]).await.unwrap();
    assert_eq!(again, Recorded::Duplicate { of: id });
}

#[tokio::test]
async fn sixty_four_senders_at_once_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let before = store.queue.facts().await.unwrap().commits;
    let mut senders = tokio::task::JoinSet::new();
    for sender in 0..64 {
        let (queue, deliveries): (_, Vec<_>) = (
            store.queue.clone(),
            (0..10)
                .map(|n| {
                    let delivery = store.delivery(&format!("{sender}-{n}"));
                    let job = store.push(app(), &delivery.id, "1");
                    (delivery, vec![job])
                })
                .collect(),
        );
        senders.spawn(async move {
            for (delivery, jobs) in deliveries {
                let recorded = queue.record_delivery(delivery, jobs).await.unwrap();
                assert!(matches!(recorded, Recorded::Stored(_)));
            }
        });
    }
    senders.join_all().await;
    let facts = store.queue.facts().await.unwrap();
    assert_eq!((facts.deliveries, facts.pending), (640, 1));
    let commits = facts.commits - before;
    assert!(commits <= 160, "{commits} commits for 640 deliveries");
    assert_eq!(store.claim_one().await.causes.len(), 640, "every delivery can be told its story");
}

#[tokio::test]
async fn one_refused_write_does_not_spoil_the_others_of_its_group() {
    let dir = tempfile::tempdir().unwrap();
    let (queue, writer) = {
        let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
        Queue::open(dir.path(), QueueSettings::following(&clock), clock).await.unwrap()
    };
    let clock = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let store = Store { queue: queue.clone(), clock, writer: tokio::spawn(async { Ok(()) }) };
    let good = store.delivery("good");
    // The same id under another key: the database refuses the row.
    let bad = NewDelivery { id: good.id.clone(), ..store.delivery("bad") };
    let asked = async {
        tokio::join!(
            queue.record_delivery(good.clone(), vec![]),
            queue.record_delivery(bad, vec![]),
            queue.record_delivery(store.delivery("other"), vec![]),
        )
    };
    // All three wait before the writer starts, so they are one group.
    let (answers, _) = tokio::join!(
        async {
            let answers = asked.await;
            queue.close().await.unwrap();
            answers
        },
        writer.run()
    );
    assert!(matches!(answers.0, Ok(Recorded::Stored(_))), "{answers:?}");
    assert!(matches!(answers.1, Err(StoreError::Defect { .. })), "{answers:?}");
    assert!(matches!(answers.2, Ok(Recorded::Stored(_))), "{answers:?}");
}

#[tokio::test]
async fn explain_tells_a_delivery_from_push_to_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let delivery = store.delivery("guid-1");
    let id = delivery.id.clone();
    let fetch = store.push(app(), &id, "1");
    store.queue.record_delivery(delivery, vec![fetch]).await.unwrap();
    let job = store.claim_one().await;
    let step = |job: &LeasedJob, name: &str, revision: &str| Step {
        job: Some(job.id.clone()),
        delivery: None,
        object: job.object.clone(),
        step: name.into(),
        cluster: None,
        revision: Some(crate::model::Revision::new(revision)),
        started_at: store.clock.now(),
        duration: Duration::from_millis(12),
        outcome: StepOutcome::Done,
        detail: "as it should".into(),
    };
    let result = JobResult {
        spawn: vec![NewJob {
            cause: job.cause().then(CauseKind::Dependency),
            ..NewJob::now(release("web"), Cause::of(CauseKind::Dependency), store.clock.now())
        }],
        steps: vec![step(&job, "fetch", "main@sha1:guid-1cafe")],
        ..JobResult::of(JobOutcome::Done)
    };
    store.queue.finish(&job.lease, result).await.unwrap();
    store.clock.advance(seconds(1));
    let job = store.claim_one().await;
    let message = super::outbox::message(&store, job.cause());
    let result = JobResult {
        steps: vec![step(&job, "apply", "main@sha1:guid-1cafe")],
        messages: vec![message],
        ..JobResult::of(JobOutcome::Done)
    };
    store.queue.finish(&job.lease, result).await.unwrap();

    let told = |story: Story| {
        let steps: Vec<_> = story.steps.iter().map(|step| step.step.clone()).collect();
        (story.deliveries.len(), story.jobs.len(), steps.join(" "), story.messages.len())
    };
    let whole = (1, 2, "fetch apply".to_owned(), 1);
    assert_eq!(told(store.queue.story_of_delivery(id.as_str()).await.unwrap()), whole);
    assert_eq!(told(store.queue.story_of_delivery(&id.as_str()[..20]).await.unwrap()), whole);
    assert_eq!(told(store.queue.story_of_delivery("guid-1").await.unwrap()), whole);
    assert_eq!(told(store.queue.story_of_commit("guid-1c").await.unwrap()), whole);
    let of_release = store.queue.story_of_object(&release("web"), 10).await.unwrap();
    assert_eq!(told(of_release), (1, 1, "apply".to_owned(), 0));
    assert!(store.queue.story_of_delivery("nothing").await.unwrap().is_empty());
    let listed = store.queue.list_deliveries(&DeliveryFilter::default(), 10).await.unwrap();
    assert_eq!(listed[0].jobs, [(JobState::Done, 2)]);

    store.queue.record_delivery(store.delivery("guid-2"), vec![]).await.unwrap();
    let both = store.queue.story_of_delivery("guid").await;
    assert!(matches!(both, Err(StoreError::Ambiguous { count: 2, .. })), "{both:?}");
}

#[tokio::test]
async fn the_story_of_a_commit_of_our_own_begins_with_what_made_us_make_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let delivery = store.delivery("image");
    let hook = delivery.id.clone();
    let job = store.push(app(), &hook, "1");
    store.queue.record_delivery(delivery, vec![job]).await.unwrap();
    let job = store.claim_one().await;
    let made = |step: &str, revision: &str| Step {
        job: Some(job.id.clone()),
        delivery: Some(hook.clone()),
        object: app(),
        step: step.into(),
        cluster: None,
        revision: Some(crate::model::Revision::new(revision)),
        started_at: store.clock.now(),
        duration: Duration::ZERO,
        outcome: StepOutcome::Done,
        detail: String::new(),
    };
    let steps = vec![made("fetch", "main@sha1:aaa1"), made("commit", "main@sha1:bbb2")];
    let result = JobResult { steps, ..JobResult::of(JobOutcome::Done) };
    store.queue.finish(&job.lease, result).await.unwrap();
    let deliveries = async |commit: &str| {
        let story = store.queue.story_of_commit(commit).await.unwrap();
        story.deliveries.into_iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    assert_eq!(deliveries("bbb2").await, std::slice::from_ref(&hook));
    assert!(deliveries("aaa1").await.is_empty(), "the commit before was not made by it");

    // The forge's hook for the commit: what it sets off belongs to the chain that made the commit.
    let forge = NewDelivery {
        facts: json!({"kind": "push", "ref": "refs/heads/main", "commit": "bbb2"}),
        ..store.delivery("forge")
    };
    let (later, job) = (forge.id.clone(), store.push(app(), &forge.id, "1"));
    store.queue.record_delivery(forge, vec![job]).await.unwrap();
    assert_eq!(deliveries("bbb2").await, [hook.clone(), later.clone()]);
    let chain = store.queue.story_of_delivery(hook.as_str()).await.unwrap();
    assert_eq!((chain.deliveries.len(), chain.jobs.len()), (2, 2));
    let alone = store.queue.story_of_delivery(later.as_str()).await.unwrap();
    assert_eq!((alone.deliveries.len(), alone.jobs.len()), (1, 1));
}

#[tokio::test]
async fn a_polled_commit_has_a_story_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let job = store.claim_one().await;
    let step = Step {
        job: Some(job.id.clone()),
        delivery: None,
        object: app(),
        step: "fetch".into(),
        cluster: None,
        revision: Some(crate::model::Revision::new("main@sha1:abc123")),
        started_at: store.clock.now(),
        duration: Duration::ZERO,
        outcome: StepOutcome::Done,
        detail: String::new(),
    };
    let result = JobResult { steps: vec![step], ..JobResult::of(JobOutcome::Done) };
    store.queue.finish(&job.lease, result).await.unwrap();
    let story = store.queue.story_of_commit("abc1").await.unwrap();
    assert_eq!((story.deliveries.len(), story.jobs.len(), story.steps.len()), (0, 1, 1));
}

#[tokio::test]
async fn the_inbox_is_listed_newest_first_and_by_page() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    for n in 0..5 {
        store.queue.record_delivery(store.delivery(&format!("d{n}")), vec![]).await.unwrap();
        store.clock.advance(seconds(1));
    }
    let list = async |filter| {
        let listed = store.queue.list_deliveries(&filter, 2).await.unwrap();
        listed.into_iter().map(|line| (line.sender_id.unwrap(), line.id)).collect::<Vec<_>>()
    };
    let first = list(DeliveryFilter::default()).await;
    assert_eq!((first[0].0.as_str(), first[1].0.as_str()), ("d4", "d3"));
    let next = list(DeliveryFilter { before: Some(first[1].1.clone()), ..Default::default() }).await;
    assert_eq!((next[0].0.as_str(), next[1].0.as_str()), ("d2", "d1"));
    let other = ObjectKey::new(Kind::Receiver, "team", "github");
    assert!(list(DeliveryFilter { receiver: Some(other), ..Default::default() }).await.is_empty());
    let of = async |namespace: &str| {
        list(DeliveryFilter { namespace: Some(namespace.to_owned()), ..Default::default() }).await.len()
    };
    // Two are one page.
    let own = store.delivery("x").receiver.namespace;
    assert_eq!((of(&own).await, of(&own[..1]).await, of("nope").await), (2, 0, 0));
    let since = "2026-03-01T12:00:04Z".parse::<Timestamp>().unwrap();
    assert_eq!(list(DeliveryFilter { since: Some(since), ..Default::default() }).await.len(), 1);
}
