//! The values of a render: Go's dynamically typed values with Go's sharing.
//!
//! Cloning a value never copies what it refers to: maps keep one identity through every alias, as Go's
//! maps do, so that `set` is seen everywhere. Values belong to one render and one thread; what many
//! renders share is a [`Frozen`](crate::Frozen) tree, thawed as it is touched.

use crate::func::FuncValue;
use crate::types;
use crate::{GoType, Host, Kind, List, Map, Str};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// Which signed integer type a [`Value::Int`] has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum IntKind {
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
}

/// Which unsigned integer type a [`Value::Uint`] has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum UintKind {
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
}

/// A Go value.
#[derive(Clone, Default)]
pub enum Value {
    /// The untyped nil.
    #[default]
    Nil,
    /// `bool`.
    Bool(bool),
    /// A signed integer of some width.
    Int(i64, IntKind),
    /// An unsigned integer of some width.
    Uint(u64, UintKind),
    /// `float64`.
    Float(f64),
    /// `complex128`.
    Complex(f64, f64),
    /// `string`.
    Str(Str),
    /// `[]uint8`; `None` is the nil slice.
    Bytes(Option<Arc<[u8]>>),
    /// Any other slice. Nothing changes a slice in place, so its elements are immutable.
    List(List),
    /// A map with string keys, shared and mutable.
    Map(Map),
    /// A struct, pointer or named scalar with its own behaviour.
    Host(Rc<dyn Host>),
    /// A function value.
    Func(Rc<FuncValue>),
}

impl Value {
    /// A Go `int`.
    pub const fn int(n: i64) -> Value {
        Value::Int(n, IntKind::Int)
    }

    /// A Go `int64`.
    pub const fn int64(n: i64) -> Value {
        Value::Int(n, IntKind::Int64)
    }

    /// A Go `uint8`.
    pub const fn uint8(n: u8) -> Value {
        Value::Uint(n as u64, UintKind::Uint8)
    }

    /// A string.
    pub fn str(text: impl Into<Str>) -> Value {
        Value::Str(text.into())
    }

