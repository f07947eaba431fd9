//! Pushes an image of a few bytes to any registry, as `docker push` would.

use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::json;

use super::store::digest_of;

/// Everything is small and near.
const TIMEOUT: Duration = Duration::from_secs(10);
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The manifest's digest.
    pub digest: String,
}

/// Pushes an image that is nothing but its tag to the registry at `url` (`http://127.0.0.1:5000`). Two tags are two
/// images.
///
/// # Errors
/// When the registry does not take it.
pub async fn push_image(url: &str, repository: &str, tag: &str) -> anyhow::Result<Pushed> {
    let client = reqwest::Client::builder().no_proxy().timeout(TIMEOUT).build()?;
    let base = format!("{}/v2/{repository}", url.trim_end_matches('/'));
    let layer = format!("{repository}:{tag}\n").into_bytes();
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": { "Labels": { "org.opencontainers.image.version": tag } },
        "rootfs": { "type": "layers", "diff_ids": [digest_of(&layer)] },
    });
    let config = config.to_string().into_bytes();
    for blob in [&layer, &config] {
        push_blob(&client, &base, blob)
            .await
            .with_context(|| format!("failed to push a blob to `{base}`"))?;
    }
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": config.len(),
            "digest": digest_of(&config),
        },
        "layers": [{
            "mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
            "size": layer.len(),
            "digest": digest_of(&layer),
        }],
    });
    let manifest = manifest.to_string().into_bytes();
    let digest = digest_of(&manifest);
    let address = format!("{base}/manifests/{tag}");
    let answer = client.put(&address).header("content-type", MANIFEST).body(manifest).send().await?;
    expect(answer, 201, &address).await?;
    Ok(Pushed { digest })
}

async fn push_blob(client: &reqwest::Client, base: &str, blob: &[u8]) -> anyhow::Result<()> {
    let begin = format!("{base}/blobs/uploads/");
    let answer = expect(client.post(&begin).send().await?, 202, &begin).await?;
    let location = answer
        .headers()
        .get("location")
        .and_then(|value| value.to_str().ok())
        .with_context(|| format!("`{begin}` says no place to upload to"))?;
    // A place may be relative, and have parameters of its own.
    let mut place = answer.url().join(location)?;
    place.query_pairs_mut().append_pair("digest", &digest_of(blob));
    let sent = client
        .put(place.clone())
        .header("content-type", "application/octet-stream")
        .body(blob.to_vec())
        .send()
        .await?;
    expect(sent, 201, place.as_str()).await?;
    Ok(())
}

async fn expect(answer: reqwest::Response, status: u16, address: &str) -> anyhow::Result<reqwest::Response> {
    if answer.status().as_u16() == status {
        return Ok(answer);
    }
    let (got, body) = (answer.status(), answer.text().await.unwrap_or_default());
    bail!("`{address}` answers {got}: {}", body.chars().take(300).collect::<String>())
}
