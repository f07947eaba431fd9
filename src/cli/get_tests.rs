use serde_json::json;

use super::*;

const COMMIT: &str = "8b1a9953c4611296a827abf8c47804d7e6a5b2f0";

fn items() -> Vec<Value> {
    let ready = |status: &str, message: &str| json!([{"type": "Ready", "status": status, "message": message, "lastTransitionTime": "2026-11-24T10:00:00Z"}]);
    let revision = format!("master@sha1:{COMMIT}");
    vec![
        json!({
            "kind": "GitRepository", "metadata": {"name": "git-repo", "namespace": "gitops-project", "labels": {"team": "a"}},
            "status": {"artifact": {"revision": revision}, "conditions": ready("True", &format!("stored artifact for revision '{revision}'"))},
        }),
        json!({
            "kind": "HelmChart", "metadata": {"name": "gitops-project-member1-app", "namespace": "gitops-project"},
            "status": {"artifact": {"revision": "1.0.0+8b1a9953c461"}, "conditions": ready("True", "packaged 'hello-kubernetes' chart with version '1.0.0+8b1a9953c461'")},
        }),
        json!({
            "kind": "HelmRelease", "metadata": {"name": "member1-app", "namespace": "gitops-project"},
            "spec": {"kubeConfig": {"secretRef": {"name": "member1-kubeconfig"}},
                     "chart": {"spec": {"sourceRef": {"kind": "GitRepository", "name": "git-repo"}}}},
            "status": {"history": [{"chartVersion": "1.0.0+8b1a9953c461.2"}, {"chartVersion": "1.0.0"}],
                       "conditions": ready("True", "Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0+8b1a9953c461.2")},
        }),
        json!({
            "kind": "HelmRelease", "metadata": {"name": "member2-app", "namespace": "gitops-project"},
            "spec": {"suspend": true}, "status": {"lastAttemptedRevision": "1.0.0+8b1a9953c461.2", "conditions": ready("False", "connection refused")},
        }),
        json!({"kind": "Kustomization", "metadata": {"name": "new", "namespace": "gitops-project"}}),
        json!({
            "kind": "ImageRepository", "metadata": {"name": "app", "namespace": "gitops-project"},
            "status": {"lastScanResult": {"scanTime": "2026-11-24T10:00:00Z"}, "conditions": ready("True", "successful scan: found 1 tags with checksum 1")},
        }),
        json!({
            "kind": "ImagePolicy", "metadata": {"name": "app", "namespace": "gitops-project"},
            "status": {"latestRef": {"name": "nuclearwu/hello-kubernetes", "tag": "1.0.0"}, "conditions": ready("True", "Latest image tag")},
        }),
        json!({"kind": "Receiver", "metadata": {"name": "push", "namespace": "gitops-project"}, "status": {"conditions": ready("True", "Receiver initialized for path: /hook/cbac15c44b0857f647ae19692707dc7fed22bccfa8f104449a3c5bc3d31109a6")}}),
        json!({"kind": "Provider", "metadata": {"name": "slack", "namespace": "gitops-project"}}),
        json!({"kind": "Alert", "metadata": {"name": "alert", "namespace": "other"}, "spec": {"suspend": true}}),
    ]
}

fn show(line: &str, columns: Columns) -> String {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    let (selection, names) = parse(&words).unwrap();
    let wanted = Wanted { selection, names, namespace: None, labels: Vec::new(), condition: None };
    let items: Vec<Value> = items().into_iter().filter(|item| wanted.takes(item)).collect();
    let text = tables(&items, selection, columns, true);
    // A tab after each padded cell, as flux has it; shown as a bar.
    text.replace('\t', "|")
}

