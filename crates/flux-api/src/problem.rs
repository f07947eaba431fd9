//! What is wrong with an object, and where in it.

use std::fmt;

/// One step into a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A field, or the key of a map.
    Field(String),
    /// An element of a list.
    Index(usize),
}

/// Where in an object: `spec.valuesFrom[0].kind`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Path(Vec<Segment>);

impl Path {
    /// The object itself.
    pub fn root() -> Self {
        Self::default()
    }

    /// The steps from the root.
    pub fn segments(&self) -> &[Segment] {
        &self.0
    }

    pub(crate) fn push_field(&mut self, name: &str) {
        self.0.push(Segment::Field(name.to_owned()));
    }

    pub(crate) fn push_index(&mut self, index: usize) {
        self.0.push(Segment::Index(index));
    }

    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    pub(crate) fn of(fields: &[&str]) -> Self {
        Self(fields.iter().map(|field| Segment::Field((*field).to_owned())).collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Index(index) => write!(f, "[{index}]")?,
                Segment::Field(name) if name.contains(['.', '/']) => write!(f, "[{name}]")?,
                Segment::Field(name) if at == 0 => f.write_str(name)?,
                Segment::Field(name) => write!(f, ".{name}")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong, in the API server's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub path: Path,
    /// What, without the path: `Required value`, `unknown field`.
    pub reason: String,
}

/// What [`Problem::reason`] says of a field the API does not have.
const UNKNOWN_FIELD: &str = "unknown field";

impl Problem {
    pub(crate) fn new(path: Path, reason: impl Into<String>) -> Self {
        Self { path, reason: reason.into() }
    }

    pub(crate) fn unknown(path: Path) -> Self {
        Self::new(path, UNKNOWN_FIELD)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reason == UNKNOWN_FIELD {
            write!(f, "unknown field {:?}", self.path.to_string())
        } else if self.path.segments().is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.path, self.reason)
        }
    }
}

/// Everything that is wrong with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecodeError {
    /// The problems, in the order of the fields; never empty.
    pub problems: Vec<Problem>,
}

impl DecodeError {
    /// The first problem's place.
    pub fn path(&self) -> String {
        self.problems.first().map(|problem| problem.path.to_string()).unwrap_or_default()
    }
}

impl From<Problem> for DecodeError {
    fn from(problem: Problem) -> Self {
        Self { problems: vec![problem] }
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.problems.iter().enumerate() {
            if at > 0 {
                f.write_str(", ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for DecodeError {}
