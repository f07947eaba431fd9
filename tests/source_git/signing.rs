//! Signatures, made here and checked by the real gpg, ssh-keygen and git; made by them and checked here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use secrecy::SecretString;
use sluice::demo::repository::Change::Write;
use sluice::model::Timestamp;
use sluice::source::{
    CommitSigner, Expected, GitCheckout, GitIdentity, GitPush, GitReference, GitRequest, NewCommit,
    RefUpdate, SigningKeyError, TrustedKeys, VerifyError, VerifyMode,
};

use crate::world::*;

/// Keys of a real gpg, in a home of their own.
struct Gpg {
    home: tempfile::TempDir,
}

impl Drop for Gpg {
    fn drop(&mut self) {
        // the agent of this home ends with it
        drop(Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", self.home.path()).output());
    }
}

impl Gpg {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        use std::os::unix::fs::PermissionsExt as _;
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Self { home }
    }

    fn try_run(&self, arguments: &[&str]) -> Result<String, String> {
        let output = Command::new("gpg")
            .args(["--batch", "--yes", "--quiet", "--no-tty", "--pinentry-mode", "loopback"])
            .args(arguments)
            .env("GNUPGHOME", self.home.path())
            .output()
            .unwrap();
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.try_run(arguments).unwrap_or_else(|error| panic!("gpg {arguments:?}: {error}"))
    }

    /// A new key; its fingerprint.
    fn key(&self, user: &str, kind: &str, usage: &str, end: &str, passphrase: &str) -> String {
        self.run(&["--passphrase", passphrase, "--quick-gen-key", user, kind, usage, end]);
        self.fingerprint(user)
    }

    fn fingerprint(&self, user: &str) -> String {
        let listed = self.run(&["--with-colons", "--list-keys", user]);
        let line = listed.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.split(':').nth(9).unwrap().to_owned()
    }

    fn public(&self, user: &str) -> Vec<u8> {
        self.run(&["--armor", "--export", user]).into_bytes()
    }

    fn secret(&self, user: &str, passphrase: &str) -> Vec<u8> {
        self.run(&["--passphrase", passphrase, "--armor", "--export-secret-keys", user]).into_bytes()
    }

