//! The head of a document: what helm reads of it to tell hooks from manifests.

use std::collections::BTreeMap;

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
        let mut head = Self::default();
        match yaml::parse(doc)? {
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
