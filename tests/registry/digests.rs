//! What tags point to.

use crate::world::*;

#[tokio::test]
async fn a_tag_is_looked_up_by_one_head() {
    let registry = Registry::start().await;
    let digest = registry.shelf().push("1.0", "image");
    let client = client();
    assert_eq!(client.digest(&registry.request(), "1.0").await.unwrap(), Some(digest.clone()));
    assert_eq!(registry.asked(), ["GET /v2/", "HEAD /v2/team/app/manifests/1.0"]);
    assert_eq!(client.digest(&registry.request(), &digest).await.unwrap(), Some(digest));
    assert_eq!(client.digest(&registry.request(), "2.0").await.unwrap(), None);
    registry.asked();
    // What cannot be a tag is nowhere, and nobody is asked for it.
    for odd in ["../../token", "1.0\n", "", "sha256:1", "a b"] {
        assert_eq!(client.digest(&registry.request(), odd).await.unwrap(), None, "{odd:?}");
    }
    assert!(registry.asked().is_empty());
}

#[tokio::test]
async fn f17_a_tag_that_vanished_is_not_there() {
    let registry = Registry::start().await;
    registry.shelf().push("1.0", "image");
    let client = client();
    assert!(client.digest(&registry.request(), "1.0").await.unwrap().is_some());
    registry.shelf().manifests.clear();
    assert_eq!(client.digest(&registry.request(), "1.0").await.unwrap(), None);
}

#[tokio::test]
async fn registries_that_do_not_say_the_digest_send_the_manifest() {
    let registry = Registry::start().await;
    let digest = registry.shelf().push("1.0", "image");
    registry.shelf().manifests.get_mut("1.0").unwrap().said = None;
    assert_eq!(client().digest(&registry.request(), "1.0").await.unwrap(), Some(digest));
    assert_eq!(registry.asked()[1..], ["HEAD /v2/team/app/manifests/1.0", "GET /v2/team/app/manifests/1.0"]);
}

#[tokio::test]
async fn registries_that_know_no_head_are_asked_otherwise() {
    let registry = Registry::start().await;
    let digest = registry.shelf().push("1.0", "image");
    let client = client();
    client.tags(&registry.request()).await.unwrap();
    registry.shelf().faults.push_back(Fault { status: 405, headers: &[], body: "" });
    assert_eq!(client.digest(&registry.request(), "1.0").await.unwrap(), Some(digest));
}

#[tokio::test]
async fn h83_manifests_that_lie_are_refused() {
    let registry = Registry::start().await;
    registry.shelf().push("1.0", "image");
    let client = client();
    client.tags(&registry.request()).await.unwrap();
    let other = sha256(b"other");
    let of = |edit: fn(&mut Manifest)| {
        let mut manifest = Manifest::new("image");
        edit(&mut manifest);
        manifest
    };
    for (manifest, complaint) in [
        (
            of(|it| it.said = Some("md5:d41d8cd98f00b204e9800998ecf8427e".into())),
            "`md5:d41d8cd98f00b204e9800998ecf8427e` is no digest",
        ),
        (of(|it| it.said = Some("sha256:12".into())), "`sha256:12` is no digest"),
        (
            of(|it| it.media = "text/html; charset=utf-8"),
            "content type `text/html; charset=utf-8`, which is no manifest's",
        ),
        (of(|it| it.bytes = vec![b'x'; (4 << 20) + 1]), "the manifest exceeds the limit of 4194304"),
        (
            of(|it| (it.said, it.bytes) = (None, vec![b'x'; (4 << 20) + 1])),
            "the manifest exceeds the limit of 4194304",
        ),
    ] {
        registry.shelf().manifests.insert("1.0".into(), manifest);
        let error = client.digest(&registry.request(), "1.0").await.unwrap_err();
        assert!(error.contains(complaint), "{error}");
    }
    // Asked for by digest, another one comes back.
    registry.shelf().manifests.insert(other.clone(), Manifest::new("image"));
    let error = client.digest(&registry.request(), &other).await.unwrap_err();
    assert!(
        error.contains(&format!("`{other}` was asked for, and `{}` is the answer", sha256(b"image"))),
        "{error}"
    );
}

#[tokio::test]
async fn h83_content_that_is_not_what_its_header_says_is_refused() {
    let registry = Registry::start().await;
    registry.shelf().push("1.0", "image");
    let client = client();
    client.tags(&registry.request()).await.unwrap();
    // The HEAD fails, so that the manifest itself comes, with a header that does not fit.
    registry.shelf().faults.push_back(Fault { status: 405, headers: &[], body: "" });
    registry.shelf().manifests.get_mut("1.0").unwrap().said = Some(sha256(b"other"));
    let error = client.digest(&registry.request(), "1.0").await.unwrap_err();
    assert!(
        error.contains(&format!("the manifest has the digest `{}`, and the registry says", sha256(b"image"))),
        "{error}"
    );
}
