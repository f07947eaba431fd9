//! Parsed templates and the sets that name them.

use crate::code::Template;
use crate::collections::HashMap;
use crate::{Error, FuncMap, Str, compile, parse};
use std::cell::RefCell;
use std::rc::Rc;
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

/// Templates by name. Immutable once built; renders on all threads share it.
pub struct TemplateSet {
    name: String,
    missing_key: MissingKey,
    templates: HashMap<Str, Arc<Template>>,
}

impl TemplateSet {
    /// An empty set; the name is the root template's, which appears in error messages.
    pub fn new(name: impl Into<String>, missing_key: MissingKey) -> TemplateSet {
        TemplateSet { name: name.into(), missing_key, templates: HashMap::default() }
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
        self.templates.get(name)
    }
}

/// One render's own handle of a template, so that calls do not touch counters other threads touch too.
pub(crate) struct Local(pub(crate) Arc<Template>);

/// One render's view of a set: the set itself, or an extra text over another view.
pub(crate) enum View {
    Set { set: Arc<TemplateSet>, seen: RefCell<HashMap<Str, Rc<Local>>> },
    Over { parsed: Arc<Parsed>, below: Rc<View> },
}

impl View {
    pub(crate) fn new(set: Arc<TemplateSet>) -> Rc<View> {
        Rc::new(View::Set { set, seen: RefCell::default() })
    }

    pub(crate) fn set(&self) -> &Arc<TemplateSet> {
        let mut view = self;
        loop {
            match view {
                View::Set { set, .. } => return set,
                View::Over { below, .. } => view = below,
            }
        }
    }

    pub(crate) fn find(&self, name: &[u8]) -> Option<Rc<Local>> {
        let mut view = self;
        let mut blank = None;
        loop {
            match view {
                View::Set { set, seen } => {
                    if let Some(local) = seen.borrow().get(name) {
                        return Some(local.clone());
                    }
                    let Some(template) = set.find(name) else {
                        return blank.map(|template| Rc::new(Local(template)));
                    };
                    let local = Rc::new(Local(template.clone()));
                    seen.borrow_mut().insert(template.name.clone(), local.clone());
                    return Some(local);
                }
                View::Over { parsed, below } => {
                    if let Some(template) = parsed.templates.iter().find(|t| t.name.as_bytes() == name) {
                        if !template.is_empty {
                            return Some(Rc::new(Local(template.clone())));
                        }
                        // A blank one does not hide what is below.
                        blank.get_or_insert_with(|| template.clone());
                    }
                    view = below;
                }
            }
        }
    }
}