#[test]
fn sources_git() {
    insta::assert_snapshot!(show("sources git", Columns::default()), @r"
    NAME    |REVISION            |SUSPENDED|READY|MESSAGE
    git-repo|master@sha1:8b1a9953|False    |True |stored artifact for revision 'master@sha1:8b1a9953'
    ");
}

#[test]
fn helmreleases() {
    insta::assert_snapshot!(show("hr", Columns::default()), @r"
    NAME       |REVISION            |SUSPENDED|READY|MESSAGE
    member1-app|1.0.0+8b1a9953c461.2|False    |True |Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0+8b1a9953c461.2
    member2-app|1.0.0+8b1a9953c461.2|True     |False|connection refused
    ");
    insta::assert_snapshot!(show("hr member1-app", Columns { namespace: true, source: true, wide: true, kind: false }), @r"
    NAMESPACE     |NAME       |SOURCE                               |REVISION            |SUSPENDED|READY|MESSAGE                                                                                                   |CLUSTER|SINCE
    gitops-project|member1-app|GitRepository/gitops-project/git-repo|1.0.0+8b1a9953c461.2|False    |True |Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0+8b1a9953c461.2|member1|2026-11-24T10:00:00Z
    ");
}

#[test]
fn all_of_everything() {
    insta::assert_snapshot!(show("all", Columns { namespace: true, kind: true, ..Columns::default() }), @r"
    NAMESPACE     |NAME                  |REVISION            |SUSPENDED|READY|MESSAGE
    gitops-project|gitrepository/git-repo|master@sha1:8b1a9953|False    |True |stored artifact for revision 'master@sha1:8b1a9953'

    NAMESPACE     |NAME                                |REVISION          |SUSPENDED|READY|MESSAGE
    gitops-project|helmchart/gitops-project-member1-app|1.0.0+8b1a9953c461|False    |True |packaged 'hello-kubernetes' chart with version '1.0.0+8b1a9953c461'

    NAMESPACE     |NAME               |LAST SCAN           |SUSPENDED|READY|MESSAGE
    gitops-project|imagerepository/app|2026-11-24T10:00:00Z|False    |True |successful scan: found 1 tags with checksum 1

    NAMESPACE     |NAME           |IMAGE                     |TAG  |READY|MESSAGE
    gitops-project|imagepolicy/app|nuclearwu/hello-kubernetes|1.0.0|True |Latest image tag

    NAMESPACE     |NAME                   |REVISION            |SUSPENDED|READY|MESSAGE
    gitops-project|helmrelease/member1-app|1.0.0+8b1a9953c461.2|False    |True |Helm upgrade succeeded for release app/app-member1-app.v2 with chart hello-kubernetes@1.0.0+8b1a9953c461.2
    gitops-project|helmrelease/member2-app|1.0.0+8b1a9953c461.2|True     |False|connection refused

    NAMESPACE     |NAME             |REVISION|SUSPENDED|READY|MESSAGE
    gitops-project|kustomization/new|        |False    |False|waiting to be reconciled

    NAMESPACE     |NAME         |SUSPENDED|READY|MESSAGE
    gitops-project|receiver/push|False    |True |Receiver initialized for path: /hook/cbac15c44b0857f647ae19692707dc7fed22bccfa8f104449a3c5bc3d31109a6

    NAMESPACE     |NAME          |READY|MESSAGE
    gitops-project|provider/slack|True |Provider is Ready

    NAMESPACE|NAME       |SUSPENDED|READY|MESSAGE
    other    |alert/alert|True     |True |Alert is Ready
    ");
}

#[test]
fn selectors() {
    let mut wanted = Wanted {
        selection: Selection::All,
        names: Vec::new(),
        namespace: Some("gitops-project".to_owned()),
        labels: Vec::new(),
        condition: Some(("ready".to_owned(), "false".to_owned())),
    };
    let names = |wanted: &Wanted| -> Vec<String> {
        let items = items().into_iter().filter(|item| wanted.takes(item));
        items.map(|item| item["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&wanted), ["member2-app"]);
    wanted.condition = None;
    wanted.labels = requirements("team=a").unwrap();
    assert_eq!(names(&wanted), ["git-repo"]);
    wanted.labels = requirements("team, team!=b").unwrap();
    assert_eq!(names(&wanted), ["git-repo"]);
    wanted.labels = requirements("!team").unwrap();
    assert_eq!(names(&wanted).len(), 8);
    assert!(requirements("team in (a,b)").is_err());
}

#[test]
fn as_json_yaml_and_names() {
    let items = items();
    assert_eq!(
        text(&items[..2], Format::Name, false).unwrap(),
        "gitrepository.source.toolkit.fluxcd.io/git-repo\nhelmchart.source.toolkit.fluxcd.io/gitops-project-member1-app\n"
    );
    let list: Value = serde_json::from_str(&text(&items, Format::Json, false).unwrap()).unwrap();
    assert_eq!((&list["kind"], list["items"].as_array().unwrap().len()), (&"List".into(), items.len()));
    let one = text(&items[4..5], Format::Yaml, true).unwrap();
    assert_eq!(one, "kind: Kustomization\nmetadata:\n  name: new\n  namespace: gitops-project\n");
}
