//! Lists of tags.

use crate::world::*;

#[tokio::test]
async fn tags_come_page_by_page_and_the_registry_is_greeted_once() {
    let registry = Registry::start().await;
    for n in 0..25 {
        registry.shelf().push(&format!("v{n:02}"), "x");
    }
    registry.shelf().page = 10;
    let client = client();
    let tags = client.tags(&registry.request()).await.unwrap();
    assert_eq!((tags.len(), tags[0].as_str(), tags[24].as_str()), (25, "v00", "v24"));
    assert_eq!(
        registry.asked(),
        [
            "GET /v2/",
            "GET /v2/team/app/tags/list?n=1000",
            "GET /v2/team/app/tags/list?n=1000&last=v09",
            "GET /v2/team/app/tags/list?n=1000&last=v19",
        ]
    );
    registry.shelf().page = 0;
    assert_eq!(client.tags(&registry.request()).await.unwrap().len(), 25);
    assert_eq!(registry.asked(), ["GET /v2/team/app/tags/list?n=1000"]);
}

#[tokio::test]
async fn a_repository_without_tags_is_no_error_and_one_that_is_not_there_is() {
    let registry = Registry::start().await;
    let client = client();
    assert!(client.tags(&registry.request()).await.unwrap().is_empty());
    let mut other = registry.request();
    other.image = sluice::source::ImageName::parse(&format!("{}/team/other", registry.host)).unwrap();
    assert_eq!(
        client.tags(&other).await.unwrap_err(),
        format!(
            "failed to list the tags of `{}/team/other`: repository not found (NAME_UNKNOWN: repository name not known to registry)",
            registry.host
        )
    );
}

#[tokio::test]
async fn f17_servers_that_stumble_are_asked_again_and_those_that_are_down_say_so() {
    let registry = Registry::start().await;
    registry.shelf().push("1.0", "x");
    let client = client();
    let stumble = || Fault { status: 503, headers: &[], body: "" };
    registry.shelf().faults.extend([stumble(), stumble()]);
    assert_eq!(client.tags(&registry.request()).await.unwrap(), ["1.0"]);
    registry.asked();
    let down = r#"{"errors": [{"code": "UNAVAILABLE", "message": "service unavailable"}]}"#;
    registry.shelf().faults.extend((0..3).map(|_| Fault { status: 503, headers: &[], body: down }));
    let error = client.sources.image_tags(&registry.request()).await.unwrap_err();
    assert_eq!(registry.asked().len(), 3);
    assert!(error.is_retryable(), "{error}");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to list the tags of `{}/team/app`: the registry answered HTTP 503: UNAVAILABLE: service unavailable",
            registry.host
        )
    );
}

#[tokio::test]
async fn f17_a_registry_that_asks_for_patience_is_left_alone_for_so_long() {
    let registry = Registry::start().await;
    let client = client();
    let body = r#"{"errors": [{"code": "TOOMANYREQUESTS", "message": "pull rate limit"}]}"#;
    registry.shelf().faults.push_back(Fault { status: 429, headers: &[("retry-after", "17")], body });
    let error = client.sources.image_tags(&registry.request()).await.unwrap_err();
    assert_eq!(registry.asked().len(), 1, "it is not asked again at once");
    assert_eq!(error.retry_after(), Some(std::time::Duration::from_secs(17)));
    assert!(
        error
            .to_string()
            .contains("the registry limits requests (HTTP 429: TOOMANYREQUESTS: pull rate limit)")
    );
}

#[tokio::test]
async fn h87_what_is_no_tag_is_not_listed() {
    let registry = Registry::start().await;
    for tag in ["1.0.0", "1.0.0\nevil", "01.2.3", "1.2.3+b", "1.2.3_b", "\u{661}.0.0", &"a".repeat(129)] {
        registry.shelf().tags.insert(tag.to_owned());
    }
    assert_eq!(client().tags(&registry.request()).await.unwrap(), ["01.2.3", "1.0.0", "1.2.3_b"]);
}

#[tokio::test]
async fn f17_a_hundred_thousand_tags_are_listed_at_once_or_in_pages() {
    let registry = Registry::start().await;
    registry.shelf().tags.extend((0..100_000).map(|n| format!("1.0.{n}-build.{n:x}")));
    let client = client();
    for page in [0, 1000] {
        registry.shelf().page = page;
        assert_eq!(client.tags(&registry.request()).await.unwrap().len(), 100_000);
    }
}

#[tokio::test]
async fn f17_a_million_tags_are_refused_with_a_word_that_says_why() {
    let registry = Registry::start().await;
    registry.shelf().tags.extend((0..1_000_000).map(|n| format!("{n}")));
    let error = client().tags(&registry.request()).await.unwrap_err();
    assert_eq!(
        error,
        format!(
            "failed to list the tags of `{}/team/app`: the number of tags exceeds the limit of 500000",
            registry.host
        )
    );
}
