use super::*;

#[tokio::test]
async fn push_during_run_leaves_exactly_one_successor() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let ids: Vec<_> = (0..11).map(|_| DeliveryId::generate()).collect();
    store.queue.enqueue(vec![store.push(app(), &ids[0], "0")]).await.unwrap();
    let running = store.claim_one().await;
    for (n, id) in ids.iter().enumerate().skip(1) {
        store.queue.enqueue(vec![store.push(app(), id, &n.to_string())]).await.unwrap();
    }
    assert!(store.claim_all().await.is_empty(), "one object never runs twice at once");
    assert_eq!(store.queue.next_due().await.unwrap(), Some(store.clock.now().saturating_add(LEASE).unwrap()));
    store.finish(&running, JobOutcome::Superseded).await;

    let successor = store.claim_one().await;
    assert_eq!(successor.payload, json!({"push": {"commit": "10"}}), "the newest wins");
    assert_eq!(successor.causes.len(), 11, "what asked for the cut-off run asks for its successor");
    store.finish(&successor, JobOutcome::Done).await;
    assert!(store.claim_all().await.is_empty());
    let story = store.queue.story_of_object(&app(), 10).await.unwrap();
    let states: Vec<_> = story.jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Superseded, JobState::Done]);
    assert_eq!(story.jobs[0].superseded_by.as_ref(), Some(&story.jobs[1].id));
}

#[tokio::test]
async fn a_push_pulls_a_waiting_interval_forward() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(600))]).await.unwrap();
    assert!(store.claim_all().await.is_empty());
    let id = DeliveryId::generate();
    store.queue.enqueue(vec![store.push(app(), &id, "1")]).await.unwrap();
    let job = store.claim_one().await;
    assert_eq!(job.causes, [Cause::of(CauseKind::Interval), Cause::delivery(id)]);
    assert_eq!(job.priority, Priority::Push);
    let next = store.timer(app(), seconds(600));
    store.queue.finish(&job.lease, JobResult::of(JobOutcome::Done).next(next)).await.unwrap();
    assert!(store.claim_all().await.is_empty());
    store.clock.advance(seconds(600));
    assert_eq!(store.claim_one().await.causes, [Cause::of(CauseKind::Interval)]);
}

#[tokio::test]
async fn an_interval_never_takes_a_push_its_hint_or_its_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let id = DeliveryId::generate();
    store.queue.enqueue(vec![store.push(app(), &id, "1")]).await.unwrap();
    store.queue.enqueue(vec![store.timer(app(), seconds(600))]).await.unwrap();
    let job = store.claim_one().await;
    assert_eq!(job.payload, json!({"push": {"commit": "1"}}));
    assert_eq!(job.cause(), Cause::delivery(id));
}

#[tokio::test]
async fn two_tags_pushed_at_once_are_both_in_the_hint() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let pushed = |tags: &[&str]| NewJob {
        payload: json!({"images": tags}),
        ..store.push(app(), &DeliveryId::generate(), "")
    };
    for tags in [&["1.0.0", "latest"][..], &["1.0.1", "latest"]] {
        store.queue.enqueue(vec![pushed(tags)]).await.unwrap();
    }
    let job = store.claim_one().await;
    assert_eq!(job.payload, json!({"images": ["1.0.0", "1.0.1", "latest"]}));
    store.queue.enqueue(vec![pushed(&["1.0.2"])]).await.unwrap();
    store.finish(&job, JobOutcome::Retry { after: seconds(9), error: "503".into() }).await;
    let job = store.claim_one().await;
    assert_eq!(job.payload, json!({"images": ["1.0.0", "1.0.1", "latest", "1.0.2"]}), "none is lost");
}

#[tokio::test]
async fn new_work_does_not_inherit_the_backoff_of_the_old() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "1")]).await.unwrap();
    for attempts in 0..4 {
        let job = store.claim_one().await;
        assert_eq!(job.attempts, attempts);
        store.finish(&job, JobOutcome::Retry { after: seconds(9), error: "refused".into() }).await;
        store.clock.advance(seconds(9));
    }
    // A timer looks at the same work once more, a push brings other work.
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let job = store.claim_one().await;
    assert_eq!(job.attempts, 4);
    store.finish(&job, JobOutcome::Retry { after: seconds(9), error: "refused".into() }).await;
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "2")]).await.unwrap();
    assert_eq!(store.claim_one().await.attempts, 0);
}

