//! Hostile requests, by their numbers in the list of hostile inputs.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::world::key;
use super::*;

fn body() -> Vec<u8> {
    github_push("org/app", "refs/heads/main", &"2".repeat(40))
}

/// Replaces the signature of a signed push.
fn signed_as(signature: Option<(&'static str, &str)>) -> Vec<(&'static str, String)> {
    let mut headers = github("s3cret", "1", &body());
    headers.retain(|(name, _)| !name.contains("signature"));
    headers.extend(signature.map(|(name, value)| (name, value.to_owned())));
    headers
}

async fn status_of(world: &World, headers: &[(&str, String)]) -> u16 {
    world.send(post(&world.path("github"), headers, &body())).await.status
}

/// Each signature is 401 without a word, and leaves nothing behind.
async fn refused(signatures: &[Option<(&'static str, &str)>]) {
    let world = World::start().await;
    for signature in signatures {
        let headers = signed_as(*signature);
        let reply = world.send(post(&world.path("github"), &headers, &body())).await;
        assert_eq!((reply.status, reply.body.as_slice()), (401, &b""[..]), "{signature:?}");
    }
    assert_eq!(world.stored().await, 0);
    assert!(world.claim().await.is_empty());
    assert_eq!(world.state.rejections(&key("github")).len(), signatures.len());
    world.end().await;
}

const SHA256: &str = "x-hub-signature-256";

#[tokio::test]
async fn h1_no_signature_is_401() {
    refused(&[None, Some(("x-signature", "sha256=00")), Some(("authorization", "s3cret"))]).await;
}

#[tokio::test]
async fn h2_an_empty_signature_is_401() {
    refused(&[
        Some((SHA256, "sha256=")),
        Some((SHA256, "")),
        Some((SHA256, "=")),
        Some(("x-hub-signature", "sha1=")),
    ])
    .await;
}

#[tokio::test]
async fn h3_a_signature_that_is_no_hex_or_half_a_byte_is_401() {
    let short = format!("sha256={}", "0".repeat(62));
    let wrong = format!("sha256={}", "0".repeat(64));
    refused(&[
        Some((SHA256, "sha256=abc")),
        Some((SHA256, "sha256=zz")),
        Some((SHA256, "sha256=00")),
        Some((SHA256, &short)),
        Some((SHA256, &wrong)),
        Some((SHA256, "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")),
        Some(("x-hub-signature", "sha1=da39a3ee5e6b4b0d3255bfef95601890afd80709")),
    ])
    .await;
}

#[tokio::test]
async fn h5_a_hash_that_is_broken_or_unknown_is_401() {
    let correct = {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"s3cret").unwrap();
        mac.update(&body());
        hex::encode(mac.finalize().into_bytes())
    };
    let (renamed, upper) = (format!("md5={correct}"), format!("SHA256={correct}"));
    refused(&[
        Some((SHA256, "md5=d41d8cd98f00b204e9800998ecf8427e")),
        Some((SHA256, "sha3=00")),
        Some((SHA256, &renamed)),
        Some((SHA256, &upper)),
    ])
    .await;
}

#[tokio::test]
async fn h4_sha1_is_accepted_unless_it_is_switched_off() {
    let sha1 = {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = Hmac::<sha1::Sha1>::new_from_slice(b"s3cret").unwrap();
        mac.update(&body());
        format!("sha1={}", hex::encode(mac.finalize().into_bytes()))
    };
    let headers = signed_as(Some(("x-hub-signature", &sha1)));
    let world = World::start().await;
    assert_eq!(status_of(&world, &github("s3cret", "0", &body())).await, 200);
    assert_eq!(status_of(&world, &headers).await, 200);
    assert!(!world.state.is_first_sha1(&key("github")), "a warning was written, and is not written again");
    assert!(world.state.is_first_sha1(&key("rotating")), "of others there was none");
    world.end().await;
    let strict = ReceiverSettings { accept_sha1: false, ..ReceiverSettings::default() };
    let world = World::with(strict, ServeLimits::default()).await;
    assert_eq!(status_of(&world, &headers).await, 401);
    // A good old signature does not help beside a bad new one.
    let world_lenient = World::start().await;
    let mut both = headers.clone();
    both.push(("x-hub-signature-256", format!("sha256={}", "0".repeat(64))));
    assert_eq!(status_of(&world_lenient, &both).await, 401);
    world_lenient.end().await;
    world.end().await;
}

#[tokio::test]
async fn h6_during_rotation_every_token_is_good_at_every_path() {
    let world = World::start().await;
    let paths = world.state.readiness()[&key("rotating")].clone().unwrap();
    assert_eq!(paths.len(), 3);
    let mut n = 0;
    for path in &paths {
        for token in ["current", "coming", "going"] {
            n += 1;
            let headers = github(token, &n.to_string(), &body());
            assert_eq!(world.send(post(path, &headers, &body())).await.status, 200, "{token}");
        }
        assert_eq!(world.send(post(path, &github("other", "x", &body()), &body())).await.status, 401);
    }
    let matched: Vec<_> = world
        .state
        .counts()
        .into_iter()
        .filter(|count| count.outcome == Outcome::Accepted)
        .map(|count| (count.token, count.count))
        .collect();
    assert_eq!(matched, [(Some(Slot::Token), 3), (Some(Slot::Next), 3), (Some(Slot::Previous), 3)]);
    world.end().await;
}

#[tokio::test]
async fn h7_two_signatures_are_400() {
    let world = World::start().await;
    let mut headers = github("s3cret", "1", &body());
    let signature = headers.iter().find(|(name, _)| name.contains("signature")).cloned().unwrap();
    headers.push(signature);
    assert_eq!(status_of(&world, &headers).await, 400);
    let twice = [("authorization", "s3cret".to_owned()), ("authorization", "s3cret".to_owned())];
    assert_eq!(world.send(post(&world.path("harbor"), &twice, b"{}")).await.status, 400);
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn h8_a_body_changed_by_one_byte_is_401() {
    let world = World::start().await;
    let headers = github("s3cret", "1", &body());
    for at in [0, body().len() / 2, body().len() - 1] {
        let mut changed = body();
        changed[at] ^= 1;
        assert_eq!(world.send(post(&world.path("github"), &headers, &changed)).await.status, 401, "{at}");
    }
    assert_eq!(status_of(&world, &headers).await, 200);
    world.end().await;
}

#[tokio::test]
async fn h9_the_same_id_with_another_body_is_200_and_does_not_run() {
    let world = World::start().await;
    assert_eq!(status_of(&world, &github("s3cret", "1", &body())).await, 200);
    assert_eq!(world.claim().await.len(), 1);
    let other = github_push("org/app", "refs/heads/main", &"9".repeat(40));
    let reply = world.send(post(&world.path("github"), &github("s3cret", "1", &other), &other)).await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["duplicate"], true);
    assert_eq!(world.queue.facts().await.unwrap().pending, 0);
    assert_eq!(world.stored().await, 1);
    world.end().await;
}

#[tokio::test]
async fn h10_a_replay_after_73_hours_is_stored_and_resolves_the_head() {
    let world = World::start().await;
    let headers = github("s3cret", "1", &body());
    assert_eq!(status_of(&world, &headers).await, 200);
    world.clock.advance(Duration::from_secs(71 * 3600));
    assert_eq!(status_of(&world, &headers).await, 200);
    assert_eq!(world.stored().await, 1);
    world.clock.advance(Duration::from_secs(2 * 3600));
    assert_eq!(status_of(&world, &headers).await, 200);
    assert_eq!(world.stored().await, 2);
    world.end().await;
}

/// Pours chunks until the server has had enough; returns how much it took, and its answer.
async fn pour(world: &World, head: Vec<u8>) -> (usize, Reply) {
    let stream = TcpStream::connect(world.address).await.unwrap();
    let (mut read, mut write) = stream.into_split();
    let poured = tokio::spawn(async move {
        let chunk = [b"10000\r\n".as_slice(), &vec![b'x'; 0x10000], b"\r\n"].concat();
        let mut taken = 0;
        if write.write_all(&head).await.is_err() {
            return 0;
        }
        while taken < 10 << 30 && write.write_all(&chunk).await.is_ok() {
            taken += 0x10000;
        }
        taken
    });
    let mut answer = Vec::new();
    drop(read.read_to_end(&mut answer).await);
    let status = String::from_utf8_lossy(&answer).get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
    drop(read);
    (poured.await.unwrap(), Reply { status, head: String::new(), body: Vec::new() })
}

#[tokio::test]
async fn h11_a_chunked_body_without_end_is_413_at_the_limit() {
    let world = World::start().await;
    let headers = github("s3cret", "1", b"");
    let (taken, reply) = pour(&world, chunked(&world.path("github"), &headers)).await;
    assert!(matches!(reply.status, 413 | 0), "{}", reply.status);
    assert!(taken < 40 << 20, "{taken} bytes were taken");
    // One that says so beforehand is not even listened to.
    let mut large = github("s3cret", "1", b"");
    large.push(("content-length", (26_u64 << 20).to_string()));
    let request = String::from_utf8(chunked(&world.path("github"), &large)).unwrap();
    let request = request.replace("transfer-encoding: chunked\r\n", "");
    assert_eq!(world.send(request).await.status, 413);
    world.end().await;
}

#[tokio::test]
async fn s9_an_unsigned_body_without_end_is_not_read_at_all() {
    let world = World::start().await;
    let (taken, reply) = pour(&world, chunked(&world.path("github"), &[])).await;
    assert!(matches!(reply.status, 401 | 0), "{}", reply.status);
    assert!(taken < 12 << 20, "{taken} bytes were taken, more than sockets hold by themselves");
    world.end().await;
}

#[tokio::test]
async fn h12_lengths_that_lie_are_400() {
    let world = World::start().await;
    let path = world.path("generic");
    for length in ["-1", "+5", "5, 6", "0x5", "99999999999999999999999999"] {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\nhello");
        assert_eq!(world.send(request).await.status, 400, "{length}");
    }
    let request =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!");
    assert_eq!(world.send(request).await.status, 400);
    // Less than was promised.
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\nhello");
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert!(matches!(Reply::read(&mut stream).await.status, 400 | 0));
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn h12_a_length_beside_chunks_is_400_and_hides_no_second_request() {
    let world = World::start().await;
    let path = world.path("generic");
    // Who believes the length sees a second request in the body; who believes the chunks does not.
    let hidden = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nhidden");
    let chunks = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    let (length, encoding) = ("content-length: 4\r\n", "transfer-encoding: chunked\r\n");
    for head in
        [format!("{length}{encoding}"), format!("{encoding}{length}"), format!("{encoding}x: y\r\n{length}")]
    {
        let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{head}\r\n{chunks}");
        let mut stream = TcpStream::connect(world.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answers = String::new();
        drop(stream.read_to_string(&mut answers).await);
        assert!(answers.starts_with("HTTP/1.1 400 "), "{head}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "the connection is over: {answers}");
    }
    assert_eq!(world.stored().await, 0);
    // Chunks alone are fine, and are the last that is read from a connection.
    let request = format!("POST {path} HTTP/1.1\r\nhost: x\r\n{encoding}\r\n{chunks}");
    let reply = world.send(&request).await;
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("connection: close"), "{}", reply.head);
    assert_eq!(world.stored().await, 1);
    world.end().await;
}

#[tokio::test]
async fn h13_a_compressed_body_is_415() {
    let world = World::start().await;
    let mut headers = github("s3cret", "1", &body());
    headers.push(("content-encoding", "gzip".to_owned()));
    assert_eq!(status_of(&world, &headers).await, 415);
    headers.pop();
    headers.push(("content-encoding", "identity".to_owned()));
    assert_eq!(status_of(&world, &headers).await, 200);
    let mut text = github("s3cret", "2", &body());
    text.retain(|(name, _)| *name != "content-type");
    text.push(("content-type", "text/xml".to_owned()));
    assert_eq!(status_of(&world, &text).await, 415);
    world.end().await;
}

#[tokio::test]
async fn h14_a_head_of_300_kib_is_431() {
    let world = World::start().await;
    let mut headers = github("s3cret", "1", &body());
    headers.push(("x-padding", "x".repeat(300 << 10)));
    assert_eq!(status_of(&world, &headers).await, 431);
    headers.pop();
    headers.push(("x-padding", "x".repeat(200 << 10)));
    assert_eq!(status_of(&world, &headers).await, 200);
    let many: Vec<(&str, String)> = (0..200).map(|_| ("x-many", "x".to_owned())).collect();
    assert_eq!(status_of(&world, &many).await, 431);
    world.end().await;
}

#[tokio::test]
async fn h15_a_slow_body_is_408_and_a_slow_head_is_closed() {
    let quick = ReceiverSettings { body_timeout: Duration::from_millis(300), ..ReceiverSettings::default() };
    let limits = ServeLimits { header_timeout: Duration::from_millis(300), ..ServeLimits::default() };
    let world = World::with(quick, limits).await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let request = post(&world.path("generic"), &[], b"0123456789");
    stream.write_all(&request[..request.len() - 3]).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 408);
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(b"POST /hook/x HTTP/1.1\r\nhost: x\r\nx-slow: ").await.unwrap();
    assert!(matches!(Reply::read(&mut stream).await.status, 0 | 408));
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn h16_a_form_needs_a_payload() {
    let world = World::start().await;
    let form = |body: &[u8]| {
        let mut headers = github("s3cret", "1", body);
        headers.retain(|(name, _)| *name != "content-type");
        headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
        post(&world.path("github"), &headers, body)
    };
    assert_eq!(world.send(form(b"other=1")).await.status, 400);
    assert_eq!(world.send(form(b"payload=%7B")).await.status, 400);
    let encoded: String = url::form_urlencoded::byte_serialize(&body()).collect();
    assert_eq!(world.send(form(format!("payload={encoded}").as_bytes())).await.status, 200);
    assert_eq!(world.woken().await.0, "GitRepository/app");
    world.end().await;
}

/// Each body is 400, signed or not, and nothing is stored.
async fn malformed(bodies: &[&[u8]]) {
    let world = World::start().await;
    for (n, body) in bodies.iter().enumerate() {
        let headers = github("s3cret", &n.to_string(), body);
        assert_eq!(world.send(post(&world.path("github"), &headers, body)).await.status, 400, "body {n}");
    }
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn h17_json_of_a_million_levels_is_400() {
    let nested = |open: &str, close: &str| {
        format!(r#"{{"ref":"refs/heads/main","x":{}1{}}}"#, open.repeat(1_000_000), close.repeat(1_000_000))
    };
    malformed(&[
        nested("[", "]").as_bytes(),
        nested("{\"a\":", "}").as_bytes(),
        "[".repeat(1_000_000).as_bytes(),
    ])
    .await;
}

#[tokio::test]
async fn h19_a_key_given_twice_is_400() {
    malformed(&[
        br#"{"ref":"refs/heads/main","ref":"refs/heads/other"}"#,
        br#"{"ref":"refs/heads/main","\u0072ef":"refs/heads/other"}"#,
        br#"{"ref":"refs/heads/main","repository":{},"repository":{"clone_url":"https://github.com/org/app"}}"#,
    ])
    .await;
}

#[tokio::test]
async fn h20_text_that_is_no_unicode_and_refs_with_control_characters_are_400() {
    malformed(&[
        b"{\"ref\":\"refs/heads/\xff\"}",
        b"{\"ref\":\"refs/heads/\xed\xa0\x80\"}",
        br#"{"ref":"refs/heads/\ud800"}"#,
        br#"{"ref":"refs/heads/\udc00\ud800"}"#,
        br#"{"ref":"refs/heads/main\u0000"}"#,
        b"{\"ref\":\"refs/heads/main\x00\"}",
        br#"{"ref":"refs/heads/ma\nin"}"#,
    ])
    .await;
}

#[tokio::test]
async fn what_is_no_json_or_not_of_the_types_a_forge_uses_is_400() {
    let commit = "1".repeat(40);
    malformed(&[
        br#"{"ref":7}"#,
        br#"{"ref":"#,
        b"",
        b"7",
        format!(r#"{{"after":"{commit}"}} {{}}"#).as_bytes(),
    ])
    .await;
}

#[tokio::test]
async fn h21_h22_strange_refs_and_look_alike_repositories_match_nothing() {
    let world = World::start().await;
    let long = format!("refs/heads/{}", "a".repeat(64 << 10));
    let refs = [
        "refs/heads/../../main",
        "-upload-pack=id",
        "refs/heads/main/",
        "refs/heads/MAIN",
        "main",
        "",
        &long,
    ];
    let repositories = [
        "org/app\u{200b}",
        "org/app/",
        "evil/org/app",
        "../org/app",
        "org%2fapp",
        "org/app?x=",
        "org/app#",
        "оrg/app",
    ];
    let mut n = 0;
    let mut try_one = async |repository: &str, git_ref: &str| {
        n += 1;
        let body = github_push(repository, git_ref, &"2".repeat(40));
        let reply =
            world.send(post(&world.path("github"), &github("s3cret", &n.to_string(), &body), &body)).await;
        assert_eq!(reply.status, 200, "{repository} {git_ref}");
        reply.json()["jobs"].as_u64().unwrap()
    };
    for git_ref in refs {
        if !git_ref.is_empty() {
            assert_eq!(try_one("org/app", git_ref).await, 0, "{git_ref}");
        }
    }
    for repository in repositories {
        let jobs = try_one(repository, "refs/heads/main").await;
        let same = matches!(repository, "org/app/" | "org/app?x=" | "org/app#");
        assert!(jobs == 0 || same, "{repository}");
    }
    world.end().await;
}

#[tokio::test]
async fn h23_only_the_exact_path_is_served() {
    let world = World::start().await;
    let path = world.path("generic");
    let encoded = path.replacen("/hook/", "/%68ook/", 1);
    for other in [
        format!("/{path}"),
        path.replacen("/hook", "//hook", 1),
        path.to_uppercase(),
        path.replacen("hook", "Hook", 1),
        format!("{path}/"),
        format!("{path}?"),
        format!("{path}?x=1"),
        format!("/hook/%2e%2e{path}"),
        format!("/x/..{path}"),
        encoded,
        path[..path.len() - 1].to_owned(),
        "/hook/".to_owned(),
        "/".to_owned(),
        "/metrics".to_owned(),
        "*".to_owned(),
    ] {
        let reply = world.send(post(&other, &[], b"{}")).await;
        assert!(matches!(reply.status, 404 | 400), "{other} {}", reply.status);
        assert!(reply.body.is_empty());
    }
    assert_eq!(world.stored().await, 0);
    assert_eq!(world.send(post(&path, &[], b"{}")).await.status, 200);
    world.end().await;
}

#[tokio::test]
async fn h24_other_methods_are_405() {
    let world = World::start().await;
    for method in ["GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"] {
        let request = post(&world.path("generic"), &[], b"{}");
        let request = String::from_utf8(request).unwrap().replacen("POST", method, 1);
        let reply = world.send(request).await;
        assert_eq!(reply.status, 405, "{method}");
        assert!(reply.head.contains("allow: post"), "{}", reply.head);
    }
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

async fn with_token(token: &str) -> World {
    let world = World::start().await;
    let manifests = MANIFESTS.replace(r#"{token: "s3cret"}"#, &format!("{{token: {token:?}}}"));
    assert!(world.objects.put_manifests("world.yaml", &manifests).await.is_empty());
    world
}

#[tokio::test]
async fn h27_a_newline_at_the_end_of_a_token_is_part_of_it_as_in_flux() {
    let world = with_token("s3cret\n").await;
    assert_eq!(world.path("github"), hook_path(b"s3cret\n", "github", "flux-system"));
    assert_eq!(status_of(&world, &github("s3cret", "1", &body())).await, 401);
    assert_eq!(status_of(&world, &github("s3cret\n", "2", &body())).await, 200);
    world.end().await;
}

#[tokio::test]
async fn h28_an_empty_or_missing_token_makes_the_receiver_not_ready() {
    let world = with_token("").await;
    let problem = world.state.readiness()[&key("github")].clone().unwrap_err();
    assert_eq!(problem.reason(), "TokenNotFound");
    assert!(problem.to_string().contains("is empty"), "{problem}");
    let path = hook_path(b"", "github", "flux-system");
    assert_eq!(world.send(post(&path, &github("", "1", &body()), &body())).await.status, 404);
    let manifests = MANIFESTS.replace(r#"{token: "s3cret"}"#, "{other: x}");
    world.objects.put_manifests("world.yaml", &manifests).await;
    let problem = world.state.readiness()[&key("github")].clone().unwrap_err();
    assert!(problem.to_string().contains("it has no key `token`"), "{problem}");
    world.end().await;
}

#[tokio::test]
async fn h28_a_signing_token_without_a_key_signs_nothing() {
    use base64::Engine as _;
    use hmac::{Hmac, KeyInit, Mac};
    let world = World::start().await;
    let manifests = MANIFESTS.replace("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_");
    assert!(world.objects.put_manifests("world.yaml", &manifests).await.is_empty());
    let at = world.clock.now().as_second();
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(b"").unwrap();
    mac.update(format!("1.{at}.").as_bytes());
    mac.update(&body());
    let signature = base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
    let headers = [
        ("webhook-id", "1".to_owned()),
        ("webhook-timestamp", at.to_string()),
        ("webhook-signature", format!("v1,{signature}")),
    ];
    assert_eq!(world.send(post(&world.path("signing"), &headers, &body())).await.status, 401);
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn h29_two_receivers_with_the_same_path_are_both_not_ready() {
    let world = World::start().await;
    // `s3cret` + `generic` + … is `s3cretg` + `eneric` + ….
    let twin = r#"
apiVersion: v1
kind: Secret
metadata: {name: twin, namespace: flux-system}
stringData: {token: s3cretg}
---
apiVersion: notification.toolkit.fluxcd.io/v1
kind: Receiver
metadata: {name: eneric, namespace: flux-system}
spec: {type: generic, secretRef: {name: twin}, resources: [{kind: GitRepository, name: app}]}
"#;
    let path = world.path("generic");
    assert_eq!(world.send(post(&path, &[], b"1")).await.status, 200);
    world.objects.put_manifests("twin.yaml", twin).await;
    assert_eq!(world.send(post(&path, &[], b"2")).await.status, 503);
    let readiness = world.state.readiness();
    for (one, other) in [("generic", "eneric"), ("eneric", "generic")] {
        let problem = readiness[&key(one)].clone().unwrap_err();
        assert!(problem.to_string().contains(&format!("`{}`", key(other))), "{problem}");
    }
    world.objects.put_manifests("twin.yaml", "").await;
    assert_eq!(world.stored().await, 1);
    world.end().await;
}

#[tokio::test]
async fn h30_escapes_in_an_event_name_are_escaped_wherever_they_go() {
    let world = World::start().await;
    // hyper lets no control byte but a tab through in a header; the harmful ones that are left are in UTF-8.
    let mut headers = github("s3cret", "1\t2", &body());
    headers[0].1 = "pu\tsh\u{202e}".to_owned();
    assert_eq!(status_of(&world, &headers).await, 200);
    let kept = world.queue.list_deliveries(&DeliveryFilter::default(), 1).await.unwrap().remove(0);
    assert!(!kept.event.contains(['\t', '\u{202e}']), "{:?}", kept.event);
    assert_eq!(kept.sender_id.as_deref(), Some("1\\t2"));
    headers.retain(|(name, _)| !name.contains("signature"));
    assert_eq!(status_of(&world, &headers).await, 401);
    let rejection = world.state.rejections(&key("github")).remove(0);
    assert!(!rejection.event.contains('\t') && !rejection.sender_id.contains('\t'), "{rejection:?}");
    let mut escape = post(&world.path("github"), &[("x-github-event", "\u{1b}[31m".to_owned())], b"{}");
    assert!(matches!(world.send(std::mem::take(&mut escape)).await.status, 400 | 401));
    world.end().await;
}

#[tokio::test]
async fn h31_a_made_up_forwarded_address_is_not_believed() {
    let world = World::start().await;
    let headers = [("x-forwarded-for", "1.2.3.4".to_owned())];
    assert_eq!(status_of(&world, &headers).await, 401);
    let rejection = world.state.rejections(&key("github")).remove(0);
    assert_eq!(rejection.address, Some("127.0.0.1".parse().unwrap()));
    world.end().await;
    let proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let world = World::with(
        ReceiverSettings { trusted_proxies: proxies, ..ReceiverSettings::default() },
        ServeLimits::default(),
    )
    .await;
    assert_eq!(status_of(&world, &headers).await, 401);
    let rejection = world.state.rejections(&key("github")).remove(0);
    assert_eq!(rejection.address, Some("1.2.3.4".parse().unwrap()));
    world.end().await;
}

#[tokio::test]
async fn h32_http2_is_not_spoken() {
    let world = World::start().await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
    assert!(matches!(world.send(preface).await.status, 0 | 400 | 505));
    world.end().await;
}

#[tokio::test]
async fn l5_failed_proofs_run_into_a_limit_that_good_ones_do_not_feel() {
    let world = World::start().await;
    let mut statuses = std::collections::BTreeMap::new();
    for _ in 0..150 {
        *statuses.entry(status_of(&world, &signed_as(None)).await).or_insert(0) += 1;
    }
    assert_eq!(statuses, [(401, 20), (429, 130)].into());
    assert_eq!(status_of(&world, &github("s3cret", "1", &body())).await, 200, "from the same address");
    let refused = world.state.counts().into_iter().find(|count| count.outcome == Outcome::Refused).unwrap();
    assert_eq!(refused.count, 150);
    for n in 0..200_u64 {
        world.clock.advance(Duration::from_secs(1));
        status_of(&world, &signed_as(Some(("x-hub-signature-256", &format!("bad{n}"))))).await;
    }
    assert_eq!(world.state.rejections(&key("github")).len(), 100, "the last hundred are kept");
    assert_eq!(world.stored().await, 1);
    world.end().await;
}

#[tokio::test]
async fn bodies_share_one_budget_of_memory_and_beyond_it_senders_are_told_to_wait() {
    let settings = ReceiverSettings { memory: 1 << 20, ..ReceiverSettings::default() };
    let world = World::with(settings, ServeLimits::default()).await;
    let large = vec![b'x'; 900 << 10];
    let request = post(&world.path("generic"), &[], &large);
    // One that stops just before its end holds its share …
    let mut first = TcpStream::connect(world.address).await.unwrap();
    first.write_all(&request[..request.len() - 1]).await.unwrap();
    let reply = loop {
        let reply = world.send(&request).await;
        if reply.status != 200 {
            break reply;
        }
        // … as soon as the server has read it.
        world.clock.advance(Duration::from_secs(61));
    };
    assert_eq!(reply.status, 503);
    assert!(reply.head.contains("retry-after: "), "{}", reply.head);
    first.write_all(&request[request.len() - 1..]).await.unwrap();
    assert_eq!(Reply::read(&mut first).await.status, 200);
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(world.send(&request).await.status, 200, "the share came back");
    world.end().await;
}

#[tokio::test]
async fn a_test_ping_of_bitbucket_data_center_comes_unsigned_and_is_believed_nothing() {
    let world = World::start().await;
    let ping = [("x-event-key", "diagnostics:ping".to_owned())];
    assert_eq!(world.send(post(&world.path("bitbucket"), &ping, br#"{"test":true}"#)).await.status, 200);
    let unsigned = [("x-event-key", "repo:refs_changed".to_owned())];
    assert_eq!(world.send(post(&world.path("bitbucket"), &unsigned, b"{}")).await.status, 401);
    assert_eq!(world.stored().await, 0);
    world.end().await;
}

#[tokio::test]
async fn a_shutdown_finishes_the_request_under_way() {
    let world = World::start().await;
    let request = post(&world.path("generic"), &[], b"0123456789");
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    stream.write_all(&request[..request.len() - 3]).await.unwrap();
    // The server has the head once a second connection, accepted later, is answered.
    assert_eq!(world.send(post("/nothing", &[], b"")).await.status, 404);
    let address = world.address;
    let ending = tokio::spawn(world.end());
    stream.write_all(&request[request.len() - 3..]).await.unwrap();
    assert_eq!(Reply::read(&mut stream).await.status, 200);
    ending.await.unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "nothing new is accepted");
}
