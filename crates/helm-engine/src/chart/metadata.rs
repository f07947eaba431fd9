//! `Chart.yaml`: its fields, its clean-up and its checks. Reading it from YAML is the loader's work.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::decode::Seen;
use crate::gostring;
use crate::values::Value;

/// A person or organisation behind a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintainer {
    /// Name of the person or organisation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Email address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// A page about them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A chart another chart depends on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dependency {
    /// The dependency's name, or its alias once dependencies have been processed.
    #[serde(default)]
    pub name: String,
    /// The accepted versions.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where to download it.
    #[serde(default)]
    pub repository: String,
    /// Paths of values that switch it on or off, separated by commas.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Tags that switch it on or off together with others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Whether it is in use; set while dependencies are processed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// Values to take over from the child: texts, or `{child, parent}` tables.
    #[serde(default, rename = "import-values", skip_serializing_if = "Vec::is_empty")]
    pub import_values: Vec<Value>,
    /// The name to use it under.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// The contents of `Chart.yaml`, in the order Go writes them as JSON.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// The chart's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A page about the project.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// Where the chart's source is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<String>,
    /// The chart's version.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// One sentence about the chart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Keywords for searches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// Who looks after the chart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Maintainer>,
    /// Address of an icon.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// `v1` or `v2`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Unused by Helm, shown to templates.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Unused by Helm, shown to templates.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// Version of what the chart installs.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    /// Whether the chart should no longer be used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Free key/value pairs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// The Kubernetes versions the chart works with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// The charts it depends on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// `application`, `library` or nothing.
    #[serde(default, rename = "type", skip_serializing_if = "String::is_empty")]
    pub chart_type: String,
}

/// A rule that `Chart.yaml` breaks; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("validation: {0}")]
pub struct MetadataError(pub String);

impl Metadata {
    /// Whether this is a library chart: only its `_`-files are used.
    #[must_use]
    pub fn is_library(&self) -> bool {
        gostring::equal_fold(&self.chart_type, "library")
    }

    /// Cleans the texts and checks what Helm checks at load time.
    ///
    /// # Errors
    /// With the first rule broken.
    pub(super) fn validate(&mut self, seen: &Seen) -> Result<(), MetadataError> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().for_each(sanitize);
        self.keywords.iter_mut().for_each(sanitize);
        let broken = |message: String| Err(MetadataError(message));
        if self.api_version.is_empty() {
            return broken("chart.metadata.apiVersion is required".to_owned());
        }
        if self.name.is_empty() {
            return broken("chart.metadata.name is required".to_owned());
        }
        if self.name == "." || self.name == ".." {
            return broken(format!("chart.metadata.name {} is not allowed", gostring::quote(&self.name)));
        }
        if self.name != gostring::base_name(&self.name) {
            return broken(format!("chart.metadata.name {} is invalid", gostring::quote(&self.name)));
        }
        if self.version.is_empty() {
            return broken("chart.metadata.version is required".to_owned());
        }
        if masterminds_semver::Version::parse(&self.version).is_err() {
            return broken(format!("chart.metadata.version {} is invalid", gostring::quote(&self.version)));
        }
        if !matches!(self.chart_type.as_str(), "" | "application" | "library") {
            return broken("chart.metadata.type must be application or library".to_owned());
        }
        if seen.empty_maintainer {
            return broken("maintainers must not contain empty or null nodes".to_owned());
        }
        for maintainer in &mut self.maintainers {
            sanitize(&mut maintainer.name);
            sanitize(&mut maintainer.email);
            sanitize(&mut maintainer.url);
        }
        if seen.empty_dependency {
            return broken("dependencies must not contain empty or null nodes".to_owned());
        }
        let mut names = BTreeSet::new();
        for dependency in &mut self.dependencies {
            dependency.validate()?;
            let key = if dependency.alias.is_empty() { &dependency.name } else { &dependency.alias };
            if !names.insert(key.clone()) {
                return broken(format!(
                    "more than one dependency with name or alias {}",
                    gostring::quote(key)
                ));
            }
        }
        Ok(())
    }
}

impl Dependency {
    fn validate(&mut self) -> Result<(), MetadataError> {
        for text in [&mut self.name, &mut self.version, &mut self.repository, &mut self.condition] {
            sanitize(text);
        }
        self.tags.iter_mut().for_each(sanitize);
        let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if self.alias.chars().all(allowed) {
            return Ok(());
        }
        let name = gostring::quote(&self.name);
        Err(MetadataError(format!("dependency {name} has disallowed characters in the alias")))
    }
}

/// Turns every kind of space into a blank and drops what cannot be printed.
fn sanitize(text: &mut String) {
    let clean = |c: &char| gostring::is_space(*c) || gostring::is_print(*c);
    if text.chars().all(|c| c == ' ' || (clean(&c) && !gostring::is_space(c))) {
        return;
    }
    *text = text.chars().filter(clean).map(|c| if gostring::is_space(c) { ' ' } else { c }).collect();
}