#[tokio::test]
async fn pushes_go_before_timers_and_the_longest_due_goes_first() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let id = DeliveryId::generate();
    store
        .queue
        .enqueue(vec![store.timer(release("b"), seconds(2)), store.timer(release("a"), seconds(1))])
        .await
        .unwrap();
    store.clock.advance(seconds(5));
    store.queue.enqueue(vec![store.push(app(), &id, "1")]).await.unwrap();
    let order: Vec<_> = store.claim_all().await.into_iter().map(|job| job.object.name).collect();
    assert_eq!(order, ["app", "a", "b"]);
}

#[tokio::test]
async fn a_killed_run_is_done_again_and_its_late_result_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let id = DeliveryId::generate();
    store.queue.enqueue(vec![store.push(app(), &id, "1")]).await.unwrap();
    let first = store.claim_one().await;
    let clock = store.kill().await;

    let store = Store::open_at(dir.path(), clock).await;
    let late = store.queue.finish(&first.lease, JobResult::of(JobOutcome::Done)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "{late:?}");
    let second = store.claim_one().await;
    assert_eq!((&second.id, second.attempts), (&first.id, 0), "vanishing is no failure");
    let late = store.queue.finish(&first.lease, JobResult::of(JobOutcome::Done)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })), "fenced by the claim's number: {late:?}");
    store.finish(&second, JobOutcome::Done).await;
}

#[tokio::test]
async fn a_lease_that_runs_out_lets_another_worker_in() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let first = store.claim_one().await;
    store.clock.advance(seconds(50));
    store.queue.renew(&first.lease, LEASE).await.unwrap();
    store.clock.advance(seconds(50));
    assert!(store.claim_all().await.is_empty(), "it was renewed");
    store.clock.advance(seconds(11));
    let first_hears = store.queue.superseded(&first.lease);
    let second = store.claim_one().await;
    assert_eq!(second.id, first.id);
    assert!(*first_hears.borrow(), "the first is told to stop");
    assert!(!*store.queue.superseded(&second.lease).borrow());
    let lost = store.queue.renew(&first.lease, LEASE).await;
    assert!(matches!(lost, Err(StoreError::LeaseLost { .. })), "{lost:?}");
    let status = NewStatus { object: app(), status: json!({}), generation: 1, spec_hash: "x".into() };
    let result = JobResult {
        statuses: vec![status],
        spawn: vec![store.timer(release("web"), seconds(0))],
        ..JobResult::of(JobOutcome::Done)
    };
    assert!(store.queue.finish(&first.lease, result).await.is_err());
    assert_eq!(store.queue.status(&app()).await.unwrap(), None, "a lost lease writes nothing");
    assert!(store.claim_all().await.is_empty());
    store.finish(&second, JobOutcome::Done).await;
}

#[tokio::test]
async fn a_vanished_run_hands_its_causes_to_the_successor() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    let (a, b) = (DeliveryId::generate(), DeliveryId::generate());
    store.queue.enqueue(vec![store.push(app(), &a, "1")]).await.unwrap();
    store.claim_one().await;
    store.queue.enqueue(vec![store.push(app(), &b, "2")]).await.unwrap();
    let clock = store.kill().await;
    let store = Store::open_at(dir.path(), clock).await;
    let job = store.claim_one().await;
    assert_eq!(job.causes.len(), 2);
    assert_eq!(job.payload, json!({"push": {"commit": "2"}}));
    let states: Vec<_> =
        store.queue.story_of_object(&app(), 9).await.unwrap().jobs.iter().map(|job| job.state).collect();
    assert_eq!(states, [JobState::Superseded, JobState::Running]);
}

#[tokio::test]
async fn a_failed_attempt_waits_its_backoff_unless_a_push_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let job = store.claim_one().await;
    store.finish(&job, JobOutcome::Retry { after: seconds(30), error: "no route".into() }).await;
    assert!(store.claim_all().await.is_empty());
    store.clock.advance(seconds(30));
    let job = store.claim_one().await;
    assert_eq!(job.attempts, 1);
    store.finish(&job, JobOutcome::Retry { after: seconds(300), error: "no route".into() }).await;
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "1")]).await.unwrap();
    let job = store.claim_one().await;
    assert_eq!(job.attempts, 0, "the push is new work");
    store.finish(&job, JobOutcome::Failed { error: "gone".into() }).await;
    let story = store.queue.story_of_object(&app(), 1).await.unwrap();
    assert_eq!(story.jobs[0].state, JobState::Failed);
    assert_eq!(story.jobs[0].last_error.as_deref(), Some("gone"));
}

