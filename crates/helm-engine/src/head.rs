//! The head of a document: what helm reads of it to tell hooks from manifests. It does not keep the rest.

mod plain;

use std::borrow::Cow;
use std::collections::BTreeMap;

use goyaml::{Build, Number};

use crate::gostring::equal_fold;
use crate::yaml::{self, Yaml, YamlError};

/// A document whose head cannot be read; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// It is no YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A field has a type it cannot have.
    #[error("error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {found} into Go {target}")]
    Type {
        /// What the document has, in Go's words.
        found: &'static str,
        /// What the head needs, in Go's words.
        target: String,
    },
}

/// `apiVersion`, `kind`, `metadata.name` and `metadata.annotations`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) annotations: BTreeMap<String, String>,
}

impl Head {
    pub(crate) fn parse(doc: &str) -> Result<Self, HeadError> {
        match plain::read(doc) {
            Some(head) => {
                debug_assert_eq!(Self::parse_fully(doc).as_ref(), Ok(&head), "{doc}");
                Ok(head)
            }
            None => Self::parse_fully(doc),
        }
    }

    fn parse_fully(doc: &str) -> Result<Self, HeadError> {
        let mut head = Self::default();
        match goyaml::decode(doc, goyaml::Options::default(), &mut HeadBuilder::default())
            .map_err(YamlError::from)?
        {
            Yaml::Null => {}
            Yaml::Map(fields) => {
                for (key, value) in &fields {
                    if equal_fold(key, "apiVersion") {
                        text(
                            &mut head.api_version,
                            value,
                            "struct field SimpleHead.apiVersion of type string",
                        )?;
                    } else if equal_fold(key, "kind") {
                        text(&mut head.kind, value, "struct field SimpleHead.kind of type string")?;
                    } else if equal_fold(key, "metadata") {
                        head.metadata(value)?;
                    }
                }
            }
            other => return Err(wrong(&other, "value of type util.SimpleHead")),
        }
        Ok(head)
    }

    fn metadata(&mut self, metadata: &Yaml) -> Result<(), HeadError> {
        const TYPE: &str = "struct field SimpleHead.metadata of type struct { Name string \"json:\\\"name\\\"\"; Annotations map[string]string \"json:\\\"annotations\\\"\" }";
        match metadata {
            Yaml::Null => {
                self.name.clear();
                self.annotations.clear();
            }
            Yaml::Map(fields) => {
                for (key, value) in fields {
                    if equal_fold(key, "name") {
                        text(&mut self.name, value, "struct field .metadata.name of type string")?;
                    } else if equal_fold(key, "annotations") {
                        self.annotate(value)?;
                    }
                }
            }
            other => return Err(wrong(other, TYPE)),
        }
        Ok(())
    }

    fn annotate(&mut self, annotations: &Yaml) -> Result<(), HeadError> {
        match annotations {
            Yaml::Null => self.annotations.clear(),
            Yaml::Map(fields) => {
                for (key, value) in fields {
                    let mut annotation = String::new();
                    text(&mut annotation, value, "struct field .metadata.annotations of type string")?;
                    self.annotations.insert(key.clone(), annotation);
                }
            }
            other => {
                return Err(wrong(other, "struct field .metadata.annotations of type map[string]string"));
            }
        }
        Ok(())
    }
}

/// Builds what the head is made of; of all the rest, only what kind of value it is.
#[derive(Default)]
struct HeadBuilder {
    /// How many keys lead to what is built now.
    depth: usize,
    /// Within `metadata`.
    metadata: bool,
    /// The depth from which on everything is needed.
    whole: Option<usize>,
}

impl Build for HeadBuilder {
    type Node = Yaml;

    fn enter(&mut self, key: &str) {
        self.depth += 1;
        if self.whole.is_some() {
            return;
        }
        let needed = match self.depth {
            1 => {
                self.metadata = equal_fold(key, "metadata");
                equal_fold(key, "apiVersion") || equal_fold(key, "kind")
            }
            2 if self.metadata => equal_fold(key, "name") || equal_fold(key, "annotations"),
            _ => false,
        };
        if needed {
            self.whole = Some(self.depth);
        }
    }

    fn leave(&mut self) {
        if self.whole == Some(self.depth) {
            self.whole = None;
        }
        self.depth -= 1;
    }

    fn null(&mut self) -> Yaml {
        Yaml::Null
    }

    fn bool(&mut self, value: bool) -> Yaml {
        Yaml::Bool(value)
    }

    fn number(&mut self, value: Number) -> Yaml {
        Yaml::Number(value)
    }

    fn string(&mut self, value: Cow<'_, str>) -> Yaml {
        Yaml::String(if self.whole.is_some() { value.into_owned() } else { String::new() })
    }

    fn array(&mut self, _: Vec<Yaml>) -> Yaml {
        Yaml::List(Vec::new())
    }

    fn object(&mut self, entries: Vec<(Cow<'_, str>, Yaml)>) -> Yaml {
        let needed = self.whole.is_some() || self.depth == 0 || (self.depth == 1 && self.metadata);
        let entries = if needed { entries } else { Vec::new() };
        Yaml::Map(entries.into_iter().map(|(key, value)| (key.into_owned(), value)).collect())
    }
}

/// Numbers and booleans become text, null leaves the field as it is.
fn text(field: &mut String, value: &Yaml, target: &str) -> Result<(), HeadError> {
    match yaml::scalar_text(value) {
        Some(text) => *field = text,
        None if *value == Yaml::Null => {}
        None => return Err(wrong(value, target)),
    }
    Ok(())
}

fn wrong(found: &Yaml, target: &str) -> HeadError {
    HeadError::Type { found: yaml::json_kind(found), target: target.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_head_is_kept_and_all_of_it() {
        let doc = "Kind: Job\nMETADATA:\n  annotations: {a: 1, b: true, c: null}\n  name: x\n  labels: {kind: no}\nspec: {kind: no, metadata: {name: no}}\napiversion: 1.10\n";
        let head = Head::parse(doc).unwrap();
        assert_eq!((head.api_version.as_str(), head.kind.as_str(), head.name.as_str()), ("1.1", "Job", "x"));
        let annotations: Vec<_> =
            head.annotations.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(annotations, ["a=1", "b=true", "c="]);
    }

    #[test]
    fn aliases_and_merges_reach_the_head() {
        let doc = "spec: &s {annotations: {a: x}, name: web}\nmetadata:\n  <<: *s\nkind: *k\n";
        assert!(Head::parse(doc).is_err());
        let head = Head::parse(&doc.replace("*k", "K")).unwrap();
        assert_eq!((head.name.as_str(), head.annotations["a"].as_str()), ("web", "x"));
    }

    #[test]
    fn wrong_types_are_named() {
        for (doc, found) in [
            ("kind: [a]", "cannot unmarshal array into Go struct field SimpleHead.kind of type string"),
            (
                "metadata: {annotations: {a: {b: c}}}",
                "cannot unmarshal object into Go struct field .metadata.annotations of type string",
            ),
            (
                "metadata: x",
                "cannot unmarshal string into Go struct field SimpleHead.metadata of type struct",
            ),
            ("- a", "cannot unmarshal array into Go value of type util.SimpleHead"),
            ("x: {y: {? [a] : b}}", "invalid map key"),
        ] {
            let error = Head::parse(doc).unwrap_err().to_string();
            assert!(error.contains(found), "{error}");
        }
    }
}
