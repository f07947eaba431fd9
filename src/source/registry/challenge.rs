//! `WWW-Authenticate`: what a registry wants to see, and whether the place it names may see our credentials.
//!
//! Pure. Decides about realms; asks none.

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use url::Url;

use super::reference::host_of;

/// Longest header read; real ones have some hundred bytes.
const LONGEST: usize = 8 << 10;

/// What the registry wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// Name and password with each request.
    Basic,
    /// A token, to be had elsewhere.
    Bearer(Realm),
}

/// Where tokens are to be had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Realm {
    pub(super) url: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

impl Challenge {
    /// The challenge for whatever image, and the scope it named for this one.
    pub(super) fn without_scope(self) -> (Self, Option<String>) {
        match self {
            Self::Basic => (Self::Basic, None),
            Self::Bearer(mut realm) => {
                let scope = realm.scope.take();
                (Self::Bearer(realm), scope)
            }
        }
    }
}

/// The first challenge that we know how to meet.
pub(super) fn of(headers: &HeaderMap) -> Option<Challenge> {
    let texts = headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
    texts.filter(|text| text.len() <= LONGEST).flat_map(read).find_map(|(scheme, parameters)| {
        let value = |name: &str| {
            let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).filter(|value| !value.is_empty())
        };
        if scheme.eq_ignore_ascii_case("basic") {
            return Some(Challenge::Basic);
        }
        (scheme.eq_ignore_ascii_case("bearer")).then(|| {
            Challenge::Bearer(Realm {
                url: value("realm").unwrap_or_default(),
                service: value("service"),
                scope: value("scope"),
            })
        })
    })
}

type Parameters = Vec<(String, String)>;

/// Splits a header into its challenges. A comma ends a parameter; a word with a blank and another word behind it
/// begins the next challenge.
fn read(text: &str) -> Vec<(String, Parameters)> {
    let mut challenges: Vec<(String, Parameters)> = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let length = rest.find([' ', '\t', ',', '=']).unwrap_or(rest.len());
        let (word, behind) = rest.split_at(length);
        if word.is_empty() {
            // An `=` without a name: nothing behind it can be trusted to mean what it seems to.
            return challenges;
        }
        let after = behind.trim_start_matches([' ', '\t']);
        match after.strip_prefix('=') {
            Some(value) => {
                let (value, next) = value_of(value.trim_start_matches([' ', '\t']));
                if let Some((_, parameters)) = challenges.last_mut() {
                    parameters.push((word.to_owned(), value));
                }
                rest = next;
            }
            None => {
                challenges.push((word.to_owned(), Vec::new()));
                rest = behind;
            }
        }
        if rest.is_empty() {
            return challenges;
        }
    }
}

/// A quoted string or a token, and what is behind it.
fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([',', ' ', '\t']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// Whether tokens may be asked for at a realm, and with our credentials.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// It is the registry's own: the same host, or its domain over https.
    Ours(Url),
    /// Another's; a token may be asked for without saying who we are.
    Strangers(Url),
    /// Not to be asked at all, and why.
    Refused(String),
}

/// Judges a realm. A registry that was taken over, or somebody who can add a header to its answers, must not be able
/// to have the credentials sent elsewhere. As go-containerregistry: never over plain http from a registry that is
/// asked over https, and only within the registry's own domain.
pub(super) fn judge(realm: &str, endpoint: &Url) -> Trust {
    let Ok(url) = Url::parse(realm) else {
        return Trust::Refused("it is no URL".to_owned());
    };
    let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
        return Trust::Refused("it names no host".to_owned());
    };
    if !url.username().is_empty() || url.password().is_some() {
        return Trust::Refused("it holds a user name".to_owned());
    }
    let own = endpoint.host_str().unwrap_or_default();
    let same_host = host.eq_ignore_ascii_case(own);
    match url.scheme() {
        "https" if same_host || same_domain(host, own) => Trust::Ours(url),
        "https" => Trust::Strangers(url),
        "http" if endpoint.scheme() == "https" => {
            Trust::Refused("it is plain http, and the registry is asked over https".to_owned())
        }
        "http" if same_host => Trust::Ours(url),
        "http" => Trust::Strangers(url),
        _ => Trust::Refused("it is neither https nor http".to_owned()),
    }
}

/// Below which names are sold to anybody in countries' domains: `registry.co.uk` and `evil.co.uk` are two domains.
const SECOND_LEVELS: &[&str] = &["co", "com", "org", "net", "gov", "edu", "ac", "or", "ne", "go", "gob"];

