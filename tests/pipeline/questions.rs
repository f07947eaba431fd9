//! What people ask of a running agent about what is there: comparisons, and statuses that others read.

use sluice::demo::repository::Change;
use sluice::model::{Kind, ObjectKey};

use crate::release;
use crate::support::{Pipeline, patiently};

const VALUES: &str = "helm-chart/values.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_takes_what_people_call_a_commit() {
    let pipeline = Pipeline::start().await;
    pipeline.ready(&release(1)).await;
    let first = pipeline.head();
    let values = pipeline.repository.read("master", VALUES).unwrap().unwrap();
    let values = values.replace("type: ClusterIP", "type: NodePort");
    // On a branch of its own: the source stays where it is.
    let second = tokio::task::block_in_place(|| {
        let change = [Change::Write(VALUES, values.as_bytes())];
        let commit = pipeline.repository.commit_onto("next", Some(&first), &change, "Open it").unwrap();
        pipeline.repository.tag("v1.0", &commit, "a tag").unwrap();
        commit
    });
    let compare = async |revision: &str| {
        let object = release(1);
        let diff = Box::pin(pipeline.reconciler.diff(&object, Some(revision)));
        let diff = patiently("the comparison", diff).await;
        diff.outcome.map(|changes| changes.iter().any(|change| !change.text.is_empty()))
    };
    // Of a commit that was never fetched the beginning says nothing.
    let unknown = compare(&second[..10]).await.unwrap_err();
    assert!(
        unknown.contains(&second[..10]) && unknown.ends_with("\nhint: give the full commit"),
        "{unknown}"
    );
    for (revision, changes_something) in [
        (first.as_str(), false),
        (&first[..10], false),
        ("HEAD", false),
        ("master", false),
        ("next", true),
        ("v1.0", true),
        (second.as_str(), true),
        // By now it is kept.
        (&second[..10], true),
    ] {
        assert_eq!(compare(revision).await, Ok(changes_something), "{revision}");
    }
    assert!(compare("v2.0").await.unwrap_err().starts_with("`v2.0` is no branch and no tag of `http"));
    pipeline.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charts_artifact_has_all_that_its_kind_demands() {
    let pipeline = Pipeline::start().await;
    pipeline.ready(&release(1)).await;
    let chart = ObjectKey::new(Kind::HelmChart, "gitops-project", "gitops-project-member1-app");
    let artifact = pipeline.status(&chart)["artifact"].clone();
    for field in ["digest", "lastUpdateTime", "path", "revision", "url"] {
        assert!(artifact[field].as_str().is_some_and(|text| !text.is_empty()), "{field}: {artifact}");
    }
    assert!(artifact["digest"].as_str().unwrap().starts_with("sha256:"), "{artifact}");
    pipeline.stop().await;
}
