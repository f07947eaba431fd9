//! Secrets and ConfigMaps.

use super::super::ConfigError;
use super::*;

fn secret(name: &str, rest: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: apps\n{rest}")
}

#[tokio::test]
async fn data_and_string_data_are_merged() {
    let text = secret(
        "s",
        "type: kubernetes.io/basic-auth\ndata:\n  username: bmF0\n  both: b2xk\n  folded: |\n    bmF0\n    bmF0\nstringData:\n  password: \"p\\n\"\n  both: new\n",
    );
    let objects = holding(&text).await;
    let secret = objects.secret("apps", "s").unwrap().unwrap();
    assert_eq!(secret.r#type, "kubernetes.io/basic-auth");
    assert_eq!(secret.get_str("username"), Some("nat"));
    assert_eq!(secret.get_str("both"), Some("new"));
    assert_eq!(secret.get("folded"), Some(b"natnat".as_slice()));
    // H27: a newline at the end is the user's.
    assert_eq!(secret.get_str("password"), Some("p\n"));
    assert_eq!(secret.keys().collect::<Vec<_>>(), ["both", "folded", "password", "username"]);
    assert!(objects.secret("apps", "other").unwrap().is_none());
    assert!(objects.secret("default", "s").unwrap().is_none());
}

#[tokio::test]
async fn values_appear_nowhere() {
    let text = secret("s", "data:\n  a: not base64 hunter2\nstringData:\n  b: hunter2\n  c: 42\n")
        + "---\n"
        + &secret("t", "stringData: {x: hunter2}\n")
        + "---\n"
        + &secret("twice", "stringData:\n  k: hunter2\n  k: hunter2\n")
        + "---\n"
        + &secret("odd", "stringData:\n  ? [hunter2]\n  : hunter2\n");
    let objects = holding(&text).await;
    let usable = objects.secret("apps", "t").unwrap().unwrap();
    let shown = format!("{:?} {:?} {:?}", usable, objects.problems(), objects.secret("apps", "s"));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(
        problems(&objects),
        [
            "app.yaml:7: `Secret/apps/s`: data[a]: is not valid base64",
            "app.yaml:10: `Secret/apps/s`: stringData[c]: must be a string",
            "app.yaml:26: key \"k\" is already set at line 25",
            "app.yaml:34: the document cannot be read; what is wrong is not shown, because it holds a Secret",
        ]
    );
}

#[tokio::test]
async fn an_encrypted_secret_is_never_used_as_it_is() {
    let text = secret("s", "data:\n  password: ENC[AES256_GCM,data:x,type:str]\nsops:\n  version: 3.9.0\n");
    let objects = holding(&text).await;
    let error = objects.secret("apps", "s").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`Secret/apps/s` in `app.yaml` is encrypted with SOPS and cannot be used as it is"
    );
    assert!(matches!(error, ConfigError::Encrypted { .. }));
}

#[tokio::test]
async fn config_maps_hold_text_and_bytes() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c, labels: {reconcile.fluxcd.io/watch: Enabled}}\ndata: {a: b}\nbinaryData: {x: AAE=}\n";
    let objects = holding(text).await;
    let map = objects.config_map("default", "c").unwrap().unwrap();
    assert_eq!((map.data["a"].as_str(), map.binary_data["x"].as_slice()), ("b", [0u8, 1].as_slice()));
    assert_eq!(map.labels["reconcile.fluxcd.io/watch"], "Enabled");
    let objects =
        holding("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {a: 1}\ndatta: {}\n").await;
    assert_eq!(
        problems(&objects),
        [
            "app.yaml:4: `ConfigMap/default/c`: data[a]: must be a string",
            "app.yaml:5: `ConfigMap/default/c`: unknown field \"datta\"",
        ]
    );
}

#[tokio::test]
async fn changes_are_told_and_a_broken_edit_keeps_the_last_good_one() {
    let objects = holding(&secret("s", "stringData: {a: one}\n")).await;
    let mut changes = objects.subscribe();
    objects.put_manifests("app.yaml", &secret("s", "stringData: {a: two}\n")).await;
    assert_eq!(told(&mut changes), [("Secret/apps/s".to_owned(), ChangeKind::SpecChanged)]);
    objects.put_manifests("app.yaml", &secret("s", "stringData: {a: two}\ntype: Opaque\n")).await;
    assert_eq!(told(&mut changes), []);
    objects.put_manifests("app.yaml", &secret("s", "stringData: {a: 3}\n")).await;
    assert_eq!(told(&mut changes), [("Secret/apps/s".to_owned(), ChangeKind::Invalid)]);
    assert_eq!(objects.secret("apps", "s").unwrap().unwrap().get_str("a"), Some("two"));
    objects.put_manifests("app.yaml", "").await;
    assert_eq!(told(&mut changes), [("Secret/apps/s".to_owned(), ChangeKind::Removed)]);
}
