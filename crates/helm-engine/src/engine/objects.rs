//! The objects a template starts from: `.Values`, `.Release`, `.Capabilities`, `.Files`,
//! `.Template` and `.Subcharts`, with the Go types and methods they have in Helm.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use gotemplate::types::{self, BOOL, BYTES, BYTES_MAP, MAP, STRING, STRINGS};
use gotemplate::{Ctx, Error, GoType, Host, List, Map, Method, Str, TypeDesc, Value};

use super::encode;
use super::reads::ReadLog;
use crate::capabilities::{BuildInfo, Capabilities, KubeVersion};
use crate::glob::Glob;
use crate::gostring;
use crate::profile::HelmProfile;

/// `.Values` of Helm 4: a map whose methods win over keys of the same name.
pub(super) const VALUES_V4: GoType = GoType(&VALUES_V4_DESC);
static VALUES_V4_DESC: TypeDesc = TypeDesc::named("common.Values", MAP, VALUES_METHODS);

/// `.Values` of Helm 3.
pub(super) const VALUES_V3: GoType = GoType(&VALUES_V3_DESC);
static VALUES_V3_DESC: TypeDesc = TypeDesc::named("chartutil.Values", MAP, VALUES_METHODS);

/// `.Files`
pub(super) const FILES: GoType = GoType(&FILES_DESC);
static FILES_DESC: TypeDesc = TypeDesc::named("engine.files", BYTES_MAP, FILES_METHODS);

/// The type of `.Values` in a profile.
pub(super) fn values_type(profile: &HelmProfile) -> GoType {
    if profile.values_type == VALUES_V3.name() { VALUES_V3 } else { VALUES_V4 }
}

/// `io.Writer`, of which templates have none.
const WRITER: GoType = {
    static DESC: TypeDesc = TypeDesc::host("io.Writer", gotemplate::Kind::Struct, &[]);
    GoType(&DESC)
};

static VALUES_METHODS: &[Method] = &[
    Method {
        name: "AsMap",
        params: &[],
        variadic: false,
        result: MAP,
        call: |_, receiver, _| {
            let map = receiver_map(receiver)?;
            Ok(Value::Map(if map.is_empty() { Map::new() } else { map.as_type(MAP) }))
        },
    },
    Method {
        name: "Encode",
        params: &[WRITER],
        variadic: false,
        result: types::ERROR,
        call: |_, _, _| Err(Error::msg("nothing to write to")),
    },
    Method {
        name: "PathValue",
        params: &[STRING],
        variadic: false,
        result: types::ANY,
        call: |_, receiver, args| path_value(receiver_map(receiver)?, &text(&args[0])),
    },
    Method {
        name: "Table",
        params: &[STRING],
        variadic: false,
        result: GoType(&VALUES_V4_DESC),
        call: |_, receiver, args| {
            let mut table = receiver_map(receiver)?.clone();
            let ty = table.go_type();
            for name in text(&args[0]).split('.') {
                table = match table.get(name) {
                    Some(Value::Map(below)) if is_values_table(&below) => below,
                    _ => return Err(Error::msg(format!("{} is not a table", gostring::quote(name)))),
                };
            }
            Ok(Value::Map(table.as_type(ty)))
        },
    },
    Method {
        name: "YAML",
        params: &[],
        variadic: false,
        result: STRING,
        call: |ctx, receiver, _| encode::to_yaml(ctx, receiver).map(Value::from),
    },
];

fn is_values_table(map: &Map) -> bool {
    [MAP, VALUES_V4, VALUES_V3].contains(&map.go_type())
}

fn receiver_map(receiver: &Value) -> Result<&Map, Error> {
    receiver.as_map().ok_or_else(|| Error::msg("not a map"))
}