    /// A `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Value {
        Value::List(List::new(types::LIST, items))
    }

    /// A `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Value {
        Value::List(List::new(types::STRINGS, items.into_iter().map(Value::str).collect()))
    }

    /// A `map[string]interface {}` of these entries; the last of equal keys wins.
    pub fn map<K: Into<Str>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
        let entries = entries.into_iter().map(|(k, v)| (k.into(), v)).collect();
        Value::Map(Map::from_entries(types::MAP, entries))
    }

    /// A `[]uint8`.
    pub fn bytes(bytes: impl Into<Arc<[u8]>>) -> Value {
        Value::Bytes(Some(bytes.into()))
    }

    /// A host object.
    pub fn host(object: impl Host) -> Value {
        Value::Host(Rc::new(object))
    }

    /// The zero value of a type: what Go gives for a missing key of a typed map.
    pub fn zero(ty: GoType) -> Value {
        match ty.kind() {
            Kind::Bool => Value::Bool(false),
            Kind::Int => Value::Int(0, IntKind::Int),
            Kind::Int8 => Value::Int(0, IntKind::Int8),
            Kind::Int16 => Value::Int(0, IntKind::Int16),
            Kind::Int32 => Value::Int(0, IntKind::Int32),
            Kind::Int64 => Value::Int(0, IntKind::Int64),
            Kind::Uint | Kind::Uintptr => Value::Uint(0, UintKind::Uint),
            Kind::Uint8 => Value::Uint(0, UintKind::Uint8),
            Kind::Uint16 => Value::Uint(0, UintKind::Uint16),
            Kind::Uint32 => Value::Uint(0, UintKind::Uint32),
            Kind::Uint64 => Value::Uint(0, UintKind::Uint64),
            Kind::Float32 | Kind::Float64 => Value::Float(0.0),
            Kind::Complex64 | Kind::Complex128 => Value::Complex(0.0, 0.0),
            Kind::String => Value::Str(Str::EMPTY),
            Kind::Slice if ty == types::BYTES => Value::Bytes(None),
            Kind::Slice | Kind::Array => Value::List(List::nil(ty)),
            Kind::Map => Value::Map(Map::nil(ty)),
            Kind::Invalid | Kind::Chan | Kind::Func | Kind::Interface | Kind::Pointer | Kind::Struct => {
                Value::Nil
            }
        }
    }

    /// The dynamic type; `None` for the untyped nil.
    pub fn go_type(&self) -> Option<GoType> {
        Some(match self {
            Value::Nil => return None,
            Value::Bool(_) => types::BOOL,
            Value::Int(_, kind) => match kind {
                IntKind::Int => types::INT,
                IntKind::Int8 => types::INT8,
                IntKind::Int16 => types::INT16,
                IntKind::Int32 => types::INT32,
                IntKind::Int64 => types::INT64,
            },
            Value::Uint(_, kind) => match kind {
                UintKind::Uint => types::UINT,
                UintKind::Uint8 => types::UINT8,
                UintKind::Uint16 => types::UINT16,
                UintKind::Uint32 => types::UINT32,
                UintKind::Uint64 => types::UINT64,
            },
            Value::Float(_) => types::FLOAT64,
            Value::Complex(..) => types::COMPLEX128,
            Value::Str(_) => types::STRING,
            Value::Bytes(_) => types::BYTES,
            Value::List(list) => list.go_type(),
            Value::Map(map) => map.go_type(),
            Value::Host(host) => host.go_type(),
            Value::Func(_) => types::FUNC,
        })
    }

    /// The type's name as `%T` prints it; `<nil>` for nil.
    pub fn type_name(&self) -> &'static str {
        self.go_type().map_or("<nil>", GoType::name)
    }

    /// The name of the type a pointer points to, otherwise the type's own name.
    pub fn pointee_name(&self) -> &'static str {
        let name = self.type_name();
        if self.kind() == Kind::Pointer { name.strip_prefix('*').unwrap_or(name) } else { name }
    }

    /// The kind; `Invalid` for the untyped nil.
    pub fn kind(&self) -> Kind {
        self.go_type().map_or(Kind::Invalid, GoType::kind)
    }

    /// The plain value below a named one (`time.Duration` -> `int64`), otherwise the value itself.
    pub fn plain(&self) -> Value {
        match self {
            Value::Host(host) => host.underlying().unwrap_or_else(|| self.clone()),
            other => other.clone(),
        }
    }

    /// Whether this is the untyped nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// Go's truth: false, zero, the empty string and empty collections are false, structs are true.
    pub fn truth(&self) -> bool {
        match self {
            Value::Nil => false,
            Value::Bool(b) => *b,
            Value::Int(n, _) => *n != 0,
            Value::Uint(n, _) => *n != 0,
            Value::Float(f) => *f != 0.0,
            Value::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Value::Str(s) => !s.is_empty(),
            Value::Bytes(b) => b.as_ref().is_some_and(|b| !b.is_empty()),
            Value::List(l) => !l.is_empty(),
            Value::Map(m) => !m.is_empty(),
            Value::Host(h) => match h.entries() {
                Some(entries) => !entries.is_empty(),
                None => h.underlying().is_none_or(|v| v.truth()),
            },
            Value::Func(_) => true,
        }
    }

    /// The bytes of a string; `None` for anything else.
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Value::Str(s) => Some(s),
            _ => None,
        }
    }

    /// The map, if it is one.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(m) => Some(m),
            _ => None,
        }
    }

    /// The list, if it is one; `[]uint8` is not.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Value::List(l) => Some(l),
            _ => None,
        }
    }

    /// The host object of type `T`, if it is one.
    pub fn as_host<T: Host>(&self) -> Option<&T> {
        match self {
            Value::Host(host) => {
                let any: &dyn std::any::Any = &**host;
                any.downcast_ref()
            }
            _ => None,
        }
    }

    /// The elements of any slice, bytes included; `None` if it is not a slice.
    pub fn elements(&self) -> Option<Vec<Value>> {
        match self {
            Value::List(list) => Some(list.to_vec()),
            Value::Bytes(bytes) => {
                Some(bytes.as_deref().unwrap_or_default().iter().map(|b| Value::uint8(*b)).collect())
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Nil => f.write_str("nil"),
            Value::Bool(b) => write!(f, "{b}"),
            Value::Int(n, _) => write!(f, "{}({n})", self.type_name()),
            Value::Uint(n, _) => write!(f, "{}({n})", self.type_name()),
            Value::Float(n) => write!(f, "float64({n})"),
            Value::Complex(re, im) => write!(f, "complex128({re}, {im})"),
            Value::Str(s) => write!(f, "{s:?}"),
            Value::Bytes(b) => write!(f, "[]uint8({} bytes)", b.as_ref().map_or(0, |b| b.len())),
            Value::List(list) => write!(f, "{}({} elements)", self.type_name(), list.len()),
            Value::Map(map) => write!(f, "{}({} entries)", self.type_name(), map.len()),
            Value::Host(_) | Value::Func(_) => f.write_str(self.type_name()),
        }
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Value {
        Value::Bool(b)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Value {
        Value::Float(n)
    }
}

impl From<Str> for Value {
    fn from(s: Str) -> Value {
        Value::Str(s)
    }
}

impl From<&str> for Value {
    fn from(s: &str) -> Value {
        Value::str(s)
    }
}

impl From<String> for Value {
    fn from(s: String) -> Value {
        Value::str(s)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Value {
        Value::Map(map)
    }
}

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::List(list)
    }
}
