//! Which forge a repository lies at, and how its API lists, opens and changes pull requests.
//!
//! Builds requests and reads answers; `http.rs` sends them.

use serde_json::{Value, json};
use url::Url;

use super::http::{Client, Method};
use super::{Found, PullRequestError, Wanted};

/// Pages of a list that are read where the forge cannot filter by branch.
const PAGES: usize = 10;

/// A forge's kind of API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forge {
    /// github.com and GitHub Enterprise Server.
    GitHub,
    /// gitlab.com and self-managed GitLab.
    GitLab,
    /// Gitea, Forgejo, Codeberg.
    Gitea,
}

impl Forge {
    /// The forge of that name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "github" => Some(Self::GitHub),
            "gitlab" => Some(Self::GitLab),
            "gitea" | "forgejo" => Some(Self::Gitea),
            _ => None,
        }
    }

    /// The forge a host's name gives away.
    pub fn at(host: &str) -> Option<Self> {
        let is = |domain: &str| host == domain || host.ends_with(&format!(".{domain}"));
        if is("github.com") || is("ghe.com") || host.starts_with("github.") {
            return Some(Self::GitHub);
        }
        if is("gitlab.com") || host.starts_with("gitlab.") {
            return Some(Self::GitLab);
        }
        let gitea = is("codeberg.org") || is("gitea.com");
        (gitea || host.starts_with("gitea.") || host.starts_with("forgejo.")).then_some(Self::Gitea)
    }
}

/// A project of a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// How to talk to it.
    pub forge: Forge,
    /// Where its API is, without a slash at the end.
    pub api: String,
    /// `owner/name`; with GitLab perhaps with groups in between.
    pub path: String,
}

impl Project {
    /// The project at a repository's URL. `forge` and `api` are guessed from the host where they are not given.
    ///
    /// # Errors
    /// When the URL or the API's address cannot be one, or the forge cannot be told.
    pub fn of(repository: &str, forge: Option<Forge>, api: Option<&str>) -> Result<Self, PullRequestError> {
        let settings = |text: String| PullRequestError::Settings(text);
        let url =
            Url::parse(repository).map_err(|_| settings("the repository's URL is no URL".to_owned()))?;
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let forge = forge.or_else(|| Forge::at(&host)).ok_or_else(|| {
            settings(format!(
                "cannot tell which forge `{host}` is\nhint: say `github`, `gitlab` or `gitea` in the annotation"
            ))
        })?;
        let path = url.path().trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let segments = path.split('/').count();
        if segments < 2 || (segments > 2 && forge != Forge::GitLab && api.is_none()) {
            return Err(settings(format!("`{path}` is no project of a forge: `owner/name` is expected")));
        }
        // A forge below a path (`https://host/git/owner/name`) is known by the address of its API.
        let path = match forge {
            Forge::GitLab => path.to_owned(),
            Forge::GitHub | Forge::Gitea => path.split('/').skip(segments - 2).collect::<Vec<_>>().join("/"),
        };
        let api = match api {
            Some(api) => {
                let parsed = Url::parse(api).ok().filter(|api| matches!(api.scheme(), "http" | "https"));
                parsed.filter(|api| api.has_host() && api.username().is_empty()).ok_or_else(|| {
                    settings(format!("`{api}` is no address of an API\nhint: `https://host/api/v1`"))
                })?;
                api.trim_end_matches('/').to_owned()
            }
            None => {
                let scheme = if url.scheme() == "http" { "http" } else { "https" };
                let port = url.port().filter(|_| url.scheme() != "ssh");
                let host = port.map_or(host.clone(), |port| format!("{host}:{port}"));
                match forge {
                    Forge::GitHub if host == "github.com" => "https://api.github.com".to_owned(),
                    Forge::GitHub if host.ends_with(".ghe.com") => format!("https://api.{host}"),
                    Forge::GitHub => format!("{scheme}://{host}/api/v3"),
                    Forge::GitLab => format!("{scheme}://{host}/api/v4"),
                    Forge::Gitea => format!("{scheme}://{host}/api/v1"),
                }
            }
        };
        Ok(Self { forge, api, path })
    }

    /// Whether the API is where the repository is, so that the repository's own token may go there: at its host, and in
    /// clear only if the token goes to the repository in clear as well.
    pub fn is_at_home(&self, repository: &str) -> bool {
        let (Ok(repository), Ok(api)) = (Url::parse(repository), Url::parse(&self.api)) else { return false };
        let (Some(home), Some(host)) = (repository.host_str(), api.host_str()) else { return false };
        let same_host = host == home || host == format!("api.{home}");
        same_host && (api.scheme() == "https" || repository.scheme() == "http")
    }

