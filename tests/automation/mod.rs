//! Image automation from a policy's new image to a commit in a real git server, and what gets in its way.

mod pull_requests;
mod world;

use std::sync::Arc;

use serde_json::json;
use sluice::demo::repository::{Change, DemoRepository};
use sluice::model::{Cause, CauseKind, Clock, DeliveryId};
use sluice::queue::{NewJob, Priority, StepOutcome};
use world::{COMMIT, NS, World, automation, condition, manifest, revision, source, surroundings};

/// The chart's values as the article has them, with a comment and line ends that must stay.
const VALUES: &str = "# values of the chart\ndeployment:\n  container:\n    image:\n      \
    repository: \"nuclearwu/hello-kubernetes\" # {\"$imagepolicy\": \"gitops-project:image-policy:name\"}\n      \
    # Override the image tag whose default is the chart appVersion\n      \
    tag: \"\" # {\"$imagepolicy\": \"gitops-project:image-policy:tag\"}\n      pullPolicy:   IfNotPresent\n";

const IMAGE: &str = "nuclearwu/hello-kubernetes";

/// As printed in the article, with another URL of the repository.
const ARTICLE: &str = "\
apiVersion: image.toolkit.fluxcd.io/v1beta1
kind: ImageUpdateAutomation
metadata:
  name: image-update-automation
  namespace: gitops-project
spec:
  interval: 1m0s
  sourceRef:
    kind: GitRepository
    name: git-repo
    namespace: gitops-project
  git:
    checkout:
      ref:
        branch: master
    commit:
      author:
        email: fluxbot@flux.com
        name: fluxbot
      messageTemplate: '{{range .Updated.Images}}{{println .}}{{end}}'
    push:
      branch: master
  update:
    path: ./helm-chart
    strategy: Setters
";

const FILES: [(&str, &str); 3] = [
    ("helm-chart/values.yaml", VALUES),
    ("helm-chart/Chart.yaml", "name: hello-kubernetes\nversion: 1.0.0\n"),
    ("elsewhere/values.yaml", VALUES),
];

async fn article() -> World {
    let world =
        World::start(&FILES, |url| format!("{}---\n{ARTICLE}", surroundings(url, &["image-policy"]))).await;
    world.settled().await;
    world
}

/// One file at the root, one policy, and this below `spec`.
async fn simple(spec: &str) -> World {
    let text = format!("{}---\n{}", "{}", manifest("", spec));
    let world = World::start(&[("values.yaml", VALUES)], move |url| {
        text.replacen("{}", &surroundings(url, &["image-policy"]), 1)
    })
    .await;
    world.settled().await;
    world
}

fn git(extra: &str) -> String {
    format!("  git:\n{COMMIT}{extra}")
}

