//! The words people type for kinds: flux's, kubectl's short names, and the kinds themselves.

use crate::model::{Kind, ObjectKey};

/// What a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selection {
    /// Everything.
    All,
    /// Every kind of source.
    Sources,
    /// Every kind of image automation.
    Images,
    /// One kind.
    Kind(Kind),
}

/// In the order in which flux lists them.
const SOURCES: &[Kind] = &[
    Kind::OCIRepository,
    Kind::Bucket,
    Kind::GitRepository,
    Kind::HelmRepository,
    Kind::HelmChart,
    Kind::ExternalArtifact,
];
const IMAGES: &[Kind] = &[Kind::ImageRepository, Kind::ImagePolicy, Kind::ImageUpdateAutomation];
const REST: &[Kind] = &[Kind::HelmRelease, Kind::Kustomization, Kind::Receiver, Kind::Provider, Kind::Alert];

impl Selection {
    /// The kinds, in flux's order.
    pub(super) fn kinds(self) -> Vec<Kind> {
        match self {
            Selection::All => [SOURCES, IMAGES, REST].concat(),
            Selection::Sources => SOURCES.to_vec(),
            Selection::Images => IMAGES.to_vec(),
            Selection::Kind(kind) => vec![kind],
        }
    }
}

/// Reads `hr web`, `hr/web`, `source git app`, `sources all`, `all` …: what is meant, and the names given.
pub(super) fn parse(words: &[String]) -> Result<(Selection, Vec<String>), String> {
    let Some(first) = words.first() else {
        return Err("no kind is given\nhint: kinds are `all`, `sources git`, `helmreleases` (`hr`), `kustomizations` (`ks`), `receivers` …".to_owned());
    };
    if let Some((kind, name)) = first.split_once('/') {
        let mut names = vec![name.to_owned()];
        names.extend(words[1..].iter().cloned());
        return Ok((Selection::Kind(kind_of(kind)?), names));
    }
    let family = |all: Selection, kind: fn(&str) -> Option<Kind>, known: &str| match words.get(1) {
        None => Err(format!("`{first}` needs a kind\nhint: kinds are {known}")),
        Some(word) if word == "all" => Ok((all, words[2..].to_vec())),
        Some(word) => match kind(word) {
            Some(kind) => Ok((Selection::Kind(kind), words[2..].to_vec())),
            None => Err(format!("`{first} {word}` is not a kind\nhint: kinds are {known}")),
        },
    };
    match first.as_str() {
        "all" => Ok((Selection::All, words[1..].to_vec())),
        "source" | "sources" => family(
            Selection::Sources,
            source_kind,
            "`git`, `oci`, `helm`, `chart`, `bucket`, `external`, `all`",
        ),
        "image" | "images" => {
            family(Selection::Images, image_kind, "`repository`, `policy`, `update`, `all`")
        }
        word => Ok((Selection::Kind(kind_of(word)?), words[1..].to_vec())),
    }
}

/// Reads one kind and one name.
pub(super) fn parse_one(words: &[String]) -> Result<(Kind, String), String> {
    match parse(words)? {
        (Selection::Kind(kind), names) if names.len() == 1 => Ok((kind, names[0].clone())),
        (Selection::Kind(kind), names) if names.is_empty() => {
            Err(format!("the name of the {kind} is missing"))
        }
        (Selection::Kind(_), names) => Err(format!("one name is expected, and here are {}", names.len())),
        _ => Err("one object is expected: a kind and a name".to_owned()),
    }
}

fn source_kind(word: &str) -> Option<Kind> {
    Some(match word {
        "git" => Kind::GitRepository,
        "oci" => Kind::OCIRepository,
        "helm" => Kind::HelmRepository,
        "chart" => Kind::HelmChart,
        "bucket" => Kind::Bucket,
        "external" => Kind::ExternalArtifact,
        _ => return None,
    })
}

fn image_kind(word: &str) -> Option<Kind> {
    Some(match word {
        "repository" => Kind::ImageRepository,
        "policy" => Kind::ImagePolicy,
        "update" => Kind::ImageUpdateAutomation,
        _ => return None,
    })
}

fn kind_of(word: &str) -> Result<Kind, String> {
    match word {
        "alert-provider" | "alert-providers" => return Ok(Kind::Provider),
        _ => {}
    }
    word.parse().map_err(|_| {
        format!("`{word}` is not a kind\nhint: kinds are `all`, `sources git`, `helmreleases` (`hr`), `kustomizations` (`ks`), `receivers`, `alerts`, `alert-providers`, `images policy` …")
    })
}

/// The line of an object under `-o name`, as kubectl writes it: `helmrelease.helm.toolkit.fluxcd.io/web`.
pub(super) fn name_line(key: &ObjectKey) -> String {
    format!("{}.{}/{}\n", key.kind.as_str().to_ascii_lowercase(), key.kind.group(), key.name)
}

/// What flux calls a kind in its sentences.
pub(super) fn human(kind: Kind) -> &'static str {
    match kind {
        Kind::GitRepository => "source git",
        Kind::OCIRepository => "source oci",
        Kind::HelmRepository => "source helm",
        Kind::HelmChart => "source chart",
        Kind::Bucket => "source bucket",
        Kind::ExternalArtifact => "source external",
        Kind::Kustomization => "kustomization",
        Kind::HelmRelease => "helmrelease",
        Kind::ImageRepository => "image repository",
        Kind::ImagePolicy => "image policy",
        Kind::ImageUpdateAutomation => "image update",
        Kind::Receiver => "receiver",
        Kind::Provider => "alert provider",
        Kind::Alert => "alert",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<(Selection, Vec<String>), String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words)
    }

    #[test]
    fn words_of_flux_and_kubectl() {
        let web = || vec!["web".to_owned()];
        for (line, kind, names) in [
            ("hr", Kind::HelmRelease, vec![]),
            ("helmreleases web", Kind::HelmRelease, web()),
            ("hr/web", Kind::HelmRelease, web()),
            ("ks web", Kind::Kustomization, web()),
            ("sources git", Kind::GitRepository, vec![]),
            ("source chart web", Kind::HelmChart, web()),
            ("GitRepository web", Kind::GitRepository, web()),
            ("images policy web", Kind::ImagePolicy, web()),
            ("image update", Kind::ImageUpdateAutomation, vec![]),
            ("alert-providers", Kind::Provider, vec![]),
            ("receivers", Kind::Receiver, vec![]),
        ] {
            assert_eq!(read(line), Ok((Selection::Kind(kind), names)), "{line}");
        }
        assert_eq!(read("sources all").unwrap().0, Selection::Sources);
        assert_eq!(read("images all").unwrap().0, Selection::Images);
        assert_eq!(read("all").unwrap().0.kinds().len(), Kind::ALL.len());
        for bad in ["", "sources", "sources svn", "pods", "images x"] {
            assert!(read(bad).unwrap_err().contains("\nhint: "), "{bad}");
        }
    }
}