#[tokio::test]
async fn a_run_that_failed_while_a_push_waits_does_not_delay_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let job = store.claim_one().await;
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "1")]).await.unwrap();
    store.finish(&job, JobOutcome::Retry { after: seconds(300), error: "no route".into() }).await;
    assert_eq!(store.claim_one().await.payload, json!({"push": {"commit": "1"}}));
    assert!(store.claim_all().await.is_empty());
}

#[tokio::test]
async fn f38_a_running_job_hears_of_a_newer_push_but_not_of_a_timer() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let job = store.claim_one().await;
    let mut superseded = store.queue.superseded(&job.lease);
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    assert!(!*superseded.borrow_and_update());
    store.queue.enqueue(vec![store.push(release("other"), &DeliveryId::generate(), "1")]).await.unwrap();
    assert!(!*superseded.borrow_and_update(), "another object's push is not its business");
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "1")]).await.unwrap();
    superseded.changed().await.unwrap();
    assert!(*superseded.borrow_and_update());
    store.finish(&job, JobOutcome::Superseded).await;
    assert!(*store.queue.superseded(&job.lease).borrow(), "a lease that is gone is superseded");
}

#[tokio::test]
async fn f2_five_vanishings_at_one_step_set_the_object_aside_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "1")]).await.unwrap();
    for _ in 0..5 {
        let job = store.claim_one().await;
        store.queue.reached(&job.lease, "render").await.unwrap();
        let clock = store.kill().await;
        store = Store::open_at(dir.path(), clock).await;
    }
    assert!(store.claim_all().await.is_empty(), "set aside");
    assert_eq!(store.queue.facts().await.unwrap().set_aside, 1);
    let story = store.queue.story_of_object(&app(), 9).await.unwrap();
    assert_eq!(story.jobs[0].state, JobState::Dead);
    let error = story.jobs[0].last_error.as_deref().unwrap();
    assert_eq!(error, "set aside after its worker vanished 5 times after step `render`");
    assert_eq!(story.jobs[0].attempts, 1, "the vanishings themselves are no attempts");

    // Timers and the sweep at start wait with it; the others are not disturbed.
    let sweep = NewJob { cause: Cause::of(CauseKind::Start), ..store.timer(app(), seconds(0)) };
    store.queue.enqueue(vec![sweep, store.timer(release("web"), seconds(0))]).await.unwrap();
    let others = store.claim_all().await;
    assert_eq!(others.len(), 1);
    store.finish(&others[0], JobOutcome::Done).await;
    store.clock.advance(seconds(60));
    let again = store.claim_one().await;
    store.finish(&again, JobOutcome::Done).await;
    assert_eq!(store.queue.facts().await.unwrap().set_aside, 0, "a run that lived clears it");
}

#[tokio::test]
async fn f2_a_push_tries_an_object_that_was_set_aside_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    for _ in 0..5 {
        store.claim_one().await;
        let clock = store.kill().await;
        store = Store::open_at(dir.path(), clock).await;
    }
    assert!(store.claim_all().await.is_empty());
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "fix")]).await.unwrap();
    let job = store.claim_one().await;
    assert_eq!(job.payload, json!({"push": {"commit": "fix"}}));
    let clock = store.kill().await;
    let store = Store::open_at(dir.path(), clock).await;
    assert!(store.claim_all().await.is_empty(), "once more is enough to be set aside again");
    store.clock.advance(seconds(119));
    assert!(store.claim_all().await.is_empty(), "and for longer");
    store.clock.advance(seconds(1));
    store.claim_one().await;
}

#[tokio::test]
async fn f2_a_job_that_gets_further_each_time_is_not_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    for round in 0..12 {
        let job = store.claim_one().await;
        store.queue.reached(&job.lease, if round % 2 == 0 { "fetch" } else { "render" }).await.unwrap();
        let clock = store.kill().await;
        store = Store::open_at(dir.path(), clock).await;
    }
    let job = store.claim_one().await;
    assert_eq!(job.attempts, 0);
}

#[tokio::test]
async fn s11_three_panics_in_a_row_set_the_object_aside() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store
        .queue
        .enqueue(vec![store.timer(app(), seconds(0)), store.timer(release("web"), seconds(0))])
        .await
        .unwrap();
    let mut runs = 0;
    for _ in 0..30 {
        for job in store.claim_all().await {
            if job.object == app() {
                runs += 1;
                store.finish(&job, JobOutcome::Panicked { error: "index out of bounds".into() }).await;
            } else {
                store.finish(&job, JobOutcome::Done).await;
            }
        }
        store.clock.advance(seconds(1));
    }
    assert_eq!(runs, 3);
    let story = store.queue.story_of_object(&app(), 9).await.unwrap();
    assert_eq!(story.jobs[0].state, JobState::Dead);
    let error = story.jobs[0].last_error.as_deref().unwrap();
    assert_eq!(error, "set aside after 3 panics in a row: index out of bounds");
}