    /// git in `directory`, signing with these keys.
    fn git(&self, directory: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args([
                "-c",
                "user.name=Dev",
                "-c",
                "user.email=dev@example.com",
                "-c",
                "init.defaultBranch=main",
            ])
            .args(arguments)
            .current_dir(directory)
            .env("GNUPGHOME", self.home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn ssh_key(directory: &Path, name: &str, arguments: &[&str]) -> (String, String) {
    let output = Command::new("ssh-keygen")
        .args(["-q", "-C", name, "-f"])
        .arg(directory.join(name))
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap();
    (read(name), read(&format!("{name}.pub")))
}

/// A working copy of the world's repository for the real git.
fn working_copy(world: &World) -> PathBuf {
    let place = world.directory.path().join("work");
    if !place.exists() {
        git(world.directory.path(), &["clone", "-q", world.repository.path().to_str().unwrap(), "work"]);
    }
    place
}

fn keys(entries: &[(&str, &[u8])]) -> TrustedKeys {
    TrustedKeys::new(entries.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())))
}

fn signed(signer: CommitSigner, number: usize) -> NewCommit {
    NewCommit {
        changes: BTreeMap::from([("a".to_owned(), format!("{number}\n").into_bytes())]),
        author: GitIdentity { name: "Flux".into(), email: "flux@example.com".into() },
        time: Timestamp::now(),
        message: format!("Set a to {number}\n\nwith a body\n"),
        signing: Some(signer),
    }
}

async fn pushed(world: &World, base: &GitCheckout, commit: NewCommit) -> GitCheckout {
    let made = world.sources.commit(base, commit).await.unwrap_or_else(|error| panic!("{error}"));
    let push = GitPush {
        commit: made.commit.clone(),
        updates: vec![RefUpdate {
            reference: "refs/heads/main".into(),
            expected: Expected::At(base.commit.clone()),
            force: false,
        }],
        options: Vec::new(),
    };
    world.sources.push(&world.request(), &push).await.unwrap();
    made
}

#[tokio::test]
async fn commits_signed_with_openpgp_keys_are_verified_by_git_and_gpg() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let mut base = world.fetch(&world.request()).await;
    let gpg = Gpg::new();
    let kinds = [("ed25519", "plain@x", ""), ("rsa2048", "rsa@x", "open sesame"), ("nistp256", "p256@x", "")];
    for (number, (kind, user, passphrase)) in kinds.into_iter().enumerate() {
        gpg.key(user, kind, "sign", "never", passphrase);
        let secret = gpg.secret(user, passphrase);
        let phrase = SecretString::from(passphrase);
        let signer = CommitSigner::openpgp(&secret, Some(&phrase), Timestamp::now())
            .unwrap_or_else(|error| panic!("{kind}: {error}"));
        assert!(format!("{signer:?}").len() < 60, "{signer:?}");
        base = pushed(&world, &base, signed(signer, number + 1)).await;
        let raw = git(world.repository.path(), &["cat-file", "commit", "main"]);
        assert!(raw.contains("\ngpgsig -----BEGIN PGP SIGNATURE-----\n"), "{raw}");
        gpg.git(world.repository.path(), &["verify-commit", "main"]);
        let ring = keys(&[("team.asc", &gpg.public(user))]);
        let said = base.verify(VerifyMode::Head, ring, Timestamp::now()).await.unwrap();
        let id = &gpg.fingerprint(user)[24..];
        assert_eq!(said, format!("verified signature of\n\t- commit '{}' with key '{id}'", base.commit));
        if !passphrase.is_empty() {
            let locked = CommitSigner::openpgp(&secret, None, Timestamp::now()).unwrap_err();
            assert_eq!(locked, SigningKeyError::Locked);
            let canary = SecretString::from("canary");
            let wrong = CommitSigner::openpgp(&secret, Some(&canary), Timestamp::now()).unwrap_err();
            assert_eq!(wrong, SigningKeyError::WrongPassphrase);
        }
    }
    git(world.repository.path(), &["fsck", "--strict"]);
}

#[tokio::test]
async fn the_subkey_that_may_sign_signs_also_without_the_primary_keys_private_part() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let base = world.fetch(&world.request()).await;
    let gpg = Gpg::new();
    let print = gpg.key("sub@x", "ed25519", "cert", "never", "");
    let certifies = CommitSigner::openpgp(&gpg.secret("sub@x", ""), None, Timestamp::now()).unwrap_err();
    assert!(matches!(certifies, SigningKeyError::Unusable(_)), "{certifies}");
    gpg.run(&["--passphrase", "", "--quick-add-key", &print, "cv25519", "encr", "never"]);
    gpg.run(&["--passphrase", "", "--quick-add-key", &print, "ed25519", "sign", "never"]);
    let stub = gpg.run(&["--passphrase", "", "--armor", "--export-secret-subkeys", "sub@x"]);
    let whole = gpg.secret("sub@x", "");
    let mut base = base;
    for (number, secret) in [whole.as_slice(), stub.as_bytes()].into_iter().enumerate() {
        let signer = CommitSigner::openpgp(secret, None, Timestamp::now())
            .unwrap_or_else(|error| panic!("{number}: {error}"));
        base = pushed(&world, &base, signed(signer, number + 1)).await;
        gpg.git(world.repository.path(), &["verify-commit", "main"]);
        let ring = keys(&[("team.asc", &gpg.public("sub@x"))]);
        let said = base.verify(VerifyMode::Head, ring, Timestamp::now()).await.unwrap();
        assert!(said.ends_with(&format!("with key '{}'", &print[24..])), "the primary key is named: {said}");
    }
    let both = [gpg.secret("sub@x", ""), Vec::new()].concat();
    gpg.key("other@x", "ed25519", "sign", "never", "");
    let several = gpg.run(&["--passphrase", "", "--armor", "--export-secret-keys"]);
    assert_eq!(
        CommitSigner::openpgp(several.as_bytes(), None, Timestamp::now()).unwrap_err(),
        SigningKeyError::Several(2)
    );
    for nothing in [b"".as_slice(), b"hello", &gpg.public("sub@x"), &both[..both.len() / 2]] {
        let refused = CommitSigner::openpgp(nothing, None, Timestamp::now()).unwrap_err();
        assert!(matches!(refused, SigningKeyError::Unreadable(_)), "{refused}");
    }
}

