//! Literals as constants of the type that is asked for.

use crate::code::Const;
use crate::parse::{Kind, NodeId, Nodes, Number};
use crate::types::{self, GoType};
use crate::{IntKind, Kind as TypeKind, UintKind};

/// A number where no type is asked for: its syntax tells.
pub(super) fn ideal_constant(number: &Number) -> Result<Const, String> {
    let text = number.text.as_str();
    if let Some((re, im)) = number.complex {
        return Ok(Const::Complex(re, im));
    }
    let is_hex =
        text.len() > 2 && (text.starts_with("0x") || text.starts_with("0X")) && !text.contains(['p', 'P']);
    let looks_like_float = !is_hex && !text.starts_with('\'') && text.contains(['.', 'e', 'E', 'p', 'P']);
    match (number.float, number.int) {
        (Some(float), _) if looks_like_float => Ok(Const::Float(float)),
        (_, Some(int)) => Ok(Const::Int(int, IntKind::Int)),
        _ => Err(format!("{text} overflows int")),
    }
}

/// A literal as an argument of a parameter type; `None` is nil.
pub(crate) fn literal(nodes: &Nodes, kind: &Kind, id: NodeId, ty: GoType) -> Result<Option<Const>, String> {
    if matches!(kind, Kind::Nil) {
        if ty.can_be_nil() {
            return Ok(None);
        }
        return Err(format!("cannot assign nil to {ty}"));
    }
    let expected = |what: &str| Err(format!("expected {what}; found {}", nodes.print(id)));
    let number = match kind {
        Kind::Number(number) => Some(number),
        _ => None,
    };
    let constant = match (ty.kind(), kind) {
        (TypeKind::Bool, Kind::Bool(b)) => Const::Bool(*b),
        (TypeKind::Bool, _) => return expected("bool"),
        (TypeKind::String, Kind::String { text, .. }) => Const::Str(text.clone()),
        (TypeKind::String, _) => return expected("string"),
        (int, _) if int.is_int() => match number.and_then(|n| n.int) {
            Some(n) => narrow_int(n, int),
            None => return expected("integer"),
        },
        (uint, _) if uint.is_uint() => match number.and_then(|n| n.uint) {
            Some(n) => narrow_uint(n, uint),
            None => return expected("unsigned integer"),
        },
        (float, _) if float.is_float() => match number.and_then(|n| n.float) {
            Some(f) => Const::Float(f),
            None => return expected("float"),
        },
        (TypeKind::Complex64 | TypeKind::Complex128, _) => match number.and_then(|n| n.complex) {
            Some((re, im)) => Const::Complex(re, im),
            None => return expected("complex"),
        },
        _ if ty == types::ANY || ty == types::VALUE => match kind {
            Kind::Bool(b) => Const::Bool(*b),
            Kind::Number(number) => ideal_constant(number)?,
            Kind::String { text, .. } => Const::Str(text.clone()),
            _ => unreachable!("{kind:?} is not a literal"),
        },
        _ => return Err(format!("can't handle {} for arg of type {ty}", nodes.print(id))),
    };
    Ok(Some(constant))
}

fn narrow_int(n: i64, kind: TypeKind) -> Const {
    match kind {
        TypeKind::Int8 => Const::Int(i64::from(n as i8), IntKind::Int8),
        TypeKind::Int16 => Const::Int(i64::from(n as i16), IntKind::Int16),
        TypeKind::Int32 => Const::Int(i64::from(n as i32), IntKind::Int32),
        TypeKind::Int64 => Const::Int(n, IntKind::Int64),
        _ => Const::Int(n, IntKind::Int),
    }
}

fn narrow_uint(n: u64, kind: TypeKind) -> Const {
    match kind {
        TypeKind::Uint8 => Const::Uint(u64::from(n as u8), UintKind::Uint8),
        TypeKind::Uint16 => Const::Uint(u64::from(n as u16), UintKind::Uint16),
        TypeKind::Uint32 => Const::Uint(u64::from(n as u32), UintKind::Uint32),
        TypeKind::Uint64 => Const::Uint(n, UintKind::Uint64),
        _ => Const::Uint(n, UintKind::Uint),
    }
}
