//! Parsed templates and the sets that name them.

use crate::code::Template;
use crate::{Error, FuncMap, Str, compile, parse};
use std::collections::HashMap;
use std::sync::Arc;

/// What a missing key of a map evaluates to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// No value at all: prints `<no value>`. Go's default.
    #[default]
    Invalid,
    /// The zero value of the map's elements; for `interface {}` that prints `<no value>` too.
    Zero,
    /// An error.
    Error,
}

/// A text parsed and compiled: itself and the templates it defines. Immutable, shared between threads;
/// cache it by the hash of its text.
pub struct Parsed {
    templates: Vec<Arc<Template>>,
}

impl Parsed {
    /// Parses a text under a name. The functions it calls are resolved here, so they must be those of
    /// the sets it is used with.
    pub fn parse(name: &str, text: impl Into<Arc<[u8]>>, funcs: &FuncMap) -> Result<Parsed, Error> {
        Parsed::parse_with_delims(name, text, "", "", funcs)
    }

    /// As [`Parsed::parse`], with other delimiters; empty ones stand for `{{` and `}}`.
    pub fn parse_with_delims(
        name: &str,
        text: impl Into<Arc<[u8]>>,
        left: &str,
        right: &str,
        funcs: &FuncMap,
    ) -> Result<Parsed, Error> {
        let trees = parse::parse(name, text.into(), left, right, funcs)?;
        Ok(Parsed { templates: compile::compile(trees, funcs) })
    }

    /// The names of the templates it defines, its own first.
    pub fn names(&self) -> impl Iterator<Item = &Str> {
        self.templates.iter().map(|t| &t.name)
    }

    pub(crate) fn main(&self) -> &Arc<Template> {
        &self.templates[0]
    }
}

/// Templates by name. A set may lie over another, which it extends without copying.
pub struct TemplateSet {
    name: String,
    missing_key: MissingKey,
    templates: HashMap<Str, Arc<Template>>,
    below: Option<Arc<TemplateSet>>,
}

impl TemplateSet {
    /// An empty set; the name is the root template's, which appears in error messages.
    pub fn new(name: impl Into<String>, missing_key: MissingKey) -> TemplateSet {
        TemplateSet { name: name.into(), missing_key, templates: HashMap::new(), below: None }
    }

    /// Adds a parsed text. Its templates replace those of the same names, unless they are blank.
    pub fn add(&mut self, parsed: &Parsed) {
        for template in &parsed.templates {
            if template.is_empty && self.find(&template.name).is_some() {
                continue;
            }
            self.templates.insert(template.name.clone(), template.clone());
        }
    }

    /// A set over this one, with the templates of a parsed text in front.
    pub fn extended(self: &Arc<Self>, parsed: &Parsed) -> Arc<TemplateSet> {
        let mut set = TemplateSet {
            name: self.name.clone(),
            missing_key: self.missing_key,
            templates: HashMap::new(),
            below: Some(self.clone()),
        };
        set.add(parsed);
        Arc::new(set)
    }

    /// Whether a template of that name is defined.
    pub fn contains(&self, name: impl AsRef<[u8]>) -> bool {
        self.find(name.as_ref()).is_some()
    }

    /// The name of the root template.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn missing_key(&self) -> MissingKey {
        self.missing_key
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<&Arc<Template>> {
        let mut set = self;
        loop {
            if let Some(template) = set.templates.get(name) {
                return Some(template);
            }
            set = set.below.as_deref()?;
        }
    }
}