#[tokio::test]
async fn commits_signed_with_ssh_keys_are_verified_by_git_and_ssh_keygen() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let mut base = world.fetch(&world.request()).await;
    let directory = tempfile::tempdir().unwrap();
    let kinds: [(&str, &[&str], &str); 4] = [
        ("ed", &["-t", "ed25519"], ""),
        ("locked", &["-t", "ed25519"], "open sesame"),
        ("rsa", &["-t", "rsa", "-b", "2048"], ""),
        ("ec", &["-t", "ecdsa", "-b", "384"], ""),
    ];
    let mut trusted = String::from("# the team\n\n");
    for (number, (name, arguments, password)) in kinds.into_iter().enumerate() {
        let (secret, public) = ssh_key(directory.path(), name, &[arguments, &["-N", password]].concat());
        let phrase = SecretString::from(password);
        let signer = CommitSigner::ssh(secret.as_bytes(), Some(&phrase))
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        base = pushed(&world, &base, signed(signer, number + 1)).await;
        let allowed = directory.path().join("allowed");
        std::fs::write(&allowed, format!("flux@example.com {public}")).unwrap();
        let setting = format!("gpg.ssh.allowedSignersFile={}", allowed.display());
        git(world.repository.path(), &["-c", "gpg.format=ssh", "-c", &setting, "verify-commit", "main"]);
        trusted.push_str(&public);
        let ring = keys(&[("team.sshpub", trusted.as_bytes()), ("x.asc", b"not a key")]);
        let said = base.verify(VerifyMode::Head, ring, Timestamp::now()).await.unwrap();
        let listed =
            Command::new("ssh-keygen").args(["-l", "-f"]).arg(directory.path().join(name)).output().unwrap();
        let print = String::from_utf8(listed.stdout).unwrap().split(' ').nth(1).unwrap().to_owned();
        assert_eq!(said, format!("verified signature of\n\t- commit '{}' with key '{print}'", base.commit));
        if !password.is_empty() {
            assert_eq!(CommitSigner::ssh(secret.as_bytes(), None).unwrap_err(), SigningKeyError::Locked);
            let canary = SecretString::from("canary");
            let wrong = CommitSigner::ssh(secret.as_bytes(), Some(&canary)).unwrap_err();
            assert_eq!(wrong, SigningKeyError::WrongPassphrase);
        }
    }
    let (weak, _) = ssh_key(directory.path(), "weak", &["-t", "rsa", "-b", "1024", "-N", ""]);
    assert!(matches!(CommitSigner::ssh(weak.as_bytes(), None), Err(SigningKeyError::Unusable(_))));
    assert!(matches!(CommitSigner::ssh(b"hello", None), Err(SigningKeyError::Unreadable(_))));
}

/// Why a verification failed.
async fn refused(checkout: &GitCheckout, mode: VerifyMode, keys: TrustedKeys, now: Timestamp) -> VerifyError {
    checkout.verify(mode, keys, now).await.err().unwrap_or_else(|| panic!("it was verified"))
}

fn later(duration: Duration) -> Timestamp {
    Timestamp::now().checked_add(duration).unwrap()
}