#[tokio::test]
async fn a_released_job_is_claimed_again_untouched() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    for _ in 0..10 {
        let job = store.claim_one().await;
        assert_eq!(job.attempts, 0);
        store.queue.release(&job.lease).await.unwrap();
    }
    assert_eq!(store.queue.facts().await.unwrap().set_aside, 0);
}

#[tokio::test]
async fn waiting_ends_when_a_job_comes_in_ends_or_comes_due() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let store = Store::open_with(dir.path(), QueueSettings::default(), clock).await;
    let within =
        |wait: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| tokio::time::timeout(seconds(20), wait);
    let waiting = |store: &Store| {
        let queue = store.queue.clone();
        tokio::spawn(async move { queue.wait().await })
    };

    let wait = waiting(&store);
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    within(Box::pin(async { wait.await.unwrap() })).await.expect("woken by the job");

    let job = store.claim_one().await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let wait = waiting(&store);
    store.finish(&job, JobOutcome::Done).await;
    within(Box::pin(async { wait.await.unwrap() })).await.expect("woken by the end of the run");

    let job = store.claim_one().await;
    let soon = store.timer(app(), Duration::from_millis(50));
    store.queue.finish(&job.lease, JobResult::of(JobOutcome::Done).next(soon)).await.unwrap();
    within(Box::pin(async {
        while store.claim_all().await.is_empty() {
            store.queue.wait().await;
        }
    }))
    .await
    .expect("woken by the timer");
}

#[tokio::test]
async fn a_push_is_noticed_at_once_after_the_leases_of_its_object_ran_out() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    for _ in 0..5 {
        let job = store.claim_one().await;
        store.queue.reached(&job.lease, "render").await.unwrap();
        store.clock.advance(LEASE + seconds(1));
    }
    assert!(store.claim_all().await.is_empty(), "set aside");
    let mut wait = std::pin::pin!(store.queue.wait());
    let still = tokio::time::timeout(Duration::from_millis(200), &mut wait).await;
    assert!(still.is_err(), "a timer of an object that was set aside waits");
    store.queue.enqueue(vec![store.push(app(), &DeliveryId::generate(), "2")]).await.unwrap();
    tokio::time::timeout(seconds(20), wait).await.expect("whoever held the lease is still taken for busy");
    store.claim_one().await;
}

#[tokio::test]
async fn f26_a_wall_clock_set_forward_does_not_end_leases() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let steady = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = QueueSettings { steady: Steady::following(&steady), ..Default::default() };
    let store = Store::open_with(dir.path(), settings, wall.clone()).await;
    store
        .queue
        .enqueue(vec![store.timer(app(), seconds(0)), store.timer(release("web"), seconds(600))])
        .await
        .unwrap();
    let job = store.claim_one().await;
    wall.advance(seconds(365 * 86_400));
    let due = store.claim_all().await;
    assert_eq!(due.len(), 1, "timers come due, which is harmless");
    assert_eq!(due[0].object, release("web"));
    store.finish(&job, JobOutcome::Done).await;
}

#[tokio::test]
async fn f26_a_wall_clock_set_back_does_not_park_timers() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let steady = Clock::manual("2026-03-01T12:00:00Z".parse().unwrap());
    let settings = QueueSettings { steady: Steady::following(&steady), ..Default::default() };
    let store = Store::open_with(dir.path(), settings, wall.clone()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(600))]).await.unwrap();
    // An hour passes that the wall clock does not show: it was set back by one.
    steady.advance(seconds(3600));
    store.queue.tidy().await.unwrap();
    assert_eq!(store.claim_all().await.len(), 1);
}

#[tokio::test]
async fn an_object_that_is_gone_leaves_no_timer_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await;
    store.queue.enqueue(vec![store.timer(app(), seconds(0))]).await.unwrap();
    let status = NewStatus { object: app(), status: json!({"a": 1}), generation: 3, spec_hash: "x".into() };
    store.queue.put_status(status.clone()).await.unwrap();
    assert_eq!(store.queue.status(&app()).await.unwrap().unwrap().status, status);
    assert_eq!(store.queue.statuses(Some(Kind::GitRepository)).await.unwrap().len(), 1);
    assert_eq!(store.queue.statuses(Some(Kind::HelmRelease)).await.unwrap().len(), 0);
    store.queue.forget(&app()).await.unwrap();
    assert!(store.claim_all().await.is_empty());
    assert_eq!(store.queue.statuses(None).await.unwrap(), []);
}
