//! Lists. All of them copy, except that slices of a list share it.

use super::args::{Answer, Args, NIL_DEREFERENCE, elements};
use super::cast::{to_int64, truncate_float};
use super::equal::deep_equal;
use crate::types::{ANY, BOOL, INT, LIST, LISTS};
use crate::{Ctx, Error, Func, List, Value};

/// The list functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::variadic("tuple", &[ANY], LIST, list),
    Func::variadic("list", &[ANY], LIST, list),
    Func::new("append", &[ANY, ANY], LIST, append),
    Func::new("push", &[ANY, ANY], LIST, append),
    Func::new("mustAppend", &[ANY, ANY], LIST, append),
    Func::new("mustPush", &[ANY, ANY], LIST, append),
    Func::new("prepend", &[ANY, ANY], LIST, prepend),
    Func::new("mustPrepend", &[ANY, ANY], LIST, prepend),
    Func::new("first", &[ANY], ANY, first),
    Func::new("mustFirst", &[ANY], ANY, first),
    Func::new("last", &[ANY], ANY, last),
    Func::new("mustLast", &[ANY], ANY, last),
    Func::new("rest", &[ANY], LIST, rest),
    Func::new("mustRest", &[ANY], LIST, rest),
    Func::new("initial", &[ANY], LIST, initial),
    Func::new("mustInitial", &[ANY], LIST, initial),
    Func::new("reverse", &[ANY], LIST, reverse),
    Func::new("mustReverse", &[ANY], LIST, reverse),
    Func::new("compact", &[ANY], LIST, compact),
    Func::new("mustCompact", &[ANY], LIST, compact),
    Func::new("uniq", &[ANY], LIST, uniq),
    Func::new("mustUniq", &[ANY], LIST, uniq),
    Func::variadic("without", &[ANY, ANY], LIST, without),
    Func::variadic("mustWithout", &[ANY, ANY], LIST, without),
    Func::new("has", &[ANY, ANY], BOOL, has),
    Func::new("mustHas", &[ANY, ANY], BOOL, has),
    Func::variadic("slice", &[ANY, ANY], ANY, slice),
    Func::variadic("mustSlice", &[ANY, ANY], ANY, slice),
    Func::variadic("concat", &[ANY], ANY, concat),
    Func::new("chunk", &[INT, ANY], LISTS, chunk),
    Func::new("mustChunk", &[INT, ANY], LISTS, chunk),
];

fn list(ctx: &mut Ctx, args: &[Value]) -> Answer {
    made(ctx, args.to_vec())
}

fn nil_list() -> Value {
    Value::List(List::nil(LIST))
}

/// A new `[]interface {}`, counted.
fn made(ctx: &mut Ctx, items: Vec<Value>) -> Answer {
    ctx.charge(items.len() * size_of::<Value>())?;
    Ok(Value::list(items))
}

fn append(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot push on type")?;
    items.push(args.any(1).clone());
    made(ctx, items)
}

fn prepend(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot prepend on type")?;
    items.insert(0, args.any(1).clone());
    made(ctx, items)
}

fn first(_: &mut Ctx, args: &[Value]) -> Answer {
    if let Value::List(list) = args.any(0) {
        return Ok(list.first().cloned().unwrap_or_default());
    }
    Ok(elements(args.any(0), "Cannot find first on type")?.first().cloned().unwrap_or_default())
}

fn last(_: &mut Ctx, args: &[Value]) -> Answer {
    if let Value::List(list) = args.any(0) {
        return Ok(list.last().cloned().unwrap_or_default());
    }
    Ok(elements(args.any(0), "Cannot find last on type")?.last().cloned().unwrap_or_default())
}

fn rest(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot find rest on type")?;
    if items.is_empty() {
        return Ok(nil_list());
    }
    items.remove(0);
    made(ctx, items)
}

fn initial(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot find initial on type")?;
    if items.pop().is_none() {
        return Ok(nil_list());
    }
    made(ctx, items)
}

