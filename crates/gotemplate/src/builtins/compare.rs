//! `eq`, `lt` and their relatives.

use crate::exec::Slot;
use crate::{Ctx, Error, Kind, Value};

/// The classes of values that can be ordered or compared with each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Basic {
    Bool,
    Complex,
    Int,
    Float,
    String,
    Uint,
}

fn basic(value: &Value) -> Option<Basic> {
    Some(match value {
        Value::Bool(_) => Basic::Bool,
        Value::Complex(..) => Basic::Complex,
        Value::Int(..) => Basic::Int,
        Value::Float(_) => Basic::Float,
        Value::Str(_) => Basic::String,
        Value::Uint(..) => Basic::Uint,
        Value::Nil | Value::Bytes(_) | Value::List(_) | Value::Map(_) | Value::Host(_) | Value::Func(_) => {
            return None;
        }
    })
}

fn is_nil(value: &Value) -> bool {
    match value {
        Value::Nil => true,
        Value::Bytes(bytes) => bytes.is_none(),
        Value::List(list) => list.is_nil(),
        Value::Map(map) => map.is_nil(),
        _ => false,
    }
}

fn incompatible(a: &Value, b: &Value) -> Error {
    Error::msg(format!("incompatible types for comparison: {} and {}", a.type_name(), b.type_name()))
}

/// Whether the first equals any of the others.
pub(super) fn eq(ctx: &mut Ctx, first: &Value, others: &[Slot]) -> Result<bool, Error> {
    if others.is_empty() {
        return Err(Error::msg("missing argument for comparison"));
    }
    let plain = first.plain();
    for other in others {
        let other = &other.value;
        if equal(ctx, first, &plain, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(ctx: &mut Ctx, first: &Value, plain: &Value, other: &Value) -> Result<bool, Error> {
    let other_plain = other.plain();
    match (plain, &other_plain) {
        (Value::Bool(a), Value::Bool(b)) => return Ok(a == b),
        (Value::Int(a, _), Value::Int(b, _)) => return Ok(a == b),
        (Value::Uint(a, _), Value::Uint(b, _)) => return Ok(a == b),
        (Value::Float(a), Value::Float(b)) => return Ok(a == b),
        (Value::Complex(a, b), Value::Complex(c, d)) => return Ok(a == c && b == d),
        (Value::Str(a), Value::Str(b)) => return Ok(a == b),
        (Value::Int(a, _), Value::Uint(b, _)) | (Value::Uint(b, _), Value::Int(a, _)) => {
            return Ok(u64::try_from(*a).is_ok_and(|a| a == *b));
        }
        _ => {}
    }
    if basic(plain) != basic(&other_plain) {
        if first.is_nil() || other.is_nil() {
            return Ok(false);
        }
        return Err(incompatible(first, other));
    }
    let (kind, other_kind) = (first.kind(), other.kind());
    if kind != other_kind && kind != Kind::Invalid && other_kind != Kind::Invalid {
        let text = ctx.sprintf(b"%s", std::slice::from_ref(first))?;
        let other_text = ctx.sprint(std::slice::from_ref(other))?;
        return Err(Error::msg(format!(
            "non-comparable types {text}: {}, {}: {other_text}",
            first.type_name(),
            other.type_name()
        )));
    }
    if is_nil(first) || is_nil(other) {
        return Ok(is_nil(first) == is_nil(other));
    }
    let comparable = match (first, other) {
        (Value::Host(a), Value::Host(b)) if a.go_type() == b.go_type() => a.equal(&**b),
        (Value::Host(_), Value::Host(b)) => b.equal(&**b).map(|_| false),
        _ => None,
    };
    match comparable {
        Some(equal) => Ok(equal),
        None => {
            let text = ctx.sprintf(b"%s", std::slice::from_ref(other))?;
            Err(Error::msg(format!("non-comparable type {text}: {}", other.type_name())))
        }
    }
}

/// Whether the first is less than the second.
pub(super) fn lt(a: &Value, b: &Value) -> Result<bool, Error> {
    let invalid = || Error::msg("invalid type for comparison");
    let (first, second) = (a.plain(), b.plain());
    let (Some(_), Some(_)) = (basic(&first), basic(&second)) else { return Err(invalid()) };
    match (&first, &second) {
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::Int(a, _), Value::Int(b, _)) => Ok(a < b),
        (Value::Str(a), Value::Str(b)) => Ok(a < b),
        (Value::Uint(a, _), Value::Uint(b, _)) => Ok(a < b),
        (Value::Int(a, _), Value::Uint(b, _)) => Ok(u64::try_from(*a).is_ok_and(|a| a < *b) || *a < 0),
        (Value::Uint(a, _), Value::Int(b, _)) => Ok(u64::try_from(*b).is_ok_and(|b| *a < b)),
        (Value::Bool(_), Value::Bool(_)) | (Value::Complex(..), Value::Complex(..)) => Err(invalid()),
        _ => Err(incompatible(a, b)),
    }
}

/// Whether the first is less than or equal to the second.
pub(super) fn le(ctx: &mut Ctx, args: &[Slot]) -> Result<bool, Error> {
    if lt(&args[0].value, &args[1].value)? {
        return Ok(true);
    }
    eq(ctx, &args[0].value, &args[1..])
}