fn text(value: &Value) -> String {
    value.as_str().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The value at a dotted path, which must not be a table.
fn path_value(values: &Map, path: &str) -> Result<Value, Error> {
    if path.is_empty() {
        return Err(Error::msg("YAML path cannot be empty"));
    }
    let (tables, key) = match path.rsplit_once('.') {
        Some((tables, key)) => (Some(tables), key),
        None => (None, path),
    };
    let missing = || Error::msg(format!("{} is not a value", gostring::quote(key)));
    let mut table = values.clone();
    for name in tables.into_iter().flat_map(|tables| tables.split('.')) {
        table = match table.get(name) {
            Some(Value::Map(below)) if is_values_table(&below) => below,
            _ => return Err(missing()),
        };
    }
    match table.get(key) {
        Some(Value::Map(found)) if found.go_type() == MAP => Err(missing()),
        Some(found) => Ok(found),
        None => Err(missing()),
    }
}

static FILES_METHODS: &[Method] = &[
    Method {
        name: "AsConfig",
        params: &[],
        variadic: false,
        result: STRING,
        call: |ctx, receiver, _| flat_files(ctx, receiver, |data| Value::Str(Str::from(data))),
    },
    Method {
        name: "AsSecrets",
        params: &[],
        variadic: false,
        result: STRING,
        call: |ctx, receiver, _| {
            use base64::Engine as _;
            flat_files(ctx, receiver, |data| {
                Value::from(base64::engine::general_purpose::STANDARD.encode(&data))
            })
        },
    },
    Method {
        name: "Get",
        params: &[STRING],
        variadic: false,
        result: STRING,
        call: |_, receiver, args| {
            let data = file(receiver, &args[0])?.unwrap_or_default();
            Ok(Value::Str(Str::from(data)))
        },
    },
    Method {
        name: "GetBytes",
        params: &[STRING],
        variadic: false,
        result: BYTES,
        call: |_, receiver, args| Ok(Value::Bytes(Some(file(receiver, &args[0])?.unwrap_or_default()))),
    },
    Method {
        name: "Glob",
        params: &[STRING],
        variadic: false,
        result: GoType(&FILES_DESC),
        call: |ctx, receiver, args| {
            let glob = Glob::new(&text(&args[0]));
            let files = receiver_map(receiver)?;
            ctx.work(files.len() as u64)?;
            let matching = files
                .entries()
                .into_iter()
                .filter(|(name, _)| glob.matches(&name.to_string_lossy()))
                .collect();
            Ok(Value::Map(Map::from_entries(FILES, matching)))
        },
    },
    Method {
        name: "Lines",
        params: &[STRING],
        variadic: false,
        result: STRINGS,
        call: |ctx, receiver, args| {
            let data = file(receiver, &args[0])?.unwrap_or_default();
            if data.is_empty() {
                return Ok(Value::List(List::new(STRINGS, Vec::new())));
            }
            ctx.charge(data.len())?;
            let data = data.strip_suffix(b"\n").unwrap_or(&data);
            Ok(Value::strings(data.split(|b| *b == b'\n')))
        },
    },
];

fn file(receiver: &Value, name: &Value) -> Result<Option<Arc<[u8]>>, Error> {
    let name = name.as_str().ok_or_else(|| Error::msg("not a string"))?;
    Ok(match receiver_map(receiver)?.get(name) {
        Some(Value::Bytes(data)) => data,
        _ => None,
    })
}

/// Files by their last path component, as YAML.
fn flat_files(ctx: &mut Ctx, receiver: &Value, value: impl Fn(Arc<[u8]>) -> Value) -> Result<Value, Error> {
    let flat = receiver_map(receiver)?.entries().into_iter().filter_map(|(name, data)| match data {
        Value::Bytes(data) => {
            let name = name.to_string_lossy();
            Some((Str::from(gostring::base_name(&name)), value(data.unwrap_or_default())))
        }
        _ => None,
    });
    let flat = Map::from_entries(types::STRING_MAP, flat.collect());
    encode::or_empty(encode::to_yaml_trimmed(ctx, &Value::Map(flat))).map(Value::from)
}

/// `.Capabilities`: a pointer to a struct; notes which parts are read.
pub(super) struct CapabilitiesHost {
    capabilities: Rc<Capabilities>,
    reads: Rc<RefCell<ReadLog>>,
}

impl CapabilitiesHost {
    pub(super) fn new(capabilities: &Capabilities, reads: &Rc<RefCell<ReadLog>>) -> Self {
        Self { capabilities: Rc::new(capabilities.clone()), reads: reads.clone() }
    }
}

const CAPABILITIES: GoType = GoType(&CAPABILITIES_DESC);
static CAPABILITIES_DESC: TypeDesc =
    TypeDesc::host("*common.Capabilities", gotemplate::Kind::Pointer, CAPABILITIES_METHODS);

static CAPABILITIES_METHODS: &[Method] = &[Method {
    name: "Copy",
    params: &[],
    variadic: false,
    result: GoType(&CAPABILITIES_DESC),
    call: |_, receiver, _| {
        let host = receiver.as_host::<CapabilitiesHost>().ok_or_else(|| Error::msg("not capabilities"))?;
        let capabilities = Rc::new(Capabilities::clone(&host.capabilities));
        Ok(Value::host(CapabilitiesHost { capabilities, reads: host.reads.clone() }))
    },
}];

const KUBE_VERSION: GoType = {
    static DESC: TypeDesc =
        TypeDesc::host("common.KubeVersion", gotemplate::Kind::Struct, KUBE_VERSION_METHODS);
    GoType(&DESC)
};

const VERSION_SET: GoType = {
    static DESC: TypeDesc = TypeDesc::named("common.VersionSet", STRINGS, VERSION_SET_METHODS);
    GoType(&DESC)
};

const BUILD_INFO: GoType = {
    static DESC: TypeDesc = TypeDesc::host("version.BuildInfo", gotemplate::Kind::Struct, &[]);
    GoType(&DESC)
};

static KUBE_VERSION_METHODS: &[Method] = &[
    Method {
        name: "GitVersion",
        params: &[],
        variadic: false,
        result: STRING,
        call: |_, receiver, _| {
            let host = receiver.as_host::<KubeVersionHost>().ok_or_else(|| Error::msg("not a version"))?;
            Ok(Value::from(host.0.version.as_str()))
        },
    },
    Method {
        name: "String",
        params: &[],
        variadic: false,
        result: STRING,
        call: |_, receiver, _| {
            let host = receiver.as_host::<KubeVersionHost>().ok_or_else(|| Error::msg("not a version"))?;
            Ok(Value::from(host.0.normalized.as_str()))
        },
    },
];

static VERSION_SET_METHODS: &[Method] =
    &[Method { name: "Has", params: &[STRING], variadic: false, result: BOOL, call: version_set_has }];

fn version_set_has(ctx: &mut Ctx, receiver: &Value, args: &[Value]) -> Result<Value, Error> {
    let wanted = args[0].as_str().ok_or_else(|| Error::msg("not a string"))?;
    if let Some(log) = ctx.extension::<Rc<RefCell<ReadLog>>>() {
        log.borrow_mut().capability(format!("APIVersions/{wanted}"));
    }
    let set = receiver.as_list().map(List::as_slice).unwrap_or_default();
    Ok(Value::Bool(set.iter().any(|version| version.as_str() == Some(wanted))))
}

impl Host for CapabilitiesHost {
    fn go_type(&self) -> GoType {
        CAPABILITIES
    }

    fn field(&self, name: &[u8]) -> Option<Value> {
        let capabilities = &self.capabilities;
        Some(match name {
            b"KubeVersion" => {
                self.reads.borrow_mut().capability("KubeVersion".to_owned());
                Value::host(KubeVersionHost(capabilities.kube_version.clone()))
            }
            b"APIVersions" => {
                let versions = capabilities.api_versions.iter().map(|version| Value::from(version.as_str()));
                Value::List(List::new(VERSION_SET, versions.collect()))
            }
            b"HelmVersion" => {
                self.reads.borrow_mut().capability("HelmVersion".to_owned());
                Value::host(BuildInfoHost(capabilities.helm_version.clone()))
            }
            _ => return None,
        })
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.reads.borrow_mut().capability("APIVersions".to_owned());
        let names = ["KubeVersion", "APIVersions", "HelmVersion"];
        names.into_iter().filter_map(|name| Some((name, self.field(name.as_bytes())?))).collect()
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        Some(
            other
                .downcast_ref::<Self>()
                .is_some_and(|other| Rc::ptr_eq(&self.capabilities, &other.capabilities)),
        )
    }
}

struct KubeVersionHost(KubeVersion);

impl Host for KubeVersionHost {
    fn go_type(&self) -> GoType {
        KUBE_VERSION
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        vec![
            ("Version", Value::from(self.0.version.as_str())),
            ("Major", Value::from(self.0.major.as_str())),
            ("Minor", Value::from(self.0.minor.as_str())),
        ]
    }

    fn has_unexported(&self, name: &[u8]) -> bool {
        name == b"normalizedVersion"
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = self.fields();
        fields.insert(1, ("normalizedVersion", Value::from(self.0.normalized.as_str())));
        fields
    }

    fn pointer_string(&self) -> Option<Str> {
        Some(Str::from(self.0.normalized.as_str()))
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        Some(other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0))
    }
}