fn reverse(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot find reverse on type")?;
    items.reverse();
    made(ctx, items)
}

fn compact(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut items = elements(args.any(0), "Cannot compact on type")?;
    items.retain(Value::truth);
    made(ctx, items)
}

fn contains(ctx: &mut Ctx, haystack: &[Value], needle: &Value) -> Result<bool, Error> {
    for item in haystack {
        if deep_equal(ctx, needle, item, 0)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn uniq(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut unique = Vec::new();
    for item in elements(args.any(0), "Cannot find uniq on type")? {
        if !contains(ctx, &unique, &item)? {
            unique.push(item);
        }
    }
    made(ctx, unique)
}

fn without(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut kept = Vec::new();
    for item in elements(args.any(0), "Cannot find without on type")? {
        if !contains(ctx, args.from(1), &item)? {
            kept.push(item);
        }
    }
    made(ctx, kept)
}

fn has(ctx: &mut Ctx, args: &[Value]) -> Answer {
    if args.any(1).is_nil() {
        return Ok(Value::Bool(false));
    }
    if let Value::List(list) = args.any(1) {
        return Ok(Value::Bool(contains(ctx, list, args.any(0))?));
    }
    let items = elements(args.any(1), "Cannot find has on type")?;
    Ok(Value::Bool(contains(ctx, &items, args.any(0))?))
}

fn slice(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let whole = args.any(0);
    let items = elements(whole, "list should be type of slice or array but")?;
    if items.is_empty() {
        return Ok(Value::Nil);
    }
    let start = args.get(1).map_or(0, to_int64);
    let end = args.get(2).map_or(items.len() as i64, to_int64);
    let range = usize::try_from(start).ok().zip(usize::try_from(end).ok());
    let Some(part) = range.and_then(|(start, end)| items.get(start..end)) else {
        return Err(Error::msg("reflect.Value.Slice: slice index out of bounds"));
    };
    ctx.charge(size_of_val(part))?;
    Ok(match whole {
        Value::Bytes(Some(bytes)) => Value::bytes(&bytes[start as usize..end as usize]),
        Value::List(list) => Value::List(List::new(list.go_type(), part.to_vec())),
        _ => Value::list(part.to_vec()),
    })
}

fn concat(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let mut joined = Vec::new();
    for list in args {
        let Some(items) = list.elements() else {
            return Err(match list {
                Value::Nil => Error::msg(NIL_DEREFERENCE),
                other => Error::msg(format!("Cannot concat type {} as list", other.kind().name())),
            });
        };
        joined.extend(items);
    }
    if joined.is_empty() {
        return Ok(nil_list());
    }
    made(ctx, joined)
}

/// Pieces of `size`. The count comes out of float arithmetic, as in the library, which decides what
/// sizes below one do.
fn chunk(ctx: &mut Ctx, args: &[Value]) -> Answer {
    let size = args.int(0)?;
    let items = elements(args.any(1), "Cannot chunk type")?;
    let too_long = || Error::msg("runtime error: makeslice: len out of range");
    let length = items.len() as i64;
    let count = truncate_float(((length - 1) as f64 / size as f64).floor() + 1.0);
    let count = usize::try_from(count).map_err(|_| too_long())?;
    let mut chunks = Vec::new();
    for index in 0..count {
        let mut this_size = size;
        if index == count - 1 {
            this_size = truncate_float((length as f64 % size as f64).floor());
            if this_size == 0 {
                this_size = size;
            }
        }
        let this_size = usize::try_from(this_size).map_err(|_| too_long())?;
        // A negative size can still make one chunk.
        let start = (index as i64).checked_mul(size).and_then(|start| usize::try_from(start).ok());
        let part = start
            .and_then(|start| items.get(start..start.checked_add(this_size)?))
            .ok_or_else(|| Error::msg("reflect: slice index out of range"))?;
        chunks.push(made(ctx, part.to_vec())?);
    }
    ctx.charge(chunks.len() * size_of::<Value>())?;
    Ok(Value::List(List::new(LISTS, chunks)))
}
