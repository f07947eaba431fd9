//! `.Chart`: a map in Helm 4, a struct with structs inside in Helm 3.

use std::sync::Arc;

use gotemplate::types::{self, LIST, MAP};
use gotemplate::{Frozen, FrozenMap, GoType, Host, Kind, List, Map, Str, TypeDesc, Value};

use crate::chart::metadata::Metadata;
use crate::profile::{ChartShape, HelmProfile};
use crate::values::tree::freeze;

/// `.Chart` as a frozen map with Go's field names; Helm 4.
pub(super) fn fields(metadata: &Metadata, is_root: bool) -> Arc<FrozenMap> {
    let text = |s: &String| Frozen::from(s.as_str());
    let texts = |list: &[String]| Frozen::list(list.iter().map(|s| Frozen::from(s.as_str())));
    let maintainers = metadata.maintainers.iter().map(|maintainer| {
        Frozen::map([
            ("Name", text(&maintainer.name)),
            ("Email", text(&maintainer.email)),
            ("URL", text(&maintainer.url)),
        ])
    });
    let dependencies = metadata.dependencies.iter().map(|dependency| {
        let imports = dependency.import_values.iter().map(|import| match import {
            crate::values::Value::Map(map) => Frozen::Map(freeze(map)),
            other => Frozen::from(other.as_str().unwrap_or_default()),
        });
        Frozen::map([
            ("Name", text(&dependency.name)),
            ("Version", text(&dependency.version)),
            ("Repository", text(&dependency.repository)),
            ("Condition", text(&dependency.condition)),
            ("Tags", texts(&dependency.tags)),
            ("Enabled", Frozen::Bool(dependency.enabled)),
            ("ImportValues", Frozen::list(imports)),
            ("Alias", text(&dependency.alias)),
        ])
    });
    let annotations = metadata.annotations.iter().map(|(key, value)| (key.as_str(), text(value)));
    let entries = [
        ("Name", text(&metadata.name)),
        ("Home", text(&metadata.home)),
        ("Sources", texts(&metadata.sources)),
        ("Version", text(&metadata.version)),
        ("Description", text(&metadata.description)),
        ("Keywords", texts(&metadata.keywords)),
        ("Maintainers", Frozen::list(maintainers)),
        ("Icon", text(&metadata.icon)),
        ("APIVersion", text(&metadata.api_version)),
        ("Condition", text(&metadata.condition)),
        ("Tags", text(&metadata.tags)),
        ("AppVersion", text(&metadata.app_version)),
        ("Deprecated", Frozen::Bool(metadata.deprecated)),
        ("Annotations", Frozen::map(annotations)),
        ("KubeVersion", text(&metadata.kube_version)),
        ("Dependencies", Frozen::list(dependencies)),
        ("Type", text(&metadata.chart_type)),
        ("IsRoot", Frozen::Bool(is_root)),
    ];
    Arc::new(entries.into_iter().map(|(key, value)| (Str::from(key), value)).collect())
}

/// `.Chart` of a render.
pub(super) fn of(profile: &HelmProfile, frozen: &Arc<FrozenMap>) -> Value {
    match profile.chart_shape {
        ChartShape::Map => {
            let map = Map::from_frozen(MAP, frozen.clone());
            if let Some(Value::Map(annotations)) = map.get("Annotations") {
                let nothing = annotations.is_empty();
                let annotations = if nothing {
                    Map::nil(types::STRING_MAP)
                } else {
                    annotations.as_type(types::STRING_MAP)
                };
                map.insert("Annotations", Value::Map(annotations));
            }
            Value::Map(map)
        }
        ChartShape::Struct => {
            Value::host(Record { shape: &CHART, fields: Map::from_frozen(MAP, frozen.clone()) })
        }
    }
}

/// A struct as Helm 3 shows it to templates: the metadata, a maintainer or a dependency.
struct Record {
    shape: &'static Shape,
    fields: Map,
}

struct Shape {
    go_type: GoType,
    fields: &'static [Field],
}

/// A field in order of declaration.
struct Field {
    name: &'static str,
    json: &'static str,
    /// Written in JSON even when empty.
    always: bool,
    /// What the items of a list of structs look like.
    items: Option<&'static Shape>,
}

const fn field(name: &'static str, json: &'static str) -> Field {
    Field { name, json, always: false, items: None }
}

const fn always(name: &'static str, json: &'static str) -> Field {
    Field { name, json, always: true, items: None }
}

const fn structs(name: &'static str, json: &'static str, items: &'static Shape) -> Field {
    Field { name, json, always: false, items: Some(items) }
}

static CHART: Shape = Shape {
    go_type: GoType({
        static DESC: TypeDesc = TypeDesc::host("struct { chart.Metadata; IsRoot bool }", Kind::Struct, &[]);
        &DESC
    }),
    fields: &[
        field("Name", "name"),
        field("Home", "home"),
        field("Sources", "sources"),
        field("Version", "version"),
        field("Description", "description"),
        field("Keywords", "keywords"),
        structs("Maintainers", "maintainers", &MAINTAINER),
        field("Icon", "icon"),
        field("APIVersion", "apiVersion"),
        field("Condition", "condition"),
        field("Tags", "tags"),
        field("AppVersion", "appVersion"),
        field("Deprecated", "deprecated"),
        field("Annotations", "annotations"),
        field("KubeVersion", "kubeVersion"),
        structs("Dependencies", "dependencies", &DEPENDENCY),
        field("Type", "type"),
        always("IsRoot", "IsRoot"),
    ],
};

static MAINTAINER: Shape = Shape {
    go_type: GoType({
        static DESC: TypeDesc = TypeDesc::host("*chart.Maintainer", Kind::Pointer, &[]);
        &DESC
    }),
    fields: &[field("Name", "name"), field("Email", "email"), field("URL", "url")],
};

static DEPENDENCY: Shape = Shape {
    go_type: GoType({
        static DESC: TypeDesc = TypeDesc::host("*chart.Dependency", Kind::Pointer, &[]);
        &DESC
    }),
    fields: &[
        always("Name", "name"),
        field("Version", "version"),
        always("Repository", "repository"),
        field("Condition", "condition"),
        field("Tags", "tags"),
        field("Enabled", "enabled"),
        field("ImportValues", "import-values"),
        field("Alias", "alias"),
    ],
};

impl Record {
    fn get(&self, field: &Field) -> Option<Value> {
        let value = self.fields.get(field.name)?;
        let Some(shape) = field.items else { return Some(value) };
        let items = value.as_list()?.iter().map(|item| match item {
            Value::Map(fields) => Value::host(Self { shape, fields: fields.clone() }),
            other => other.clone(),
        });
        Some(Value::List(List::new(LIST, items.collect())))
    }
}

impl Host for Record {
    fn go_type(&self) -> GoType {
        self.shape.go_type
    }

    fn field(&self, name: &[u8]) -> Option<Value> {
        self.get(self.shape.fields.iter().find(|field| field.name.as_bytes() == name)?)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.shape.fields.iter().filter_map(|field| Some((field.name, self.get(field)?))).collect()
    }

    fn json(&self) -> Option<Value> {
        let written = self.shape.fields.iter().filter_map(|field| {
            let value = self.get(field)?;
            (field.always || value.truth()).then_some((field.json, value))
        });
        Some(Value::host(JsonFields(written.collect())))
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// Fields under their JSON names, in order.
struct JsonFields(Vec<(&'static str, Value)>);

impl Host for JsonFields {
    fn go_type(&self) -> GoType {
        static DESC: TypeDesc = TypeDesc::host("struct", Kind::Struct, &[]);
        GoType(&DESC)
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.0.clone()
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}
