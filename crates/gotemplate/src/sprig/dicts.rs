//! Dicts. `set`, `unset` and the merges change their first argument where it is.

use super::args::{Answer, Args, string, strval};
use super::merge::merge_into;
use crate::types::{ANY, BOOL, LIST, MAP, STRING, STRINGS};
use crate::{Ctx, Error, Func, List, Map, Value};

/// The dict functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::variadic("dict", &[ANY], MAP, dict),
    Func::new("get", &[MAP, STRING], ANY, |_, args| match args.map(0)?.get(args.text(1)?) {
        Some(value) => Ok(value),
        None => string(""),
    }),
    Func::new("set", &[MAP, STRING, ANY], MAP, set),
    Func::new("unset", &[MAP, STRING], MAP, |_, args| {
        args.map(0)?.remove(args.text(1)?);
        Ok(args.any(0).clone())
    }),
    Func::new("hasKey", &[MAP, STRING], BOOL, |_, args| {
        Ok(Value::Bool(args.map(0)?.contains(args.text(1)?)))
    }),
    Func::variadic("pluck", &[STRING, MAP], LIST, pluck),
    Func::variadic("keys", &[MAP], STRINGS, keys),
    Func::new("values", &[MAP], LIST, |ctx, args| {
        let values = args.map(0)?.values();
        ctx.charge(values.len() * size_of::<Value>())?;
        Ok(Value::list(values))
    }),
    Func::variadic("pick", &[MAP, STRING], MAP, pick),
    Func::variadic("omit", &[MAP, STRING], MAP, omit),
    Func::variadic("merge", &[MAP, MAP], ANY, |ctx, args| merge(ctx, args, false)),
    Func::variadic("mustMerge", &[MAP, MAP], ANY, |ctx, args| merge(ctx, args, false)),
    Func::variadic("mergeOverwrite", &[MAP, MAP], ANY, |ctx, args| merge(ctx, args, true)),
    Func::variadic("mustMergeOverwrite", &[MAP, MAP], ANY, |ctx, args| merge(ctx, args, true)),
    Func::variadic("dig", &[ANY], ANY, dig),
];

fn dict(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut entries = Vec::with_capacity(args.len().div_ceil(2));
    for pair in args.chunks(2) {
        let key = strval(ctx, &pair[0])?;
        let value = pair.get(1).cloned().unwrap_or_else(|| Value::str(""));
        entries.push((key, value));
    }
    made(ctx, entries)
}

fn made(ctx: &mut Ctx, entries: Vec<(crate::Str, Value)>) -> Answer {
    ctx.charge(size_of_val(entries.as_slice()))?;
    Ok(Value::Map(Map::from_entries(MAP, entries)))
}

fn set(ctx: &mut Ctx, args: &[Value]) -> Answer {
    ctx.charge(2 * size_of::<Value>())?;
    if args.map(0)?.insert(args.text(1)?.clone(), args.any(2).clone()) {
        Ok(args.any(0).clone())
    } else {
        Err(Error::msg("assignment to entry in nil map"))
    }
}

fn pluck(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let key = args.text(0)?;
    let dicts = args.from(1).iter().filter_map(Value::as_map);
    let found: Vec<Value> = dicts.filter_map(|dict| dict.get(key)).collect();
    ctx.charge(found.len() * size_of::<Value>())?;
    Ok(Value::list(found))
}

/// The keys of all dicts; Go gives each dict's keys in random order, here they are sorted.
fn keys(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let keys: Vec<Value> =
        args.iter().filter_map(Value::as_map).flat_map(Map::keys).map(Value::Str).collect();
    ctx.charge(keys.len() * size_of::<Value>())?;
    Ok(Value::List(List::new(STRINGS, keys)))
}

fn pick(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let dict = args.map(0)?;
    let keys = args.from(1).iter().filter_map(Value::as_str);
    let entries = keys.filter_map(|key| Some((key.clone(), dict.get(key)?))).collect();
    made(ctx, entries)
}

fn omit(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut entries = args.map(0)?.entries();
    entries.retain(|(key, _)| !args.from(1).iter().any(|omitted| omitted.as_str() == Some(key)));
    made(ctx, entries)
}

fn merge(ctx: &mut Ctx, args: &[Value], overwrite: bool) -> Answer {
    let mut target = args.map(0)?.clone();
    for source in args.from(1).iter().filter_map(Value::as_map) {
        if target.is_nil() && !source.is_nil() {
            target = Map::new();
        }
        merge_into(ctx, &target, source, overwrite, 0)?;
    }
    Ok(Value::Map(target))
}

/// `dig "a" "b" default dict`.
fn dig(_: &mut Ctx, args: &[Value]) -> Answer {
    let [keys @ .., default, dict] = args else {
        return Err(Error::msg("dig needs at least three arguments"));
    };
    if keys.is_empty() {
        return Err(Error::msg("dig needs at least three arguments"));
    }
    let mut step = as_dict(dict)?.clone();
    let mut names = Vec::with_capacity(keys.len());
    for key in keys {
        names.push(key.as_str().ok_or_else(|| conversion_error(key, "string"))?);
    }
    for (index, name) in names.iter().enumerate() {
        let Some(value) = step.get(name) else {
            return Ok(default.clone());
        };
        if index + 1 == names.len() {
            return Ok(value);
        }
        step = as_dict(&value)?.clone();
    }
    Ok(default.clone())
}

/// Go's type assertion: a named map type such as `common.Values` is not the plain one.
fn as_dict(value: &Value) -> Result<&Map, Error> {
    value.as_map().filter(|map| map.go_type() == MAP).ok_or_else(|| conversion_error(value, MAP.name()))
}

fn conversion_error(value: &Value, wanted: &str) -> Error {
    let found = match value {
        Value::Nil => "nil",
        value => value.type_name(),
    };
    Error::msg(format!("interface conversion: interface {{}} is {found}, not {wanted}"))
}