#[tokio::test]
async fn h81_commits_of_unknown_expired_and_revoked_keys_are_refused() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let gpg = Gpg::new();
    let print = gpg.key("dev@example.com", "ed25519", "sign", "7d", "");
    let other = gpg.key("other@example.com", "ed25519", "sign", "never", "");
    let work = working_copy(&world);
    gpg.git(
        &work,
        &["-c", &format!("user.signingKey={print}"), "commit", "-q", "-S", "--allow-empty", "-m", "signed"],
    );
    gpg.git(&work, &["push", "-q"]);
    let checkout = world.fetch(&world.request()).await;
    let good = gpg.public("dev@example.com");
    let ring = || keys(&[("team.asc", &good)]);
    let literal = format!(
        "signature verification of commit '{}' failed: unable to verify payload with any of the given key rings: no matching key",
        checkout.commit
    );
    let now = Timestamp::now;
    let head = VerifyMode::Head;
    let id = &print[24..];
    let said = checkout.verify(head, ring(), now()).await.unwrap();
    assert!(said.ends_with(&format!("with key '{id}'")), "{said}");
    // whatever the entry is called, it is a ring; one unreadable ring does not spoil the others
    let several = keys(&[("a", b"garbage"), ("b", &gpg.public("other@example.com")), ("c", &good)]);
    checkout.verify(head, several, now()).await.unwrap();

    let unknown =
        refused(&checkout, head, keys(&[("team.asc", &gpg.public("other@example.com"))]), now()).await;
    assert_eq!((unknown.to_string(), unknown.reason()), (literal.clone(), "InvalidCommitSignature"));
    assert!(unknown.is_retryable());
    let expired = refused(&checkout, head, ring(), later(8 * DAY)).await.to_string();
    assert_eq!(expired, format!("{literal}\nhint: key `{id}`: it has expired"));
    let early = now().checked_sub(DAY).unwrap();
    refused(&checkout, head, ring(), early).await;
    // a longer life for the key is a longer life for its signatures
    gpg.run(&["--quick-set-expire", &print, "30d"]);
    checkout
        .verify(head, keys(&[("team.asc", &gpg.public("dev@example.com"))]), later(8 * DAY))
        .await
        .unwrap();

    // the user takes the key back
    let certificate = gpg.home.path().join(format!("openpgp-revocs.d/{print}.rev"));
    let text = std::fs::read_to_string(&certificate).unwrap().replace(":-----BEGIN", "-----BEGIN");
    std::fs::write(&certificate, text).unwrap();
    gpg.run(&["--import", certificate.to_str().unwrap()]);
    let revoked = keys(&[("team.asc", &gpg.public("dev@example.com"))]);
    let revoked = refused(&checkout, head, revoked, now()).await.to_string();
    assert_eq!(revoked, format!("{literal}\nhint: key `{id}`: it is revoked"));
    // nobody else's revocation counts
    assert!(other != print);

    let none = refused(&checkout, head, TrustedKeys::default(), now()).await;
    assert!(none.to_string().ends_with(
        "failed: PGP signature detected but no PGP public keys found in secret (keys with .asc suffix)"
    ));
    let unsigned = world.repository.commit("main", &[Write("a", b"1")], "unsigned").unwrap();
    let checkout = world.fetch(&world.request()).await;
    let missing = refused(&checkout, head, ring(), now()).await;
    assert_eq!(
        missing.to_string(),
        format!("signature verification of commit '{unsigned}' failed: unsupported signature type: empty")
    );
}