struct BuildInfoHost(BuildInfo);

impl Host for BuildInfoHost {
    fn go_type(&self) -> GoType {
        BUILD_INFO
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        let info = &self.0;
        let mut fields = vec![
            ("Version", Value::from(info.version.as_str())),
            ("GitCommit", Value::from(info.git_commit.as_str())),
            ("GitTreeState", Value::from(info.git_tree_state.as_str())),
            ("GoVersion", Value::from(info.go_version.as_str())),
        ];
        if let Some(client) = &info.kube_client_version {
            fields.push(("KubeClientVersion", Value::from(client.as_str())));
        }
        fields
    }

    fn json(&self) -> Option<Value> {
        let info = &self.0;
        let mut fields = Vec::new();
        for (name, value) in [
            ("version", &info.version),
            ("git_commit", &info.git_commit),
            ("git_tree_state", &info.git_tree_state),
            ("go_version", &info.go_version),
        ] {
            if !value.is_empty() {
                fields.push((name, Value::from(value.as_str())));
            }
        }
        if let Some(client) = &info.kube_client_version {
            fields.push(("kube_client_version", Value::from(client.as_str())));
        }
        Some(Value::map(fields))
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        Some(other.downcast_ref::<Self>().is_some_and(|other| self.0 == other.0))
    }
}
