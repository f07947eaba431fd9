//! When two URLs mean the same git repository.
//!
//! A payload's URL is compared, never used: what is fetched is what the object says. No regular expression is ever
//! built from it.

use url::{Host, Url};

/// A repository, whatever the scheme, user, case or `.git` it was written with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RepositoryId {
    /// Host, and the port where it is not the scheme's own.
    host: String,
    /// In lower case, as all forges take it.
    path: String,
}

impl RepositoryId {
    /// Reads `https://…`, `ssh://…`, `git://…` and `git@host:path`. `None` for what names no repository on a host.
    pub fn parse(text: &str) -> Option<Self> {
        // Longer than any forge allows; what follows is linear, but there is nothing to be found.
        if text.len() > 4096 || text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return None;
        }
        // The URL parser would walk up the path for us.
        let is_dots = |segment: &str| {
            let plain = segment.replace("%2e", ".").replace("%2E", ".");
            plain == "." || plain == ".."
        };
        if text.split('/').any(is_dots) {
            return None;
        }
        if !text.contains("://") {
            return Self::from_scp(text);
        }
        let url = Url::parse(text).ok()?;
        let port = match (url.scheme(), url.port()) {
            ("http" | "https", port) => port.filter(|port| !matches!(port, 80 | 443)),
            ("ssh" | "git+ssh" | "ssh+git", port) => port.filter(|port| *port != 22),
            ("git", port) => port.filter(|port| *port != 9418),
            _ => return None,
        };
        let host = host(url.host_str()?)?;
        let host = port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        Some(Self { host, path: path(url.path())? })
    }

    /// The same for one that is to be compared with repositories of these last names, in lower case: what cannot be
    /// called so is not taken apart. A Receiver may list thousands.
    pub fn parse_if_called(text: &str, names: &[&str]) -> Option<Self> {
        let holds = |name: &&str| {
            let (text, name) = (text.as_bytes(), name.as_bytes());
            text.windows(name.len().max(1)).any(|window| window.eq_ignore_ascii_case(name))
        };
        // An escape, or a letter that has another form, may be read as something else than it looks like.
        let is_plain = text.is_ascii() && !text.contains('%');
        if is_plain && !names.iter().any(holds) { None } else { Self::parse(text) }
    }

    /// What the repository itself is called, without its owner.
    pub fn last_name(&self) -> &str {
        last_name(&self.path)
    }

    /// `user@host:path`; a path that begins with a digit is still a path, as for ssh.
    fn from_scp(text: &str) -> Option<Self> {
        let (host_part, rest) = text.split_once(':')?;
        let host_part = host_part.rsplit_once('@').map_or(host_part, |(_, host)| host);
        if host_part.contains('/') {
            return None;
        }
        Some(Self { host: host(host_part)?, path: path(rest)? })
    }

    /// Whether both are the same but for the ports: ssh has one of its own where https has none.
    pub fn is_at_another_port(&self, other: &Self) -> bool {
        self.path == other.path && without_port(&self.host) == without_port(&other.host)
    }

    /// The path alone, without what a server puts before the owner: what a repository is called wherever it is
    /// reached from.
    pub fn short(&self) -> &str {
        plain(&self.path)
    }
}

/// What anything a payload calls a repository is called, `PROJECT/slug` included.
pub fn short_name(text: &str) -> Option<String> {
    match RepositoryId::parse(text) {
        Some(id) => Some(id.short().to_owned()),
        None if text.contains(':') => None,
        None => path(text).filter(|path| path.contains('/')),
    }
}