    fn pulls(&self) -> String {
        match self.forge {
            Forge::GitHub | Forge::Gitea => format!("{}/repos/{}/pulls", self.api, self.path),
            Forge::GitLab => {
                let id =
                    percent_encoding::utf8_percent_encode(&self.path, percent_encoding::NON_ALPHANUMERIC);
                format!("{}/projects/{id}/merge_requests", self.api)
            }
        }
    }

    pub(super) async fn list(
        &self,
        client: &Client,
        wanted: &Wanted,
    ) -> Result<Vec<Found>, PullRequestError> {
        let owner = self.path.split('/').next().unwrap_or_default();
        let mut url = parsed(&self.pulls())?;
        match self.forge {
            Forge::GitHub => {
                url.query_pairs_mut()
                    .append_pair("state", "all")
                    .append_pair("head", &format!("{owner}:{}", wanted.head))
                    .append_pair("base", &wanted.base)
                    .append_pair("per_page", "100");
                self.read_all(client.send(Method::Get, url, None).await?)
            }
            Forge::GitLab => {
                url.query_pairs_mut()
                    .append_pair("source_branch", &wanted.head)
                    .append_pair("target_branch", &wanted.base)
                    .append_pair("per_page", "100");
                self.read_all(client.send(Method::Get, url, None).await?)
            }
            Forge::Gitea => {
                let mut found = Vec::new();
                for page in 1..=PAGES {
                    let mut url = url.clone();
                    url.query_pairs_mut()
                        .append_pair("state", "all")
                        .append_pair("sort", "recentupdate")
                        .append_pair("limit", "50")
                        .append_pair("page", &page.to_string());
                    let some = self.read_all(client.send(Method::Get, url, None).await?)?;
                    let last = some.is_empty();
                    found.extend(some.into_iter().filter(|one| one.head == wanted.head));
                    if last || found.iter().any(|one| one.open && one.base == wanted.base) {
                        break;
                    }
                }
                Ok(found)
            }
        }
    }

    pub(super) async fn create(&self, client: &Client, wanted: &Wanted) -> Result<Found, PullRequestError> {
        let Wanted { head, base, title, body, .. } = wanted;
        let request = match self.forge {
            Forge::GitHub | Forge::Gitea => json!({"title": title, "head": head, "base": base, "body": body}),
            Forge::GitLab => json!({
                "title": title, "source_branch": head, "target_branch": base, "description": body,
            }),
        };
        let answer = client.send(Method::Post, parsed(&self.pulls())?, Some(request)).await?;
        self.read(&answer)
            .ok_or_else(|| PullRequestError::Answer("a pull request without a number".to_owned()))
    }

    pub(super) async fn update(
        &self,
        client: &Client,
        number: u64,
        wanted: &Wanted,
    ) -> Result<(), PullRequestError> {
        let Wanted { title, body, .. } = wanted;
        let url = parsed(&format!("{}/{number}", self.pulls()))?;
        let (method, request) = match self.forge {
            Forge::GitHub | Forge::Gitea => (Method::Patch, json!({"title": title, "body": body})),
            Forge::GitLab => (Method::Put, json!({"title": title, "description": body})),
        };
        client.send(method, url, Some(request)).await.map(|_| ())
    }

    fn read_all(&self, answer: Value) -> Result<Vec<Found>, PullRequestError> {
        let items = answer.as_array().ok_or_else(|| PullRequestError::Answer("no list".to_owned()))?;
        Ok(items.iter().filter_map(|item| self.read(item)).collect())
    }

    fn read(&self, item: &Value) -> Option<Found> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Some(match self.forge {
            Forge::GitHub | Forge::Gitea => Found {
                number: item["number"].as_u64()?,
                open: item["state"] == "open",
                title: text(&item["title"]),
                body: text(&item["body"]),
                url: text(&item["html_url"]),
                // A pull request of a fork may have a branch of the same name.
                head: match &item["head"]["repo"]["full_name"] {
                    Value::String(name) if !name.eq_ignore_ascii_case(&self.path) => String::new(),
                    _ => text(&item["head"]["ref"]),
                },
                base: text(&item["base"]["ref"]),
                commit: text(&item["head"]["sha"]),
            },
            Forge::GitLab => Found {
                number: item["iid"].as_u64()?,
                open: item["state"] == "opened",
                title: text(&item["title"]),
                body: text(&item["description"]),
                url: text(&item["web_url"]),
                head: match item["source_project_id"] == item["target_project_id"] {
                    true => text(&item["source_branch"]),
                    false => String::new(),
                },
                base: text(&item["target_branch"]),
                commit: text(&item["sha"]),
            },
        })
    }
}

fn parsed(url: &str) -> Result<Url, PullRequestError> {
    Url::parse(url).map_err(|error| PullRequestError::Settings(format!("`{url}` is no address: {error}")))
}
