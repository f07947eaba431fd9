//! The functions Helm adds to sprig's: encoding, `include`, `tpl`, `required`, `fail`, `lookup`.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use gotemplate::types::{ANY, LIST, MAP, STRING};
use gotemplate::{Ctx, Error, Execute, Func, FuncMap, Map, Reply, Str, Target, Value};

use super::reads::{LookupRead, ReadLog};
use super::{encode, errors, toml};
use crate::profile::HelmProfile;

/// How often templates may include one another before Helm gives up.
const MAX_INCLUDES: usize = 1000;

/// The slot of `lookup`, bound anew for each render.
pub(super) const LOOKUP_SLOT: usize = 0;

/// How often each template is being included right now.
#[derive(Default)]
pub(super) struct Includes(RefCell<HashMap<Str, usize, foldhash::fast::RandomState>>);

/// Every function a chart of that profile may call.
pub(super) fn functions(profile: &HelmProfile) -> FuncMap {
    let mut map = FuncMap::new();
    map.extend(gotemplate::sprig::functions());
    map.extend([
        Func::new("toYaml", &[ANY], STRING, |ctx, args| {
            encode::or_empty(encode::to_yaml_trimmed(ctx, &args[0])).map(Value::from)
        }),
        Func::new("toYamlPretty", &[ANY], STRING, |ctx, args| {
            encode::to_yaml_pretty(ctx, &args[0]).map(Value::from)
        }),
        Func::new("fromYaml", &[STRING], MAP, |ctx, args| decode(ctx, args, encode::from_yaml)),
        Func::new("fromYamlArray", &[STRING], LIST, |ctx, args| decode(ctx, args, encode::from_yaml_array)),
        Func::new("fromJson", &[STRING], MAP, |ctx, args| decode(ctx, args, encode::from_json)),
        Func::new("fromJsonArray", &[STRING], LIST, |ctx, args| decode(ctx, args, encode::from_json_array)),
        Func::new("toToml", &[ANY], STRING, |ctx, args| match toml::encode(&args[0]) {
            Ok(text) => bytes(ctx, text),
            Err(error) if error.is_panic => Err(Error::msg(error.text)),
            Err(error) => text(ctx, error.text),
        }),
        Func::new("fromToml", &[STRING], MAP, |ctx, args| decode(ctx, args, toml::decode)),
        Func::control("include", &[STRING, ANY], STRING, include),
        Func::control("tpl", &[STRING, ANY], STRING, super::tpl::tpl),
        Func::new("required", &[STRING, ANY], ANY, |_, args| {
            let missing = match &args[1] {
                Value::Nil => true,
                Value::Str(s) => s.is_empty(),
                _ => false,
            };
            if missing {
                Err(Error::msg(errors::mark(&string(&args[0]).to_string_lossy())))
            } else {
                Ok(args[1].clone())
            }
        }),
        Func::new("fail", &[STRING], STRING, |_, args| {
            Err(Error::msg(errors::mark(&string(&args[0]).to_string_lossy())))
        }),
        Func::bound("lookup", &[STRING, STRING, STRING, STRING], MAP, LOOKUP_SLOT),
        Func::new("getHostByName", &[STRING], STRING, |_, _| Ok(Value::Str(Str::EMPTY))),
    ]);
    if profile.must_to_yaml {
        map.insert(Func::new("mustToYaml", &[ANY], STRING, |ctx, args| {
            encode::to_yaml_trimmed(ctx, &args[0]).map(Value::from)
        }));
    }
    if profile.duration_functions {
        map.insert(Func::new("mustToToml", &[ANY], STRING, |ctx, args| {
            let toml = toml::encode(&args[0]).map_err(|error| Error::msg(error.text))?;
            bytes(ctx, toml)
        }));
        map.extend(gotemplate::sprig::duration_functions());
    }
    map
}

fn string(value: &Value) -> Str {
    value.as_str().cloned().unwrap_or_default()
}

fn text(ctx: &mut Ctx, text: String) -> Result<Value, Error> {
    bytes(ctx, text.into_bytes())
}

fn bytes(ctx: &mut Ctx, text: Vec<u8>) -> Result<Value, Error> {
    ctx.charge(text.len())?;
    Ok(Value::str(text))
}

fn decode(ctx: &mut Ctx, args: &[Value], read: fn(&[u8]) -> Value) -> Result<Value, Error> {
    let text = string(&args[0]);
    // A decoded tree takes several times the room of its text.
    ctx.charge(text.len().saturating_mul(8))?;
    Ok(read(text.as_bytes()))
}

fn include(ctx: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    let name = string(&args[0]);
    let includes = counts(ctx);
    {
        let mut counts = includes.0.borrow_mut();
        let count = counts.entry(name.clone()).or_insert(0);
        if *count > MAX_INCLUDES {
            return Err(Error::msg(format!(
                "rendering template has a nested reference name: {name}: unable to execute template"
            )));
        }
        *count += 1;
    }
    let target = Target::Named(name.clone());
    let after = Box::new(move |_: &mut Ctx, output: Result<Str, Error>| {
        if let Some(count) = includes.0.borrow_mut().get_mut(&name) {
            *count -= 1;
        }
        output.map(Value::Str)
    });
    Ok(Reply::Execute(Execute { target, data: args[1].clone(), after }))
}

fn counts(ctx: &mut Ctx) -> Rc<Includes> {
    if let Some(includes) = ctx.extension::<Includes>() {
        return includes;
    }
    ctx.set_extension(Includes::default());
    ctx.extension::<Includes>().expect("it was set just above")
}

/// `lookup` against a cluster, noted.
pub(super) fn lookup(
    lookup: &dyn super::Lookup,
    log: &RefCell<ReadLog>,
    args: &[Value],
) -> Result<Value, Error> {
    let text = |at: usize| string(&args[at]).to_string_lossy().into_owned();
    let read = LookupRead { api_version: text(0), kind: text(1), namespace: text(2), name: text(3) };
    let found = lookup.lookup(&read.api_version, &read.kind, &read.namespace, &read.name);
    log.borrow_mut().lookup(read);
    match found {
        Ok(json) => match encode::from_cluster(&json) {
            map @ Value::Map(_) => Ok(map),
            _ => Ok(Value::Map(Map::new())),
        },
        Err(error) => Err(Error::msg(error)),
    }
}
