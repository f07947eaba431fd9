//! Repository URLs: which are accepted, what of them may be shown, where a submodule's relative URL leads.

use secrecy::SecretString;
use url::Url;

use super::error::GitErrorKind;

/// A checked URL, apart from its userinfo.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    url: Url,
    username: Option<String>,
    password: Option<SecretString>,
}

impl Address {
    /// Accepts `http`, `https` and `ssh` URLs with a host and a path, and nothing else: what git would hand to
    /// a helper program (`ext::`, `fd::`, `-u…`) or read from our disk (`file://`, a path) is refused.
    pub(crate) fn parse(text: &str) -> Result<Self, GitErrorKind> {
        let refuse = |why: &str| Err(GitErrorKind::InvalidUrl(why.to_owned()));
        if text.len() > 4096 {
            return refuse("the URL is longer than 4096 bytes");
        }
        if text.chars().any(|character| character.is_control() || character.is_whitespace()) {
            return refuse("the URL contains spaces or control characters");
        }
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        match scheme.as_deref() {
            Some("http" | "https" | "ssh") => {}
            Some(other) => {
                return refuse(&format!("scheme `{}` is not supported", super::error::shown(other, 40)));
            }
            None => return refuse("the URL has no scheme"),
        }
        let mut url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => return refuse(&error.to_string()),
        };
        let decode = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let username = Some(decode(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(|password| SecretString::from(decode(password)));
        if url.set_username("").is_err() || url.set_password(None).is_err() {
            return refuse("the URL has no host");
        }
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() || host.starts_with('-') {
            return refuse("the URL has no usable host");
        }
        if username.as_deref().is_some_and(|user| user.starts_with('-')) {
            return refuse("the user name starts with `-`");
        }
        if url.path().trim_matches('/').is_empty() {
            return refuse("the URL has no path");
        }
        url.set_fragment(None);
        Ok(Self { url, username, password })
    }

    /// The URL without userinfo: safe to show, and the identity of the repository.
    pub(crate) fn shown(&self) -> &str {
        self.url.as_str()
    }

    /// `host:port`.
    pub(crate) fn host(&self) -> String {
        host_of(&self.url)
    }

    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    pub(crate) fn username(&self) -> Option<&str> {
        self.username.as_deref()
    }

    pub(crate) fn password(&self) -> Option<&SecretString> {
        self.password.as_ref()
    }

    pub(crate) fn is_ssh(&self) -> bool {
        self.url.scheme() == "ssh"
    }

    /// Scheme, host and port: credentials never leave it.
    pub(crate) fn same_origin(&self, other: &Address) -> bool {
        self.url.scheme() == other.url.scheme()
            && self.url.host_str() == other.url.host_str()
            && self.url.port_or_known_default() == other.url.port_or_known_default()
    }

    /// The address a submodule's `url` means when this is its parent's: absolute, scp-like or relative.
    pub(crate) fn submodule(&self, text: &str) -> Result<Self, GitErrorKind> {
        if text.starts_with("./") || text.starts_with("../") {
            if text.chars().any(char::is_control) {
                return Err(GitErrorKind::InvalidUrl("the URL contains control characters".into()));
            }
            let mut segments: Vec<&str> =
                self.url.path().split('/').filter(|segment| !segment.is_empty()).collect();
            for step in text.split('/') {
                match step {
                    "" | "." => {}
                    ".." => {
                        if segments.pop().is_none() {
                            return Err(GitErrorKind::InvalidUrl("the relative URL leaves its host".into()));
                        }
                    }
                    name => segments.push(name),
                }
            }
            let mut url = self.url.clone();
            url.set_path(&segments.join("/"));
            let mut address = Self::parse(url.as_str())?;
            address.username.clone_from(&self.username);
            address.password.clone_from(&self.password);
            return Ok(address);
        }
        if !text.contains("://")
            && let Some((host, path)) = text.split_once(':')
            && !host.contains('/')
            && host.contains('@')
            && !path.starts_with(':')
        {
            return Self::parse(&format!("ssh://{host}/{}", path.trim_start_matches('/')));
        }
        Self::parse(text)
    }
}

/// `host:port` of a URL.
pub(crate) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    format!("{host}:{}", url.port_or_known_default().unwrap_or(22))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s33_urls_that_git_would_hand_to_a_program_or_the_disk_are_refused() {
        for url in [
            "file:///etc",
            "FILE:///etc",
            "/srv/git/app",
            "../app",
            "ext::sh -c id",
            "fd::17",
            "--upload-pack=touch /tmp/x",
            "-u./x",
            "git@github.com:team/app.git",
            "git://github.com/team/app",
            "ssh://-oProxyCommand=id/x",
            "ssh://-l@host/x",
            "https://",
            "https:///x",
            "https://host",
            "https://host/a b",
            "https://host/a\rb",
            "",
        ] {
            let refused = Address::parse(url);
            assert!(matches!(refused, Err(GitErrorKind::InvalidUrl(_))), "{url:?} gave {refused:?}");
        }
    }

    #[test]
    fn userinfo_is_used_but_never_shown() {
        let address = Address::parse("https://bob:p%40ss@Git.Example.com:443/team/app.git").unwrap();
        assert_eq!(address.shown(), "https://git.example.com/team/app.git");
        assert_eq!(address.username(), Some("bob"));
        assert!(address.password().is_some());
        assert!(!format!("{address:?}").contains("p@ss"));
    }

    #[test]
    fn h72_submodule_urls_stay_urls() {
        let parent = Address::parse("https://git.example.com/team/app.git").unwrap();
        let meant = |text: &str| parent.submodule(text).map(|address| address.shown().to_owned()).ok();
        assert_eq!(meant("../lib.git").as_deref(), Some("https://git.example.com/team/lib.git"));
        assert_eq!(meant("./sub.git").as_deref(), Some("https://git.example.com/team/app.git/sub.git"));
        assert_eq!(meant("git@github.com:a/b.git").as_deref(), Some("ssh://github.com/a/b.git"));
        assert_eq!(meant("https://other.example.com/x").as_deref(), Some("https://other.example.com/x"));
        for url in ["-u./x", "ext::sh -c id", "../../../../x", "../a\rb", "file:///etc", "../lib\n"] {
            assert_eq!(meant(url), None, "{url:?}");
        }
    }
}