#[tokio::test]
async fn h81_a_revoked_or_expired_subkey_and_an_adopted_one_are_refused() {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let gpg = Gpg::new();
    let print = gpg.key("dev@example.com", "ed25519", "cert", "never", "");
    gpg.run(&["--passphrase", "", "--quick-add-key", &print, "ed25519", "sign", "7d"]);
    let work = working_copy(&world);
    gpg.git(
        &work,
        &["-c", &format!("user.signingKey={print}"), "commit", "-q", "-S", "--allow-empty", "-m", "signed"],
    );
    gpg.git(&work, &["push", "-q"]);
    let checkout = world.fetch(&world.request()).await;
    let ring = || keys(&[("team.asc", &gpg.public("dev@example.com"))]);
    let head = VerifyMode::Head;
    checkout.verify(head, ring(), Timestamp::now()).await.unwrap();
    let expired = refused(&checkout, head, ring(), later(8 * DAY)).await.to_string();
    assert!(expired.ends_with("it has expired"), "{expired}");
    // `revkey` has no quick form: the menu is answered from a file
    let answers = gpg.home.path().join("answers");
    std::fs::write(&answers, "key 1\nrevkey\ny\n1\n\ny\nsave\n").unwrap();
    let answers = std::fs::File::open(&answers).unwrap();
    let output = Command::new("gpg")
        .args([
            "--no-tty",
            "--command-fd",
            "0",
            "--pinentry-mode",
            "loopback",
            "--passphrase",
            "",
            "--edit-key",
            &print,
        ])
        .env("GNUPGHOME", gpg.home.path())
        .stdin(answers)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let revoked = refused(&checkout, head, ring(), Timestamp::now()).await.to_string();
    assert!(revoked.ends_with("it is revoked"), "{revoked}");
}

#[tokio::test]
async fn h81_tampered_commits_and_signatures_of_other_things_are_refused() {
    let world = world().await;
    world.repository.commit("main", &[Write("a", b"0")], "zero").unwrap();
    let gpg = Gpg::new();
    let print = gpg.key("dev@example.com", "ed25519", "sign", "never", "");
    let work = working_copy(&world);
    gpg.git(
        &work,
        &["-c", &format!("user.signingKey={print}"), "commit", "-q", "-S", "--allow-empty", "-m", "signed"],
    );
    let raw = gpg.git(&work, &["cat-file", "commit", "HEAD"]);
    let ring = || keys(&[("team.asc", &gpg.public("dev@example.com"))]);
    let head = VerifyMode::Head;
    let variants = [
        ("message", raw.replace("\n\nsigned", "\n\nevil")),
        ("author", raw.replacen("author Dev", "author Eve", 1)),
        ("header", raw.replacen("\ngpgsig", "\nx-evil 1\ngpgsig", 1)),
        ("armor", raw.replacen("BEGIN PGP SIGNATURE", "BEGIN PGP MESSAGE", 1)),
        (
            "cut",
            raw.lines()
                .filter(|line| !line.starts_with(" ="))
                .collect::<Vec<_>>()
                .join("\n")
                .replacen("\n iH", "\n ii", 1),
        ),
    ];
    for (what, text) in variants {
        assert_ne!(text, raw, "{what}");
        let file = work.join("object");
        std::fs::write(&file, text).unwrap();
        let id = git(&work, &["hash-object", "-t", "commit", "-w", "--literally", "object"]);
        git(&work, &["push", "-q", "-f", "origin", &format!("{id}:refs/heads/main")]);
        let checkout = world.fetch(&world.request()).await;
        assert_eq!(checkout.commit, id);
        let no = refused(&checkout, head, ring(), Timestamp::now()).await;
        assert_eq!(no.reason(), "InvalidCommitSignature", "{what}: {no}");
    }
    // an ssh signature for a file is none for a commit
    let directory = tempfile::tempdir().unwrap();
    let (_, public) = ssh_key(directory.path(), "key", &["-t", "ed25519", "-N", ""]);
    let plain = gpg.git(&work, &["cat-file", "commit", "main~1"]);
    std::fs::write(directory.path().join("payload"), format!("{plain}\n")).unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-Y", "sign", "-n", "file", "-f"])
        .args([directory.path().join("key"), directory.path().join("payload")])
        .output()
        .unwrap();
    assert!(output.status.success());
    let signature = std::fs::read_to_string(directory.path().join("payload.sig")).unwrap();
    let signature = signature.trim_end().replace('\n', "\n ");
    let (top, message) = plain.split_once("\n\n").unwrap();
    std::fs::write(work.join("object"), format!("{top}\ngpgsig {signature}\n\n{message}\n")).unwrap();
    let id = git(&work, &["hash-object", "-t", "commit", "-w", "object"]);
    git(&work, &["push", "-q", "-f", "origin", &format!("{id}:refs/heads/main")]);
    let checkout = world.fetch(&world.request()).await;
    let no = refused(&checkout, head, keys(&[("k.sshpub", public.as_bytes())]), Timestamp::now())
        .await
        .to_string();
    assert!(no.contains("a signature for `file`, not for git"), "{no}");
    let stranger = ssh_key(directory.path(), "other", &["-t", "ed25519", "-N", ""]).1;
    let no = refused(&checkout, head, keys(&[("k.sshpub", stranger.as_bytes())]), Timestamp::now())
        .await
        .to_string();
    assert!(no.ends_with("any of the given authorized keys: no matching key"), "{no}");
    let no = refused(&checkout, head, ring(), Timestamp::now()).await.to_string();
    assert!(no.ends_with("no SSH public keys found in secret (keys with .sshpub suffix)"), "{no}");
}

