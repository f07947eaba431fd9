//! `Chart.yaml` and `Chart.lock` from YAML, with the leniency and the errors of `encoding/json`.

use std::collections::BTreeMap;

use super::Lock;
use super::metadata::{Dependency, Maintainer, Metadata};
use crate::gostring::equal_fold;
use crate::values::Value;
use crate::yaml::{Yaml, json_kind, scalar_text};

/// What is decoded, for error texts.
struct At<'a> {
    /// Go's name of the struct, as `Metadata`.
    root: &'static str,
    /// JSON path of the field, as `maintainers.name`.
    path: &'a str,
}

impl At<'_> {
    fn wrong(&self, found: &Yaml, go_type: &str) -> String {
        let (root, path, found) = (self.root, self.path, json_kind(found));
        let target = if path.is_empty() {
            format!("value of type {go_type}")
        } else {
            format!("struct field {root}.{path} of type {go_type}")
        };
        format!(
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go {target}"
        )
    }

    fn text(&self, field: &mut String, value: &Yaml) -> Result<(), String> {
        match scalar_text(value) {
            Some(text) => *field = text,
            None if *value == Yaml::Null => {}
            None => return Err(self.wrong(value, "string")),
        }
        Ok(())
    }

    fn flag(&self, field: &mut bool, value: &Yaml) -> Result<(), String> {
        match value {
            Yaml::Bool(b) => *field = *b,
            Yaml::Null => {}
            other => return Err(self.wrong(other, "bool")),
        }
        Ok(())
    }

    fn texts(&self, field: &mut Vec<String>, value: &Yaml) -> Result<(), String> {
        self.list(field, value, "[]string", |item, text| self.text(text, item))
    }

    fn list<T: Default>(
        &self,
        field: &mut Vec<T>,
        value: &Yaml,
        go_type: &str,
        mut read: impl FnMut(&Yaml, &mut T) -> Result<(), String>,
    ) -> Result<(), String> {
        match value {
            Yaml::Null => field.clear(),
            Yaml::List(items) => {
                field.clear();
                for item in items {
                    let mut decoded = T::default();
                    read(item, &mut decoded)?;
                    field.push(decoded);
                }
            }
            other => return Err(self.wrong(other, go_type)),
        }
        Ok(())
    }
}

/// What a file had that [`Metadata`] cannot show.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// A list of dependencies, even an empty one.
    pub(super) dependencies: bool,
    /// A list of maintainers with an empty item.
    pub(super) empty_maintainer: bool,
    /// A list of dependencies with an empty item.
    pub(super) empty_dependency: bool,
}

fn has_empty_item(value: &Yaml) -> bool {
    matches!(value, Yaml::List(items) if items.contains(&Yaml::Null))
}

/// The `apiVersion` alone, which is looked at before anything else.
pub(super) fn api_version(yaml: &Yaml) -> Result<String, String> {
    let root = "chartBase";
    let mut version = String::new();
    for (key, value) in fields(yaml, &At { root, path: "" }, "loader.chartBase")? {
        if field_name(&["apiVersion"], key) == "apiVersion" {
            At { root, path: "apiVersion" }.text(&mut version, value)?;
        }
    }
    Ok(version)
}

/// Decodes onto what is already there, as `json.Unmarshal` does.
pub(super) fn metadata(metadata: &mut Metadata, seen: &mut Seen, yaml: &Yaml) -> Result<(), String> {
    let root = "Metadata";
    for (key, value) in fields(yaml, &At { root, path: "" }, "v2.Metadata")? {
        let field = field_name(METADATA_FIELDS, key);
        let at = At { root, path: field };
        match field {
            "name" => at.text(&mut metadata.name, value)?,
            "home" => at.text(&mut metadata.home, value)?,
            "sources" => at.texts(&mut metadata.sources, value)?,
            "version" => at.text(&mut metadata.version, value)?,
            "description" => at.text(&mut metadata.description, value)?,
            "keywords" => at.texts(&mut metadata.keywords, value)?,
            "maintainers" => {
                seen.empty_maintainer = has_empty_item(value);
                at.list(&mut metadata.maintainers, value, "[]*v2.Maintainer", maintainer)?;
            }
            "icon" => at.text(&mut metadata.icon, value)?,
            "apiVersion" => at.text(&mut metadata.api_version, value)?,
            "condition" => at.text(&mut metadata.condition, value)?,
            "tags" => at.text(&mut metadata.tags, value)?,
            "appVersion" => at.text(&mut metadata.app_version, value)?,
            "deprecated" => at.flag(&mut metadata.deprecated, value)?,
            "annotations" => annotations(&mut metadata.annotations, value, &at)?,
            "kubeVersion" => at.text(&mut metadata.kube_version, value)?,
            "dependencies" => {
                seen.dependencies = *value != Yaml::Null;
                seen.empty_dependency = has_empty_item(value);
                at.list(&mut metadata.dependencies, value, "[]*v2.Dependency", dependency)?;
            }
            "type" => at.text(&mut metadata.chart_type, value)?,
            _ => {}
        }
    }
    Ok(())
}

