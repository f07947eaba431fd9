//! From JSON to a typed object, strictly: what the API server would refuse is refused.

use serde_json::Value;

use crate::convert::to_current;
use crate::kind::Kind;
use crate::meta::{ObjectMeta, label_problem, subdomain_problem};
use crate::object::FluxObject;
use crate::problem::{DecodeError, Path, Problem};
use crate::schema::{self, Generation};

/// What a manifest's `apiVersion` and `kind` say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// A kind and version sluice reads.
    Flux(Kind),
    /// Flux's, but not a version or kind that is known here; the text says which are.
    Unsupported(String),
    /// Not Flux's.
    Other,
}

/// Groups whose unknown kinds are worth a word.
const FLUX_GROUPS: &[&str] = &[
    "source.toolkit.fluxcd.io",
    "kustomize.toolkit.fluxcd.io",
    "helm.toolkit.fluxcd.io",
    "image.toolkit.fluxcd.io",
    "notification.toolkit.fluxcd.io",
    "source.extensions.fluxcd.io",
];

/// Looks at `apiVersion` and `kind` alone.
pub fn classify(api_version: &str, kind: &str) -> Class {
    let Some((group, version)) = api_version.split_once('/') else { return Class::Other };
    if !FLUX_GROUPS.contains(&group) {
        return Class::Other;
    }
    let no_match = format!("no matches for kind {kind:?} in version {api_version:?}");
    match Kind::ALL.iter().copied().find(|known| known.as_str() == kind && known.group() == group) {
        None => Class::Unsupported(no_match),
        Some(known) if known.versions().contains(&version) => Class::Flux(known),
        Some(known) => Class::Unsupported(format!("{no_match} (served: {})", known.versions().join(", "))),
    }
}

/// Reads one object of any Flux kind and version; see [`classify`] for what is one.
///
/// Everything that is wrong is reported, in the words of an API server in strict mode. The status is taken as it is:
/// whatever part of it cannot be read counts as absent.
pub fn decode(value: &Value) -> Result<FluxObject, DecodeError> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    if !value.is_object() {
        return Err(Problem::new(Path::root(), "the manifest is not an object").into());
    }
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    for (field, content) in [("apiVersion", api_version), ("kind", kind)] {
        if content.is_empty() {
            return Err(Problem::new(Path::of(&[field]), "Required value").into());
        }
    }
    let kind = match classify(api_version, kind) {
        Class::Flux(kind) => kind,
        Class::Unsupported(reason) => return Err(Problem::new(Path::root(), reason).into()),
        Class::Other => {
            let reason = format!("no matches for kind {kind:?} in version {api_version:?}");
            return Err(Problem::new(Path::root(), reason).into());
        }
    };
    let version = api_version.rsplit('/').next().unwrap_or_default();
    let generation = Generation::of(kind, version).expect("classify has found the version");

    let mut problems = schema::problems(kind, generation, value);
    names(value, &mut problems);
    if !problems.is_empty() {
        return Err(DecodeError { problems });
    }

    let part = |field: &str| match value.get(field) {
        None | Some(Value::Null) => Value::Object(serde_json::Map::new()),
        Some(part) => part.clone(),
    };
    let (mut spec, mut status) = (part("spec"), part("status"));
    to_current(kind, &mut spec, &mut status);
    let metadata = metadata(value.get("metadata"))?;
    FluxObject::build(kind, api_version.to_owned(), metadata, tidy(spec), status)
        .map_err(|error| Problem::new(Path::of(&["spec"]), error.to_string()).into())
}

fn names(value: &Value, problems: &mut Vec<Problem>) {
    let metadata = value.get("metadata");
    let mut check = |field: &str, problem: fn(&str) -> Option<&'static str>| {
        if let Some(name) = metadata.and_then(|metadata| metadata.get(field)).and_then(Value::as_str)
            && let Some(reason) = problem(name)
        {
            let shown: String = name.chars().take(100).collect();
            let reason = format!("Invalid value: {shown:?}: {reason}");
            problems.push(Problem::new(Path::of(&["metadata", field]), reason));
        }
    };
    check("name", subdomain_problem);
    check("namespace", |name| if name.is_empty() { None } else { label_problem(name) });
}

fn metadata(value: Option<&Value>) -> Result<ObjectMeta, DecodeError> {
    let value = tidy(value.cloned().unwrap_or_default());
    serde_json::from_value(value)
        .map_err(|error| Problem::new(Path::of(&["metadata"]), error.to_string()).into())
}

/// A null the rules let pass stands for absence, and `3.0` for `3`; inside `values` both are the user's and stay.
fn tidy(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| {
                    let value = if key == "values" { value } else { tidy(value) };
                    (key, value)
                })
                .collect(),
        ),
        Value::Array(items) => Value::Array(items.into_iter().map(tidy).collect()),
        Value::Number(number) => {
            schema::whole(&Value::Number(number.clone())).map_or(Value::Number(number), Value::from)
        }
        other => other,
    }
}
