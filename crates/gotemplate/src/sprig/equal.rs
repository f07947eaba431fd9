//! `reflect.DeepEqual`.

use crate::{Ctx, Error, Value};

/// Whether two values are deeply equal: of the same types throughout, nil and empty told apart.
pub(super) fn deep_equal(ctx: &mut Ctx, a: &Value, b: &Value, depth: usize) -> Result<bool, Error> {
    ctx.check_nesting(depth)?;
    ctx.work(1)?;
    if a.go_type() != b.go_type() {
        return Ok(false);
    }
    Ok(match (a, b) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, _), Value::Int(b, _)) => a == b,
        (Value::Uint(a, _), Value::Uint(b, _)) => a == b,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, a_imaginary), Value::Complex(b, b_imaginary)) => {
            a == b && a_imaginary == b_imaginary
        }
        (Value::Str(a), Value::Str(b)) => a == b,
        (Value::Bytes(a), Value::Bytes(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            if a.same(b) {
                return Ok(true);
            }
            if a.is_nil() != b.is_nil() || a.len() != b.len() {
                return Ok(false);
            }
            for (a, b) in a.iter().zip(b.iter()) {
                if !deep_equal(ctx, a, b, depth + 1)? {
                    return Ok(false);
                }
            }
            true
        }
        (Value::Map(a), Value::Map(b)) => {
            if a.same(b) {
                return Ok(true);
            }
            if a.is_nil() != b.is_nil() || a.len() != b.len() {
                return Ok(false);
            }
            for (key, a) in a.entries() {
                match b.get(&key) {
                    Some(b) if deep_equal(ctx, &a, &b, depth + 1)? => {}
                    _ => return Ok(false),
                }
            }
            true
        }
        (Value::Host(a), Value::Host(b)) => std::rc::Rc::ptr_eq(a, b) || a.equal(&**b).unwrap_or(false),
        // Functions are equal only when both are nil.
        _ => false,
    })
}