/// Whether two host names end in the same registered domain. Addresses have none.
fn same_domain(a: &str, b: &str) -> bool {
    let domain = |host: &str| {
        let host = host_of(host).trim_end_matches('.').to_ascii_lowercase();
        let is_address = host.contains(':') || host.parse::<std::net::Ipv4Addr>().is_ok();
        let labels: Vec<&str> = host.split('.').collect();
        if is_address || labels.len() < 2 {
            return None;
        }
        let is_country = labels[labels.len() - 1].len() == 2;
        let taken = match is_country && SECOND_LEVELS.contains(&labels[labels.len() - 2]) {
            true => 3,
            false => 2,
        };
        (labels.len() >= taken).then(|| labels[labels.len() - taken..].join("."))
    };
    domain(a).is_some_and(|one| Some(one) == domain(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(texts: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for text in texts {
            headers.append(WWW_AUTHENTICATE, text.parse().unwrap());
        }
        headers
    }

    fn bearer(url: &str, service: Option<&str>, scope: Option<&str>) -> Option<Challenge> {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Some(Challenge::Bearer(Realm { url: url.to_owned(), service: owned(service), scope: owned(scope) }))
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let docker = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull""#;
        for (texts, expected) in [
            (
                &[docker][..],
                bearer(
                    "https://auth.docker.io/token",
                    Some("registry.docker.io"),
                    Some("repository:library/alpine:pull"),
                ),
            ),
            (&[r#"Basic realm="Registry""#], Some(Challenge::Basic)),
            (&["basic"], Some(Challenge::Basic)),
            (&["Negotiate", r#"Bearer realm="https://h/t""#], bearer("https://h/t", None, None)),
            (&[r#"Negotiate, Basic realm="x, y=z""#], Some(Challenge::Basic)),
            (
                &[r#"BEARER Realm="https://h/t" , scope="repository:a:pull,push""#],
                bearer("https://h/t", None, Some("repository:a:pull,push")),
            ),
            (&["Bearer realm=https://h/t,service=s"], bearer("https://h/t", Some("s"), None)),
            (&[r#"Bearer realm="https://h/\"t""#], bearer("https://h/\"t", None, None)),
            (&["Bearer"], bearer("", None, None)),
            (&[r#"Bearer realm="unfinished"#], bearer("unfinished", None, None)),
            (&["Digest nonce=1"], None),
            (&["=,=,=", ",,,"], None),
            (&[], None),
        ] {
            assert_eq!(of(&header(texts)), expected, "{texts:?}");
        }
    }

    #[test]
    fn h85_credentials_stay_with_the_registry_and_its_domain() {
        let https = Url::parse("https://registry.example.com/v2/").unwrap();
        let http = Url::parse("http://registry.example.com:5000/v2/").unwrap();
        for (realm, over_https, over_http) in [
            ("https://registry.example.com/token", "ours", "ours"),
            ("https://registry.example.com:5001/token", "ours", "ours"),
            ("https://auth.example.com/token", "ours", "ours"),
            ("https://example.com/token", "ours", "ours"),
            ("http://registry.example.com:5001/token", "refused", "ours"),
            ("http://auth.example.com/token", "refused", "strangers"),
            ("https://evil.org/token", "strangers", "strangers"),
            ("https://example.com.evil.org/token", "strangers", "strangers"),
            ("https://evil-example.com/token", "strangers", "strangers"),
            ("https://169.254.169.254/token", "strangers", "strangers"),
            ("https://user:pw@registry.example.com/token", "refused", "refused"),
            ("ftp://registry.example.com/token", "refused", "refused"),
            ("file:///etc/passwd", "refused", "refused"),
            ("/token", "refused", "refused"),
            ("", "refused", "refused"),
        ] {
            let verdict = |endpoint: &Url| match judge(realm, endpoint) {
                Trust::Ours(_) => "ours",
                Trust::Strangers(_) => "strangers",
                Trust::Refused(_) => "refused",
            };
            assert_eq!((verdict(&https), verdict(&http)), (over_https, over_http), "{realm}");
        }
        for (a, b, same) in [
            ("auth.docker.io", "registry-1.docker.io", true),
            ("registry.co.uk", "evil.co.uk", false),
            ("auth.registry.co.uk", "registry.co.uk", true),
            ("gcr.io", "eu.gcr.io", true),
            ("10.0.0.1", "11.0.0.1", false),
            ("localhost", "localhost", false),
        ] {
            assert_eq!(same_domain(a, b), same, "{a} {b}");
        }
    }
}
