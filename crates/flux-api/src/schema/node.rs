//! A schema as a tree, and the words to write one down.

use serde_json::{Map, Value};

use super::Generation;

/// What a value may be.
pub(crate) enum Node {
    Object(Object),
    /// Any keys, values of one shape.
    Map(Box<Node>),
    List(List),
    Text(Text),
    Bool,
    Int {
        min: Option<i64>,
    },
    /// Anything at all.
    Any,
    /// An object whose fields are not ours to know.
    AnyObject,
}

/// An object with known fields.
#[derive(Default)]
pub(crate) struct Object {
    pub(crate) fields: Vec<Field>,
    pub(crate) rules: Vec<Rule>,
}

pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) node: Node,
    pub(crate) required: bool,
    /// Has a default in the CRD: an explicit null counts as absent, and absence is no fault.
    pub(crate) defaulted: bool,
}

/// A rule over several fields: true means it is kept.
pub(crate) struct Rule {
    pub(crate) kept: fn(&Map<String, Value>) -> bool,
    pub(crate) message: &'static str,
}

pub(crate) struct List {
    pub(crate) item: Box<Node>,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
}

/// A string.
#[derive(Default)]
pub(crate) struct Text {
    pub(crate) words: Option<&'static [&'static str]>,
    pub(crate) pattern: Option<&'static str>,
    pub(crate) min: usize,
    pub(crate) max: Option<usize>,
    pub(crate) form: Form,
}

/// What else a string must be.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Form {
    #[default]
    Plain,
    /// A Go duration.
    Duration,
    /// A path inside an artifact.
    Path,
    /// No NUL character, which no file name can have.
    FileName,
}

impl Object {
    /// A field that must be there.
    pub(crate) fn req(self, name: &'static str, node: impl Into<Node>) -> Self {
        self.field(name, node.into(), true, false)
    }

    /// A field that may be there.
    pub(crate) fn opt(self, name: &'static str, node: impl Into<Node>) -> Self {
        self.field(name, node.into(), false, false)
    }

    /// A field with a default.
    pub(crate) fn def(self, name: &'static str, node: impl Into<Node>) -> Self {
        self.field(name, node.into(), false, true)
    }

    fn field(mut self, name: &'static str, node: Node, required: bool, defaulted: bool) -> Self {
        self.fields.push(Field { name, node, required, defaulted });
        self
    }

    /// More fields when `condition` holds.
    pub(crate) fn when(self, condition: bool, more: impl FnOnce(Self) -> Self) -> Self {
        if condition { more(self) } else { self }
    }

    /// More fields from `since` on.
    pub(crate) fn since(self, since: Generation, now: Generation, more: impl FnOnce(Self) -> Self) -> Self {
        self.when(now >= since, more)
    }

    /// A rule over several fields.
    pub(crate) fn rule(mut self, kept: fn(&Map<String, Value>) -> bool, message: &'static str) -> Self {
        self.rules.push(Rule { kept, message });
        self
    }
}

impl Text {
    pub(crate) fn pattern(self, pattern: &'static str) -> Self {
        Self { pattern: Some(pattern), ..self }
    }

    pub(crate) fn length(self, min: usize, max: usize) -> Self {
        Self { min, max: Some(max), ..self }
    }

    pub(crate) fn max(self, max: usize) -> Self {
        Self { max: Some(max), ..self }
    }
}

impl List {
    pub(crate) fn min(self, min: usize) -> Self {
        Self { min, ..self }
    }

    pub(crate) fn max(self, max: usize) -> Self {
        Self { max: Some(max), ..self }
    }
}

impl From<Object> for Node {
    fn from(node: Object) -> Self {
        Node::Object(node)
    }
}

impl From<List> for Node {
    fn from(node: List) -> Self {
        Node::List(node)
    }
}

impl From<Text> for Node {
    fn from(node: Text) -> Self {
        Node::Text(node)
    }
}

/// An object with the fields that follow.
pub(crate) fn object() -> Object {
    Object::default()
}

/// A string.
pub(crate) fn text() -> Text {
    Text::default()
}

/// One of these words.
pub(crate) fn word(words: &'static [&'static str]) -> Text {
    Text { words: Some(words), ..Text::default() }
}

/// true or false.
pub(crate) fn boolean() -> Node {
    Node::Bool
}

/// A whole number.
pub(crate) fn int() -> Node {
    Node::Int { min: None }
}

/// A list.
pub(crate) fn list(item: impl Into<Node>) -> List {
    List { item: Box::new(item.into()), min: 0, max: None }
}

/// A map to strings.
pub(crate) fn strings() -> Node {
    Node::Map(Box::new(text().into()))
}

/// A duration with hours.
pub(crate) fn duration() -> Text {
    Text { pattern: Some(r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"), form: Form::Duration, ..Text::default() }
}

/// A duration without hours: timeouts of sources and providers.
pub(crate) fn short_duration() -> Text {
    Text { pattern: Some(r"^([0-9]+(\.[0-9]+)?(ms|s|m))+$"), form: Form::Duration, ..Text::default() }
}

/// A duration of the first generation, which had no pattern: whatever Go reads, but not negative.
pub(crate) fn free_duration() -> Text {
    Text { form: Form::Duration, ..Text::default() }
}

/// A directory or file inside an artifact.
pub(crate) fn path() -> Text {
    Text { form: Form::Path, ..Text::default() }
}

/// A name a file could have.
pub(crate) fn file_name() -> Text {
    Text { form: Form::FileName, ..Text::default() }
}