async fn pushed(world: &World, tag: &str) -> serde_json::Value {
    let tag = tag.to_owned();
    world
        .until(&automation(), move |status| {
            status["observedPolicies"]["image-policy"]["tag"] == tag.as_str()
                && condition(status, "Ready")["status"] == "True"
        })
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_article_s_automation_commits_the_marked_scalars_and_nothing_else() {
    let world = article().await;
    let before = world.head("master");
    let status = world.status(&automation());
    assert_eq!(condition(&status, "Ready")["message"], "repository up-to-date");
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = pushed(&world, "1.0.0").await;
    let head = world.head("master");
    assert_eq!(status["lastPushCommit"], head.as_str());
    assert_eq!(status["observedSourceRevision"], format!("master@sha1:{head}"));
    assert_eq!(status["observedPolicies"], json!({"image-policy": {"name": IMAGE, "tag": "1.0.0"}}));
    assert!(status["lastPushTime"].is_string() && status["lastAutomationRunTime"].is_string());
    assert_eq!(condition(&status, "Ready")["message"], "repository up-to-date");
    let commit = world.commit(&head);
    assert_eq!(commit.parents, [before]);
    assert_eq!(commit.message, "nuclearwu/hello-kubernetes:1.0.0\n");
    assert_eq!(
        (commit.author.as_str(), commit.committer.as_str()),
        ("fluxbot <fluxbot@flux.com>", "fluxbot <fluxbot@flux.com>")
    );
    assert_eq!(commit.files, ["helm-chart/values.yaml"]);
    assert_eq!(world.text("master", "helm-chart/values.yaml"), VALUES.replace("tag: \"\"", "tag: \"1.0.0\""));
    assert_eq!(world.text("master", "elsewhere/values.yaml"), VALUES);
    // Nobody sent a webhook, and the interval is an hour.
    world.until(&source(), |status| revision(status) == format!("master@sha1:{head}")).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_image_costs_two_requests_to_git_and_the_chain_keeps_its_delivery() {
    let world = article().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    world.until(&source(), |status| revision(status).ends_with(&world.head("master"))).await;
    world.rest().await;
    world.requests.lock().unwrap().clear();
    world.set_policy("image-policy", IMAGE, "1.0.1").await;
    let delivery = DeliveryId::generate();
    let job = NewJob {
        object: automation(),
        cause: Cause::delivery(delivery.clone()).then(CauseKind::Dependency),
        due_at: Clock::system().now(),
        payload: serde_json::Value::Null,
        priority: Priority::Push,
    };
    world.queue.enqueue(vec![job]).await.unwrap();
    pushed(&world, "1.0.1").await;
    let head = world.head("master");
    world.until(&source(), |status| revision(status).ends_with(&head)).await;
    world.rest().await;
    let requests = world.requests.lock().unwrap().clone();
    let expected =
        ["GET /team/app.git/info/refs?service=git-receive-pack", "POST /team/app.git/git-receive-pack"];
    assert_eq!(requests, expected, "the push is known: neither automation nor source asks");
    let story = world.story(&automation()).await;
    for step in ["update", "commit", "push"] {
        let found = story.steps.iter().filter(|found| found.step == step).collect::<Vec<_>>();
        assert!(found.iter().any(|step| step.delivery.as_ref() == Some(&delivery)), "{step}: {found:?}");
    }
    let push = story.steps.iter().rfind(|step| step.step == "push").unwrap();
    assert_eq!(
        push.revision.as_ref().map(|revision| revision.as_str()),
        Some(&*format!("master@sha1:{head}"))
    );
    let woken = world.story(&source()).await;
    let job = woken.jobs.iter().find(|job| job.payload["push"]["commit"] == head.as_str()).unwrap();
    assert_eq!(job.payload["push"]["ref"], "refs/heads/master");
    assert!(job.causes.iter().any(|cause| cause.delivery.as_ref() == Some(&delivery)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_policies_go_into_one_commit() {
    let file = "web: reg.io/web:1 # {\"$imagepolicy\": \"gitops-project:web\"}\n\
                job: reg.io/job:1 # {\"$imagepolicy\": \"gitops-project:job\"}\n\
                other: reg.io/other:1 # {\"$imagepolicy\": \"gitops-project:other\"}\n";
    let template = "      messageTemplate: |-\n        {{ .Values.cluster }}\n        \
        {{ range .Changed.Changes }}{{ .OldValue }} -> {{ .NewValue }}\n        {{ end }}\n";
    let spec = format!(
        "  policySelector: {{matchExpressions: [{{key: app, operator: NotIn, values: [other]}}]}}\n  git:\n    \
         commit:\n      author: {{email: bot@example.com}}\n{template}      messageTemplateValues: {{cluster: prod}}\n"
    );
    let world = World::start(&[("a.yaml", file), ("deep/b.yml", file)], |url| {
        format!("{}---\n{}", surroundings(url, &["web", "job", "other"]), manifest("", &spec))
    })
    .await;
    world.settled().await;
    for name in ["web", "job", "other"] {
        world.set_policy(name, &format!("reg.io/{name}"), "2").await;
    }
    world.wake(CauseKind::Dependency).await;
    world.until(&automation(), |status| status["observedPolicies"]["job"]["tag"] == "2").await;
    assert_eq!(world.count("master"), 2);
    let expected = file.replace("web:1", "web:2").replace("job:1", "job:2");
    assert_eq!(world.text("master", "a.yaml"), expected);
    assert_eq!(world.text("master", "deep/b.yml"), expected);
    let commit = world.commit(&world.head("master"));
    assert_eq!(commit.message, "prod\nreg.io/web:1 -> reg.io/web:2\nreg.io/job:1 -> reg.io/job:2\n");
    assert_eq!(commit.author, " <bot@example.com>");
    assert!(world.status(&automation())["observedPolicies"]["other"].is_null());
    world.stop().await;
}

/// Somebody pushes to `branch` between our look and our push, the first `times` times.
fn racer(times: usize) -> (world::Meddle, Arc<std::sync::Mutex<Option<DemoRepository>>>) {
    let repository: Arc<std::sync::Mutex<Option<DemoRepository>>> = Arc::default();
    let shared = Arc::clone(&repository);
    let meddle: world::Meddle = Arc::new(move |number| {
        if number <= times
            && let Some(repository) = &*shared.lock().unwrap()
        {
            let path = format!("other-{number}.txt");
            repository.commit("master", &[Change::Write(&path, b"x")], "Somebody else").unwrap();
        }
    });
    (meddle, repository)
}

async fn racing(times: usize) -> World {
    let (meddle, repository) = racer(times);
    let world = World::start_with(
        &FILES,
        |url| format!("{}---\n{ARTICLE}", surroundings(url, &["image-policy"])),
        meddle,
        |_| {},
    )
    .await;
    *repository.lock().unwrap() = Some(world.repository.clone());
    world.settled().await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_lost_race_is_run_again_at_once_on_what_is_there_now() {
    let world = racing(3).await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    // Three of somebody else, one of ours on top: nothing of theirs is lost.
    assert_eq!(world.count("master"), 5);
    let commit = world.commit(&world.head("master"));
    assert_eq!((commit.message.as_str(), commit.files.len()), ("nuclearwu/hello-kubernetes:1.0.0\n", 1));
    for number in 1..=3 {
        assert_eq!(world.text("master", &format!("other-{number}.txt")), "x");
    }
    let story = world.story(&automation()).await;
    let failed = story.steps.iter().filter(|step| step.step == "push" && step.outcome == StepOutcome::Failed);
    assert_eq!(failed.count(), 3);
    assert!(story.jobs.iter().all(|job| job.attempts == 0), "no backoff was needed");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_branch_that_never_stands_still_is_given_up_for_a_while() {
    let world = racing(6).await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = world.ready("False").await;
    let ready = condition(&status, "Ready");
    assert_eq!(ready["reason"], "GitOperationFailed");
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.starts_with("failed to update source: `refs/heads/master` has moved meanwhile"),
        "{message}"
    );
    assert!(message.contains("5 times in a row") && message.contains("spec.git.push.branch"), "{message}");
    assert_eq!(condition(&status, "Reconciling")["reason"], "ProgressingWithRetry");
    assert!(status["observedPolicies"].is_null() && status["lastPushCommit"].is_null(), "{status}");
    // Then the others rest, and the retry is through.
    pushed(&world, "1.0.0").await;
    assert_eq!(world.count("master"), 8);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_branch_that_moved_before_is_found_by_the_push_itself() {
    let world = article().await;
    let theirs =
        world.repository.commit("master", &[Change::Write("other.txt", b"x")], "Somebody else").unwrap();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    assert_eq!(world.commit(&world.head("master")).parents, [theirs]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f19_a_protected_branch_gives_the_server_s_words() {
    let world = article().await;
    world.hook("pre-receive", "echo 'GL-HOOK-ERR: master is \u{1b}[31mprotected' >&2; exit 1");
    let before = world.head("master");
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = world.ready("False").await;
    let ready = condition(&status, "Ready");
    let message = ready["message"].as_str().unwrap();
    assert!(
        message.starts_with("failed to update source: the server refused the push to `refs/heads/master`"),
        "{message}"
    );
    assert!(
        message.contains("master is") && message.contains("protected") && !message.contains('\u{1b}'),
        "{message}"
    );
    assert_eq!(ready["reason"], "GitOperationFailed");
    assert_eq!(world.head("master"), before);
    assert!(status["lastPushCommit"].is_null());
    // The rule is lifted: the retry needs nobody.
    world.hook("pre-receive", "exit 0");
    pushed(&world, "1.0.0").await;
    assert_eq!(world.count("master"), 2);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f20_the_forge_s_hook_for_our_own_commit_starts_no_loop() {
    let world = article().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    let head = world.head("master");
    world.until(&source(), |status| revision(status).ends_with(&head)).await;
    world.rest().await;
    let runs = world.story(&automation()).await.jobs.len();
    let push = json!({"push": {"ref": "refs/heads/master", "commit": head, "url": world.git_url}});
    let job = NewJob {
        object: source(),
        cause: Cause::delivery(DeliveryId::generate()),
        due_at: Clock::system().now(),
        payload: push,
        priority: Priority::Push,
    };
    world.queue.enqueue(vec![job]).await.unwrap();
    world.rest().await;
    assert_eq!(world.story(&automation()).await.jobs.len(), runs, "the automation is not woken by commits");
    world.request().await;
    assert_eq!((world.head("master"), world.count("master")), (head, 2));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_push_and_record_ends_without_a_second_commit() {
    let world = article().await;
    let object = world.objects.get(&automation()).unwrap();
    let before = object.status_json();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    world.rest().await;
    // The status as it would be had the process died before it was written.
    world.objects.patch_status(&automation(), &object.metadata().uid, before).await.unwrap();
    world.wake(CauseKind::Dependency).await;
    let status = pushed(&world, "1.0.0").await;
    assert_eq!(world.count("master"), 2);
    assert_eq!(status["observedSourceRevision"], format!("master@sha1:{}", world.head("master")));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_branch_is_made_from_the_checkout_and_then_kept_one_commit_ahead_of_it() {
    let world = simple(&git("    push: {branch: auto/images}\n")).await;
    let base = world.head("master");
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = pushed(&world, "1.0.0").await;
    let first = world.head("auto/images");
    assert_eq!(world.commit(&first).parents, std::slice::from_ref(&base));
    assert_eq!(
        (world.head("master"), status["observedSourceRevision"].clone()),
        (base.clone(), json!(format!("master@sha1:{base}")))
    );
    assert_eq!(status["lastPushCommit"], first.as_str());
    // Nothing new: the branch stays as it is, and no commit is made and signed to find that out.
    let commits = async || {
        let story = world.story(&automation()).await;
        story.steps.iter().filter(|step| step.step == "commit").count()
    };
    assert_eq!(commits().await, 1);
    world.request().await;
    assert_eq!((world.head("auto/images"), commits().await), (first, 1));
    // Another image, and master went on meanwhile: the branch is made anew on it.
    let base = world.repository.commit("master", &[Change::Write("other.txt", b"x")], "Go on").unwrap();
    world.resolve("image-policy", IMAGE, "1.0.1").await;
    pushed(&world, "1.0.1").await;
    let second = world.head("auto/images");
    assert_eq!(world.commit(&second).parents, [base]);
    assert_eq!(world.text("auto/images", "values.yaml"), VALUES.replace("tag: \"\"", "tag: \"1.0.1\""));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_pinned_to_an_old_commit_leaves_its_branch_where_it_is() {
    let spec = manifest("", &git(""));
    let world = World::start_pinned(&[("values.yaml", VALUES)], |url, commit| {
        let surroundings = surroundings(url, &["image-policy"])
            .replace("{branch: master}", &format!("{{branch: master, commit: {commit}}}"));
        format!("{surroundings}---\n{spec}")
    })
    .await;
    let pinned = world.head("master");
    world.settled().await;
    let head = world.repository.commit("master", &[Change::Write("other.txt", b"x")], "Go on").unwrap();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = world.ready("False").await;
    let message = condition(&status, "Ready")["message"].as_str().unwrap().to_owned();
    assert_eq!(
        message,
        format!(
            "failed to update source: the server refused the push to `refs/heads/master`: \
             the commit does not build on `{head}`, and the push is not forced"
        )
    );
    assert_ne!(pinned, head);
    assert_eq!((world.head("master"), world.text("master", "other.txt").as_str()), (head, "x"));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_is_checked_out_and_the_branch_it_is_pushed_to_keeps_its_commits() {
    let spec = git("    checkout: {ref: {tag: v1}}\n    push: {branch: master}\n");
    let world = World::start(&[("values.yaml", VALUES)], |url| {
        format!("{}---\n{}", surroundings(url, &["image-policy"]), manifest("", &spec))
    })
    .await;
    world.repository.set_reference("refs/tags/v1", &world.head("master")).unwrap();
    let head = world.repository.commit("master", &[Change::Write("other.txt", b"x")], "Go on").unwrap();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    let first = world.head("master");
    assert_eq!(world.commit(&first).parents, [head]);
    assert_eq!(world.text("master", "values.yaml"), VALUES.replace("tag: \"\"", "tag: \"1.0.0\""));
    // As on a branch of automation's own: the next image is a commit more, and nothing new is none.
    world.request().await;
    assert_eq!(world.head("master"), first);
    world.resolve("image-policy", IMAGE, "1.0.1").await;
    pushed(&world, "1.0.1").await;
    assert_eq!(world.commit(&world.head("master")).parents, [first]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refspec_is_pushed_besides_and_push_options_arrive() {
    let spec = git(
        "    push: {refspec: \"refs/heads/master:refs/heads/review\", options: {topic: images, ci.skip: \"\"}}\n",
    );
    let world = simple(&spec).await;
    world.configure("receive.advertisePushOptions", "true");
    world.hook("post-receive", "env | grep '^GIT_PUSH_OPTION' | sort > options.txt");
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    assert_eq!(world.head("review"), world.head("master"));
    let options = std::fs::read_to_string(world.repository.path().join("options.txt")).unwrap();
    assert_eq!(
        options,
        "GIT_PUSH_OPTION_0=ci.skip=\nGIT_PUSH_OPTION_1=topic=images\nGIT_PUSH_OPTION_COUNT=2\n"
    );
    let story = world.story(&automation()).await;
    let push = story.steps.iter().rfind(|step| step.step == "push").unwrap();
    assert_eq!(push.detail, "to refs/heads/master, refs/heads/review");
    world.stop().await;
}

/// A key that `secret phrase` opens, and the Secret that holds it with this password; none without ssh-keygen.
fn signing_key(password: &str) -> Option<(tempfile::TempDir, String)> {
    let keys = tempfile::TempDir::new().unwrap();
    let key = keys.path().join("key");
    let made = std::process::Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "secret phrase", "-C", "bot", "-f"])
        .arg(&key)
        .status();
    if !made.is_ok_and(|status| status.success()) {
        return None;
    }
    let identity = std::fs::read_to_string(&key).unwrap();
    let secret = format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: signing-key, namespace: {NS}}}\nstringData:\n  \
         password: {password}\n  identity: |\n    {}\n",
        identity.trim_end().replace('\n', "\n    ")
    );
    Some((keys, secret))
}

const SIGNED: &str = "  git:\n    commit:\n      author: {email: fluxbot@flux.com, name: fluxbot}\n      \
    signingKey: {type: ssh, secretRef: {name: signing-key}}\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_signing_key_is_opened_when_there_is_something_to_sign() {
    let Some((_keys, secret)) = signing_key("another phrase") else {
        println!("no ssh-keygen: skipped");
        return;
    };
    let world = World::start(&[("values.yaml", VALUES)], |url| {
        format!("{}---\n{secret}---\n{}", surroundings(url, &["image-policy"]), manifest("", SIGNED))
    })
    .await;
    world.settled().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    let status = world.ready("False").await;
    let ready = condition(&status, "Ready");
    assert_eq!(
        (ready["reason"].as_str(), ready["message"].as_str()),
        (
            Some("SourceManagerFailed"),
            Some(
                "failed configuring source manager: could not read signing key from secret 'signing-key': \
                 the passphrase does not open the signing key"
            )
        )
    );
    assert_eq!(world.count("master"), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_named_from_the_update_path_however_it_is_written() {
    let spec = "  update: {path: ./elsewhere/../helm-chart//}\n  git:\n    commit:\n      \
        author: {email: a@b}\n      messageTemplate: '{{ range $file, $_ := .Changed.FileChanges }}{{ $file }}{{ end }}'\n";
    let world = World::start(&FILES, |url| {
        format!("{}---\n{}", surroundings(url, &["image-policy"]), manifest("", spec))
    })
    .await;
    world.settled().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    let commit = world.commit(&world.head("master"));
    assert_eq!(
        (commit.message.as_str(), commit.files),
        ("values.yaml", vec!["helm-chart/values.yaml".to_owned()])
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_signed_with_an_ssh_key_that_git_verifies() {
    let Some((keys, secret)) = signing_key("secret phrase") else {
        println!("no ssh-keygen: skipped");
        return;
    };
    let public = std::fs::read_to_string(keys.path().join("key.pub")).unwrap();
    let world = World::start(&[("values.yaml", VALUES)], |url| {
        format!("{}---\n{secret}---\n{}", surroundings(url, &["image-policy"]), manifest("", SIGNED))
    })
    .await;
    world.settled().await;
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    let allowed = keys.path().join("allowed");
    std::fs::write(&allowed, format!("fluxbot@flux.com {public}")).unwrap();
    let verified = std::process::Command::new("git")
        .args(["-c", "gpg.format=ssh", "-c", &format!("gpg.ssh.allowedSignersFile={}", allowed.display())])
        .args(["verify-commit", "master"])
        .current_dir(world.repository.path())
        .output()
        .unwrap();
    assert!(verified.status.success(), "{}", String::from_utf8_lossy(&verified.stderr));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn h82_links_large_files_and_files_outside_of_the_path_are_never_written() {
    let world = article().await;
    let large = [VALUES.as_bytes(), &vec![b'#'; 9 << 20]].concat();
    let changes = [
        Change::Write("helm-chart/large.yaml", large.as_slice()),
        Change::Write(
            "helm-chart/binary.yaml",
            b"\x7fELF\0\0{\"$imagepolicy\": \"gitops-project:image-policy\"}",
        ),
        Change::Write(
            "helm-chart/template.yaml",
            b"{{- if x }}\na: b # {\"$imagepolicy\": \"gitops-project:image-policy\"}\n",
        ),
        Change::Link("helm-chart/inside.yaml", "values.yaml"),
        Change::Link("helm-chart/outside.yaml", "../elsewhere/values.yaml"),
        Change::Link("helm-chart/away.yaml", "/etc/passwd"),
        Change::Executable("helm-chart/run.yaml", VALUES.as_bytes()),
    ];
    world.repository.commit("master", &changes, "Traps").unwrap();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    pushed(&world, "1.0.0").await;
    let commit = world.commit(&world.head("master"));
    assert_eq!(commit.files, ["helm-chart/run.yaml", "helm-chart/values.yaml"]);
    let repository = git2::Repository::open_bare(world.repository.path()).unwrap();
    let tree = repository.revparse_single("master:helm-chart").unwrap().peel_to_tree().unwrap();
    assert_eq!(tree.get_name("run.yaml").unwrap().filemode(), 0o100_755);
    assert_eq!(tree.get_name("away.yaml").unwrap().filemode(), 0o120_000);
    let story = world.story(&automation()).await;
    let update = story.steps.iter().rfind(|step| step.step == "update").unwrap();
    assert!(update.detail.contains("`template.yaml` was left alone"), "{}", update.detail);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_work_is_said_in_flux_s_words_and_nothing_is_committed() {
    let cases = [
        (
            "  sourceRef: {kind: GitRepository, name: nobody}\n".to_owned() + &git(""),
            "SourceManagerFailed",
            "failed configuring source manager: referenced git repository does not exist: gitrepositories.source.toolkit.fluxcd.io \"nobody\" not found",
            false,
        ),
        (
            String::new(),
            "InvalidSourceConfiguration",
            "source kind 'GitRepository' necessitates field .spec.git: invalid source configuration",
            true,
        ),
        (
            "  policySelector: {matchLabels: {\"-\": x}}\n".to_owned() + &git(""),
            "InvalidPolicySelector",
            "failed to parse policy selector: key: Invalid value: \"-\"",
            true,
        ),
        (
            "  update: {path: charts}\n".to_owned() + &git(""),
            "UpdateFailed",
            "failed to apply policies: walking path for files: lstat charts: no such file or directory",
            false,
        ),
        (
            git("    checkout: {ref: {branch: nowhere}}\n"),
            "GitOperationFailed",
            "failed to checkout source: failed to fetch branch `nowhere` from",
            false,
        ),
        (
            "  git:\n    commit: {author: {email: a@b}, messageTemplate: \"{{ .Nope }}\"}\n".to_owned(),
            "GitOperationFailed",
            "failed to update source: failed to run template from spec: template: commit message:1:3: executing \"commit message\" at <.Nope>: can't evaluate field Nope in type source.TemplateData",
            false,
        ),
        (
            "  git:\n    commit: {author: {email: a@b}, signingKey: {secretRef: {name: none}}}\n".to_owned(),
            "SourceManagerFailed",
            "failed configuring source manager: could not find signing key secret 'none': secrets \"none\" not found",
            false,
        ),
    ];
    for (spec, reason, message, stalled) in cases {
        // A second `sourceRef` would be a duplicate: it takes the first one's place.
        let text = match spec.strip_prefix("  sourceRef: {kind: GitRepository, name: nobody}\n") {
            Some(rest) => manifest("", rest).replace("name: git-repo", "name: nobody"),
            None => manifest("", &spec),
        };
        let world = World::start(&[("values.yaml", VALUES)], |url| {
            format!("{}---\n{text}", surroundings(url, &["image-policy"]))
        })
        .await;
        let head = world.head("master");
        world.until(&source(), |status| revision(status).ends_with(&head)).await;
        world.resolve("image-policy", IMAGE, "1.0.0").await;
        let status =
            world.until(&automation(), |status| condition(status, "Ready")["reason"] == reason).await;
        let ready = condition(&status, "Ready");
        assert!(ready["message"].as_str().unwrap().starts_with(message), "{ready}");
        assert_eq!(ready["status"], "False");
        assert_eq!(condition(&status, "Stalled")["status"] == "True", stalled, "{status}");
        assert_eq!(
            condition(&status, "Reconciling")["reason"] == "ProgressingWithRetry",
            !stalled,
            "{status}"
        );
        assert_eq!(world.count("master"), 1, "{reason}");
        world.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_into_another_namespace_can_be_forbidden() {
    let text = manifest("", &git("")).replace("name: git-repo}", "name: git-repo, namespace: infra}");
    let world = World::start_with(
        &[("values.yaml", VALUES)],
        |url| format!("{}---\n{text}", surroundings(url, &["image-policy"])),
        Arc::new(|_| {}),
        |options| options.reconciler.no_cross_namespace_refs = true,
    )
    .await;
    let status = world.ready("False").await;
    assert_eq!(condition(&status, "Stalled")["reason"], "AccessDenied");
    assert_eq!(
        condition(&status, "Ready")["message"],
        "can't access 'GitRepository/infra/git-repo', cross-namespace references have been blocked"
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_automation_does_nothing_and_its_runs_are_skipped_when_nothing_is_new() {
    let world = article().await;
    // Nothing is new: the repository is asked where it stands and not read.
    let before = world.story(&automation()).await;
    world.request().await;
    let after = world.story(&automation()).await;
    let updates =
        |story: &sluice::queue::Story| story.steps.iter().filter(|step| step.step == "update").count();
    assert_eq!(updates(&before), updates(&after));
    world.objects.set_suspend(&automation(), true).await.unwrap();
    world.resolve("image-policy", IMAGE, "1.0.0").await;
    world.rest().await;
    assert_eq!(world.count("master"), 1);
    world.objects.set_suspend(&automation(), false).await.unwrap();
    pushed(&world, "1.0.0").await;
    assert_eq!(world.count("master"), 2);
    world.stop().await;
}
