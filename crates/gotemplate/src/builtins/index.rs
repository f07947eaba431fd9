//! `index`, `slice` and `len`.

use super::type_of_nothing;
use crate::exec::Slot;
use crate::{Ctx, Error, List, Value, types};

/// `x[1][2]…` of a map, slice or string.
pub(super) fn index(args: &[Slot]) -> Result<Slot, Error> {
    let mut item = args[0].clone();
    if item.value.is_nil() {
        return Err(Error::msg("index of untyped nil"));
    }
    item.interface = false;
    for key in &args[1..] {
        let key = &key.value;
        item = match item.value.plain() {
            Value::Nil => return Err(Error::msg("index of nil pointer")),
            Value::Map(map) => {
                let elem = map.go_type().elem().unwrap_or(types::ANY);
                let value = match key.plain() {
                    Value::Nil => return Err(Error::msg("value is nil; should be of type string")),
                    Value::Str(name) if matches!(key, Value::Str(_)) => map.get(&name),
                    _ => {
                        let ty = key.type_name();
                        return Err(Error::msg(format!("value has type {ty}; should be string")));
                    }
                };
                Slot { value: value.unwrap_or_else(|| Value::zero(elem)), interface: elem.is_any() }
            }
            Value::List(list) => {
                let at = position(key, list.len())?;
                let Some(value) = list.get(at) else {
                    return Err(Error::msg("reflect: slice index out of range"));
                };
                Slot { value: value.clone(), interface: list.go_type().elem().is_none_or(|e| e.is_any()) }
            }
            Value::Bytes(bytes) => {
                let bytes = bytes.as_deref().unwrap_or_default();
                let at = position(key, bytes.len())?;
                byte_at(bytes, at, "reflect: slice index out of range")?
            }
            Value::Str(text) => {
                let at = position(key, text.len())?;
                byte_at(&text, at, "reflect: string index out of range")?
            }
            Value::Host(host) if host.entries().is_some() => {
                let elem = host.go_type().elem().unwrap_or(types::ANY);
                let found = host
                    .entries()
                    .into_iter()
                    .flatten()
                    .find(|(candidate, _)| same_key(candidate, key))
                    .map(|(_, value)| value);
                Slot { value: found.unwrap_or_else(|| Value::zero(elem)), interface: elem.is_any() }
            }
            other => return Err(Error::msg(format!("can't index item of type {}", other.pointee_name()))),
        };
    }
    Ok(item)
}

fn same_key(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Host(one), Value::Host(other)) => {
            one.go_type() == other.go_type() && one.equal(&**other) == Some(true)
        }
        _ => false,
    }
}

fn byte_at(bytes: &[u8], at: usize, message: &str) -> Result<Slot, Error> {
    match bytes.get(at) {
        Some(byte) => Ok(Slot { value: Value::uint8(*byte), interface: false }),
        None => Err(Error::msg(message)),
    }
}

fn position(index: &Value, cap: usize) -> Result<usize, Error> {
    let at = match index.plain() {
        Value::Int(n, _) => n,
        Value::Uint(n, _) => n as i64,
        Value::Nil => return Err(Error::msg("cannot index slice/array with nil")),
        _ => {
            let ty = index.type_name();
            return Err(Error::msg(format!("cannot index slice/array with type {ty}")));
        }
    };
    match usize::try_from(at) {
        Ok(position) if position <= cap => Ok(position),
        _ => Err(Error::msg(format!("index out of range: {at}"))),
    }
}

/// `x[i:j:k]` of a slice or string.
pub(super) fn slice(ctx: &mut Ctx, args: &[Slot]) -> Result<Slot, Error> {
    let item = args[0].value.plain();
    let indexes = &args[1..];
    if item.is_nil() {
        return Err(Error::msg("slice of untyped nil"));
    }
    if indexes.len() > 3 {
        return Err(Error::msg(format!("too many slice indexes: {}", indexes.len())));
    }
    let len = match &item {
        Value::Str(_) if indexes.len() == 3 => return Err(Error::msg("cannot 3-index slice a string")),
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Bytes(bytes) => bytes.as_ref().map_or(0, |b| b.len()),
        _ => {
            let ty = args[0].value.pointee_name();
            return Err(Error::msg(format!("can't slice item of type {ty}")));
        }
    };
    let mut bounds = [0, len, 0];
    for (i, index) in indexes.iter().enumerate() {
        // Go's `indexArg` does not look into an interface here.
        if index.interface {
            return Err(Error::msg("cannot index slice/array with type interface {}"));
        }
        bounds[i] = position(&index.value, len)?;
    }
    let [from, to, max] = bounds;
    if from > to {
        return Err(Error::msg(format!("invalid slice index: {from} > {to}")));
    }
    if indexes.len() == 3 && to > max {
        return Err(Error::msg(format!("invalid slice index: {to} > {max}")));
    }
    let value = match &item {
        Value::Str(text) => {
            ctx.charge(to - from)?;
            Value::str(&text[from..to])
        }
        Value::List(list) => {
            ctx.charge((to - from) * size_of::<Value>())?;
            Value::List(List::new(list.go_type(), list[from..to].to_vec()))
        }
        Value::Bytes(bytes) => {
            ctx.charge(to - from)?;
            Value::bytes(&bytes.as_deref().unwrap_or_default()[from..to])
        }
        other => other.clone(),
    };
    Ok(Slot { value, interface: false })
}

/// The length of anything that has one.
pub(super) fn length(slot: &Slot) -> Result<i64, Error> {
    let len = match slot.value.plain() {
        Value::Nil if slot.interface => return Err(Error::msg("len of nil pointer")),
        Value::Nil => return Err(type_of_nothing()),
        Value::Str(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Bytes(bytes) => bytes.map_or(0, |b| b.len()),
        Value::Map(map) => map.len(),
        Value::Host(host) if host.entries().is_some() => host.entries().map_or(0, |entries| entries.len()),
        _ => return Err(Error::msg(format!("len of type {}", slot.value.pointee_name()))),
    };
    Ok(len as i64)
}