/// The last segment of a path.
pub fn last_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Bitbucket Data Center serves clones below `/scm/`, behind a context path of one segment if it has one.
fn plain(path: &str) -> &str {
    let rest = path.strip_prefix("scm/");
    let rest = rest.or_else(|| path.split_once('/').and_then(|(_, rest)| rest.strip_prefix("scm/")));
    rest.filter(|rest| rest.contains('/')).unwrap_or(path)
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

/// In lower case, international names in ASCII form (so that look-alikes differ), without the root's dot.
fn host(text: &str) -> Option<String> {
    let parsed = Host::parse(text.strip_suffix('.').unwrap_or(text)).ok()?;
    Some(parsed.to_string().to_ascii_lowercase())
}

fn path(text: &str) -> Option<String> {
    // An escaped slash is none; what it would be on the server is not for us to guess.
    if text.to_ascii_lowercase().contains("%2f") {
        return None;
    }
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8().ok()?;
    let trimmed = decoded.trim_matches('/');
    let trimmed = trimmed.strip_suffix(".git").unwrap_or(trimmed).trim_end_matches('/');
    let sound = !trimmed.is_empty()
        && trimmed.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !trimmed.chars().any(char::is_control);
    sound.then(|| trimmed.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn h22_all_ways_to_write_one_repository_are_the_same() {
        let one = RepositoryId::parse("https://github.com/org/app").unwrap();
        for same in [
            "https://github.com/org/app.git",
            "https://github.com/org/app/",
            "https://github.com/org/app.git/",
            "http://github.com/org/app",
            "https://user:secret@github.com/org/app",
            "https://GitHub.COM/Org/App.git",
            "https://github.com./org/app",
            "https://github.com:443/org/app",
            "http://github.com:80/org/app",
            "ssh://git@github.com/org/app.git",
            "ssh://git@github.com:22/org/app.git",
            "git@github.com:org/app.git",
            "git@github.com:/org/app.git",
            "github.com:org/app",
            "git://github.com/org/app.git",
            "https://github.com/org/%61pp",
        ] {
            assert_eq!(RepositoryId::parse(same).as_ref(), Some(&one), "{same}");
            assert_eq!(
                RepositoryId::parse_if_called(same, &["x", one.last_name()]).as_ref(),
                Some(&one),
                "{same}"
            );
            assert_eq!(RepositoryId::parse_if_called(same, &[]).is_some(), same.contains('%'), "{same}");
        }
    }

    #[test]
    fn h22_nothing_else_is_the_same() {
        let one = RepositoryId::parse("https://github.com/org/app");
        for other in [
            "https://github.com/org/app2",
            "https://github.com/org/app.git.git",
            "https://github.com/org",
            "https://github.com/evil/org/app",
            "https://github.com.evil.example/org/app",
            "https://evil.example/github.com/org/app",
            "https://github.com@evil.example/org/app",
            "https://g\u{456}thub.com/org/app",
            "git@g\u{456}thub.com:org/app",
            "https://github.com:8443/org/app",
            "ssh://git@github.com:2222/org/app",
            "https://github.com/org/../evil/app",
            "https://github.com/evil/..%2forg/app",
            "https://github.com/org/%2e%2e/org/app",
            "https://github.com//org/app\0",
            "ext::sh -c id",
            "file:///github.com/org/app",
            "-oProxyCommand=id:org/app",
            "",
            "github.com/org/app",
        ] {
            let parsed = RepositoryId::parse(other);
            assert!(parsed.is_none() || parsed != one, "{other}");
        }
    }

    #[test]
    fn another_port_is_another_server_unless_that_is_asked_for() {
        let id = |text: &str| RepositoryId::parse(text).unwrap();
        for (one, other, same) in [
            ("https://git.lan/o/r", "ssh://git@git.lan:2222/o/r.git", true),
            ("https://[::1]:8443/o/r", "ssh://git@[::1]:2222/o/r", true),
            ("https://[::1]/o/r", "https://[::2]/o/r", false),
            ("https://git.lan/o/r", "https://git.lan:8443/o/other", false),
        ] {
            assert_eq!(id(one).is_at_another_port(&id(other)), same, "{one} {other}");
            assert_ne!(id(one), id(other));
        }
    }

    #[test]
    fn s13_a_hostile_url_costs_no_time() {
        let started = std::time::Instant::now();
        for _ in 0..100 {
            assert!(RepositoryId::parse(&format!("https://h/{}$", "(a+)+".repeat(100_000))).is_none());
        }
        assert!(started.elapsed().as_secs() < 5);
    }

    #[test]
    fn the_short_name_is_the_same_wherever_it_is_hosted() {
        for text in [
            "https://git.example.com/org/app.git",
            "http://gitea.gitea.svc:3000/Org/App",
            "git@10.0.0.1:org/app.git",
            "https://bitbucket.example.com/scm/org/app.git",
            "https://example.com/bitbucket/scm/org/app.git",
            "ssh://git@bitbucket.example.com:7999/org/app.git",
            "ORG/app",
        ] {
            assert_eq!(short_name(text).as_deref(), Some("org/app"), "{text}");
        }
        for other in
            ["https://git.example.com/evil/org/app", "https://git.example.com/app", "org/scm/app", "app"]
        {
            assert_ne!(short_name(other).as_deref(), Some("org/app"), "{other}");
        }
    }
}