#[tokio::test]
async fn h81_signed_tags_vouch_for_their_commit_under_their_name_only() {
    let world = world().await;
    let first = world.repository.commit("main", &[Write("a", b"1")], "one").unwrap();
    let gpg = Gpg::new();
    let print = gpg.key("dev@example.com", "ed25519", "sign", "never", "");
    let work = working_copy(&world);
    let signing = format!("user.signingKey={print}");
    gpg.git(&work, &["-c", &signing, "tag", "-s", "v1.0.0", "-m", "release"]);
    gpg.git(&work, &["tag", "-a", "v1.1.0", "-m", "unsigned"]);
    gpg.git(&work, &["tag", "light"]);
    gpg.git(&work, &["push", "-q", "--tags"]);
    let ring = || keys(&[("team.asc", &gpg.public("dev@example.com"))]);
    let now = Timestamp::now;
    let tag = |name: &str| world.with(GitReference { tag: Some(name.into()), ..GitReference::default() });
    let id = &print[24..];
    let object = git(&work, &["rev-parse", "v1.0.0"]);
    let expected = format!("verified signature of\n\t- tag 'v1.0.0@{object}' with key '{id}'");
    let semver = world.with(GitReference { semver: Some("1.0.x".into()), ..GitReference::default() });
    let named = world.with(GitReference { name: Some("refs/tags/v1.0.0".into()), ..GitReference::default() });
    for request in [tag("v1.0.0"), semver, named, tag("v1.0.0").pushed("refs/tags/v1.0.0", first.clone())] {
        let checkout = world.fetch(&request).await;
        assert_eq!(checkout.verify(VerifyMode::Tag, ring(), now()).await.unwrap(), expected);
        let both = refused(&checkout, VerifyMode::TagAndHead, ring(), now()).await;
        assert_eq!(both.reason(), "InvalidCommitSignature", "{both}");
    }
    let unsigned = world.fetch(&tag("v1.1.0")).await;
    let no = refused(&unsigned, VerifyMode::Tag, ring(), now()).await;
    assert_eq!(no.reason(), "InvalidGitObject");
    assert!(no.to_string().starts_with("cannot verify signature of tag 'v1.1.0@"), "{no}");
    let light = world.fetch(&tag("light")).await;
    let no = refused(&light, VerifyMode::Tag, ring(), now()).await;
    assert_eq!(no.to_string(), "cannot verify signature of tag 'light' since it is not signed");
    let branch = world.fetch(&world.request()).await;
    let no = refused(&branch, VerifyMode::Tag, ring(), now()).await;
    assert_eq!((no.reason(), no.is_retryable()), ("InvalidVerificationMode", false));

    // the tag moves to another commit, without a signature and then with one of a stranger
    let second = world.repository.commit("main", &[Write("a", b"2")], "two").unwrap();
    world.repository.set_reference("refs/tags/v1.0.0", &second).unwrap();
    let moved = world.fetch(&tag("v1.0.0")).await;
    assert_eq!(moved.commit, second);
    assert_eq!(refused(&moved, VerifyMode::Tag, ring(), now()).await.reason(), "InvalidGitObject");
    let stranger = Gpg::new();
    let strange = stranger.key("eve@example.com", "ed25519", "sign", "never", "");
    git(&work, &["pull", "-q"]);
    stranger.git(
        &work,
        &["-c", &format!("user.signingKey={strange}"), "tag", "-f", "-s", "v1.0.0", "-m", "evil", &second],
    );
    git(&work, &["push", "-q", "-f", "--tags"]);
    let moved = world.fetch(&tag("v1.0.0")).await;
    assert_eq!(refused(&moved, VerifyMode::Tag, ring(), now()).await.reason(), "InvalidTagSignature");

    // an old signed tag shown under a newer name
    world.repository.set_reference("refs/tags/v9.0.0", &object).unwrap();
    let renamed = world.fetch(&tag("v9.0.0")).await;
    let no = refused(&renamed, VerifyMode::Tag, ring(), now()).await.to_string();
    assert!(no.ends_with("failed: the tag object is named 'v1.0.0'"), "{no}");
}