/// Decodes a lock file; `null` is no lock.
pub(super) fn lock(yaml: &Yaml) -> Result<Option<Lock>, String> {
    if *yaml == Yaml::Null {
        return Ok(None);
    }
    let root = "Lock";
    let mut lock = Lock { generated: crate::release::ZERO_TIME.to_owned(), ..Lock::default() };
    for (key, value) in fields(yaml, &At { root, path: "" }, "v2.Lock")? {
        match field_name(&["generated", "digest", "dependencies"], key) {
            "generated" => At { root, path: "generated" }.text(&mut lock.generated, value)?,
            "digest" => At { root, path: "digest" }.text(&mut lock.digest, value)?,
            "dependencies" => {
                let at = At { root, path: "dependencies" };
                at.list(&mut lock.dependencies, value, "[]*v2.Dependency", dependency)?;
            }
            _ => {}
        }
    }
    Ok(Some(lock))
}

const METADATA_FIELDS: &[&str] = &[
    "name",
    "home",
    "sources",
    "version",
    "description",
    "keywords",
    "maintainers",
    "icon",
    "apiVersion",
    "condition",
    "tags",
    "appVersion",
    "deprecated",
    "annotations",
    "kubeVersion",
    "dependencies",
    "type",
];

/// The field a key means: the same text, or the same in another case.
fn field_name(names: &[&'static str], key: &str) -> &'static str {
    let found = names.iter().find(|name| **name == key);
    found.or_else(|| names.iter().find(|name| equal_fold(name, key))).copied().unwrap_or("")
}

fn fields<'a>(yaml: &'a Yaml, at: &At<'_>, go_type: &str) -> Result<Vec<(&'a String, &'a Yaml)>, String> {
    match yaml {
        Yaml::Null => Ok(Vec::new()),
        Yaml::Map(map) => Ok(map.iter().collect()),
        other => Err(at.wrong(other, go_type)),
    }
}

fn maintainer(yaml: &Yaml, maintainer: &mut Maintainer) -> Result<(), String> {
    let root = "Maintainer";
    for (key, value) in fields(yaml, &At { root, path: "maintainers" }, "v2.Maintainer")? {
        match field_name(&["name", "email", "url"], key) {
            "name" => At { root, path: "maintainers.name" }.text(&mut maintainer.name, value)?,
            "email" => At { root, path: "maintainers.email" }.text(&mut maintainer.email, value)?,
            "url" => At { root, path: "maintainers.url" }.text(&mut maintainer.url, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn dependency(yaml: &Yaml, dependency: &mut Dependency) -> Result<(), String> {
    let root = "Dependency";
    const FIELDS: &[&str] =
        &["name", "version", "repository", "condition", "tags", "enabled", "import-values", "alias"];
    for (key, value) in fields(yaml, &At { root, path: "dependencies" }, "v2.Dependency")? {
        let field = field_name(FIELDS, key);
        let path = format!("dependencies.{field}");
        let at = At { root, path: &path };
        match field {
            "name" => at.text(&mut dependency.name, value)?,
            "version" => at.text(&mut dependency.version, value)?,
            "repository" => at.text(&mut dependency.repository, value)?,
            "condition" => at.text(&mut dependency.condition, value)?,
            "tags" => at.texts(&mut dependency.tags, value)?,
            "enabled" => at.flag(&mut dependency.enabled, value)?,
            "import-values" => {
                at.list(&mut dependency.import_values, value, "[]interface {}", |item, decoded| {
                    *decoded = Value::from_yaml(item.clone());
                    Ok(())
                })?
            }
            "alias" => at.text(&mut dependency.alias, value)?,
            _ => {}
        }
    }
    Ok(())
}

fn annotations(field: &mut BTreeMap<String, String>, value: &Yaml, at: &At<'_>) -> Result<(), String> {
    match value {
        Yaml::Null => field.clear(),
        Yaml::Map(map) => {
            for (key, value) in map {
                let mut text = String::new();
                at.text(&mut text, value)?;
                field.insert(key.clone(), text);
            }
        }
        other => return Err(at.wrong(other, "map[string]string")),
    }
    Ok(())
}
