//! Defaults and emptiness, choice, copies.

use super::args::{Answer, Args};
use crate::types::{ANY, BOOL, STRING};
use crate::{Ctx, Error, Func, List, Map, Value};

/// The functions of sprig around defaults.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::variadic("default", &[ANY, ANY], ANY, |_, args| {
        let given = args.get(1).filter(|given| given.truth());
        Ok(given.unwrap_or(args.any(0)).clone())
    }),
    Func::new("empty", &[ANY], BOOL, |_, args| Ok(Value::Bool(!args.any(0).truth()))),
    Func::variadic("coalesce", &[ANY], ANY, |_, args| {
        Ok(args.iter().find(|value| value.truth()).cloned().unwrap_or_default())
    }),
    Func::variadic("all", &[ANY], BOOL, |_, args| Ok(Value::Bool(args.iter().all(Value::truth)))),
    Func::variadic("any", &[ANY], BOOL, |_, args| Ok(Value::Bool(args.iter().any(Value::truth)))),
    Func::new("ternary", &[ANY, ANY, BOOL], ANY, |_, args| {
        let chosen = matches!(args.any(2), Value::Bool(true));
        Ok(args.any(usize::from(!chosen)).clone())
    }),
    Func::new("deepCopy", &[ANY], ANY, copy),
    Func::new("mustDeepCopy", &[ANY], ANY, copy),
    Func::new("fail", &[STRING], STRING, |_, args| Err(Error::msg(args.text(0)?.to_string_lossy()))),
];

fn copy(ctx: &mut Ctx, args: &[Value]) -> Answer {
    match args.any(0) {
        Value::Nil => Err(Error::msg("reflect: call of reflect.Value.Type on zero Value")),
        value => deep_copy(ctx, value, 0),
    }
}

/// Copies dicts and lists all the way down; everything else cannot change and is shared.
fn deep_copy(ctx: &mut Ctx, value: &Value, depth: usize) -> Answer {
    ctx.check_nesting(depth)?;
    ctx.charge(size_of::<Value>())?;
    match value {
        Value::Map(map) if !map.is_nil() => {
            let entries = map.entries();
            let mut copy = Vec::with_capacity(entries.len());
            for (key, value) in entries {
                ctx.charge(key.len())?;
                copy.push((key, deep_copy(ctx, &value, depth + 1)?));
            }
            Ok(Value::Map(Map::from_entries(map.go_type(), copy)))
        }
        Value::List(list) if !list.is_nil() => {
            let mut copy = Vec::with_capacity(list.len());
            for item in list.iter() {
                copy.push(deep_copy(ctx, item, depth + 1)?);
            }
            Ok(Value::List(List::new(list.go_type(), copy)))
        }
        other => Ok(other.clone()),
    }
}