#[tokio::test]
async fn h81_a_server_that_lies_about_where_a_signed_tag_leads_is_not_believed() {
    use axum::body::Body;
    use axum::extract::Request;
    use axum::http::Response;
    use axum::middleware::Next;
    let gpg = Gpg::new();
    let print = gpg.key("dev@example.com", "ed25519", "sign", "never", "");
    let lie: std::sync::Arc<std::sync::Mutex<Option<(String, String)>>> = std::sync::Arc::default();
    let told = std::sync::Arc::clone(&lie);
    let layers = move |router: axum::Router| {
        router.layer(axum::middleware::from_fn(move |request: Request, next: Next| {
            let lie = told.lock().unwrap().clone();
            async move {
                let (head, body) = next.run(request).await.into_parts();
                let bytes = axum::body::to_bytes(body, 1 << 24).await.unwrap();
                let bytes = match (lie, bytes.windows(7).any(|window| window == b"peeled:")) {
                    (Some((from, to)), true) => {
                        let text = String::from_utf8_lossy(&bytes).into_owned();
                        text.replace(&format!("peeled:{from}"), &format!("peeled:{to}")).into()
                    }
                    _ => bytes,
                };
                Response::from_parts(head, Body::from(bytes))
            }
        }))
    };
    let world = world_with(|server| server, layers, sluice::source::SourceLimits::default()).await;
    let good = world.repository.commit("main", &[Write("a", b"good")], "good").unwrap();
    let work = working_copy(&world);
    gpg.git(&work, &["-c", &format!("user.signingKey={print}"), "tag", "-s", "v1", "-m", "release"]);
    gpg.git(&work, &["push", "-q", "--tags"]);
    let evil = world.repository.commit("main", &[Write("a", b"evil")], "evil").unwrap();
    world.fetch(&world.request()).await;
    *lie.lock().unwrap() = Some((good, evil.clone()));
    let request: GitRequest = world.with(GitReference { tag: Some("v1".into()), ..GitReference::default() });
    let checkout = world.fetch(&request).await;
    assert_eq!(checkout.commit, evil, "unverified, a server can show what it likes");
    let ring = keys(&[("team.asc", &gpg.public("dev@example.com"))]);
    let no = refused(&checkout, VerifyMode::Tag, ring, Timestamp::now()).await.to_string();
    assert!(no.ends_with(&format!("the tag does not lead to commit '{evil}'")), "{no}");
}
