//! `call`: functions that are values.

use crate::exec::Slot;
use crate::func::FuncValue;
use crate::{Ctx, Error, GoType, IntKind, Kind, UintKind, Value};

/// Calls the second argument with those after it. The first is the name of what is called, empty when it
/// came through the pipeline.
pub(super) fn call(ctx: &mut Ctx, args: &[Slot]) -> Result<Slot, Error> {
    let callee = &args[1].value;
    if callee.is_nil() {
        return Err(Error::msg("call of nil"));
    }
    let name = match (&args[0].value, callee) {
        (Value::Str(name), _) if !name.is_empty() => name.to_string(),
        (_, Value::Str(text)) => text.to_string(),
        (_, other) => format!("<{} Value>", other.type_name()),
    };
    let Value::Func(func) = callee else {
        return Err(Error::msg(format!("non-function {name} of type {}", callee.type_name())));
    };
    let args = prepare(func, &name, &args[2..])?;
    let value = (func.body)(ctx, &args)?;
    Ok(Slot { value, interface: func.result.is_any() })
}

fn prepare(func: &FuncValue, name: &str, args: &[Slot]) -> Result<Vec<Value>, Error> {
    let (given, params) = (args.len(), func.params.len());
    let complaint =
        |want: String| Err(Error::msg(format!("wrong number of args for {name}: got {given} want {want}")));
    if func.variadic && given + 1 < params {
        return complaint(format!("at least {}", params - 1));
    }
    if !func.variadic && given != params {
        return complaint(params.to_string());
    }
    let convert = |(i, slot): (usize, &Slot)| {
        let ty = func.params[i.min(params - 1)];
        prepare_arg(&slot.value, ty).map_err(|text| Error::msg(text).wrap(format!("arg {i}: ")))
    };
    args.iter().enumerate().map(convert).collect()
}

/// The value as an argument of that type; integers are converted to other integers.
fn prepare_arg(value: &Value, ty: GoType) -> Result<Value, String> {
    let Some(own) = value.go_type() else {
        if ty.can_be_nil() {
            return Ok(Value::zero(ty));
        }
        return Err(format!("value is nil; should be of type {ty}"));
    };
    if own.assignable_to(ty) {
        return Ok(value.clone());
    }
    let number = match value {
        Value::Int(n, _) => *n,
        Value::Uint(n, _) => *n as i64,
        _ => return Err(format!("value has type {own}; should be {ty}")),
    };
    Ok(match ty.kind() {
        Kind::Int => Value::Int(number, IntKind::Int),
        Kind::Int8 => Value::Int(i64::from(number as i8), IntKind::Int8),
        Kind::Int16 => Value::Int(i64::from(number as i16), IntKind::Int16),
        Kind::Int32 => Value::Int(i64::from(number as i32), IntKind::Int32),
        Kind::Int64 => Value::Int(number, IntKind::Int64),
        Kind::Uint => Value::Uint(number as u64, UintKind::Uint),
        Kind::Uint8 => Value::Uint(u64::from(number as u8), UintKind::Uint8),
        Kind::Uint16 => Value::Uint(u64::from(number as u16), UintKind::Uint16),
        Kind::Uint32 => Value::Uint(u64::from(number as u32), UintKind::Uint32),
        Kind::Uint64 => Value::Uint(number as u64, UintKind::Uint64),
        _ => return Err(format!("value has type {own}; should be {ty}")),
    })
}
