//! Go types as the template language sees them: a name, a kind, an element type and methods.
//!
//! Descriptors are `static`, so that a type is one pointer and comparing types is comparing pointers.
//! Other crates add their own (`common.Values`, `time.Time`) with [`TypeDesc::named`] and
//! [`TypeDesc::host`].

use crate::{Ctx, Error, Value};
use std::fmt;

/// Go's `reflect.Kind`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[allow(missing_docs)]
pub enum Kind {
    Invalid,
    Bool,
    Int,
    Int8,
    Int16,
    Int32,
    Int64,
    Uint,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Uintptr,
    Float32,
    Float64,
    Complex64,
    Complex128,
    Array,
    Chan,
    Func,
    Interface,
    Map,
    Pointer,
    Slice,
    String,
    Struct,
}

impl Kind {
    /// The kind's name as `reflect.Kind.String` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Bool => "bool",
            Kind::Int => "int",
            Kind::Int8 => "int8",
            Kind::Int16 => "int16",
            Kind::Int32 => "int32",
            Kind::Int64 => "int64",
            Kind::Uint => "uint",
            Kind::Uint8 => "uint8",
            Kind::Uint16 => "uint16",
            Kind::Uint32 => "uint32",
            Kind::Uint64 => "uint64",
            Kind::Uintptr => "uintptr",
            Kind::Float32 => "float32",
            Kind::Float64 => "float64",
            Kind::Complex64 => "complex64",
            Kind::Complex128 => "complex128",
            Kind::Array => "array",
            Kind::Chan => "chan",
            Kind::Func => "func",
            Kind::Interface => "interface",
            Kind::Map => "map",
            Kind::Pointer => "ptr",
            Kind::Slice => "slice",
            Kind::String => "string",
            Kind::Struct => "struct",
        }
    }

    /// Whether the kind is one of the signed integers.
    pub fn is_int(self) -> bool {
        matches!(self, Kind::Int | Kind::Int8 | Kind::Int16 | Kind::Int32 | Kind::Int64)
    }

    /// Whether the kind is one of the unsigned integers.
    pub fn is_uint(self) -> bool {
        matches!(self, Kind::Uint | Kind::Uint8 | Kind::Uint16 | Kind::Uint32 | Kind::Uint64 | Kind::Uintptr)
    }

    /// Whether the kind is `float32` or `float64`.
    pub fn is_float(self) -> bool {
        matches!(self, Kind::Float32 | Kind::Float64)
    }
}

/// The body of a method: the receiver, then the checked arguments.
pub type MethodFn = fn(&mut Ctx, &Value, &[Value]) -> Result<Value, Error>;

/// A Go method that templates can call.
pub struct Method {
    /// The name, as written in a template.
    pub name: &'static str,
    /// The types of the parameters; of a variadic method the last is the element type.
    pub params: &'static [GoType],
    /// Whether the last parameter may be given any number of times.
    pub variadic: bool,
    /// The declared type of the result.
    pub result: GoType,
    /// What it does.
    pub call: MethodFn,
}

/// What Go's reflection knows about a type.
pub struct TypeDesc {
    /// The name as `%T` prints it.
    pub name: &'static str,
    /// The kind.
    pub kind: Kind,
    /// The element type of a slice, map or pointer.
    pub elem: Option<GoType>,
    /// For a named type, the unnamed type below it that it can be assigned to.
    pub underlying: Option<GoType>,
    /// The methods, sorted or not.
    pub methods: &'static [Method],
}

impl TypeDesc {
    /// An unnamed type without methods.
    pub const fn plain(name: &'static str, kind: Kind, elem: Option<GoType>) -> TypeDesc {
        TypeDesc { name, kind, elem, underlying: None, methods: &[] }
    }

    /// A named type over another, such as `common.Values` over `map[string]interface {}`.
    pub const fn named(name: &'static str, underlying: GoType, methods: &'static [Method]) -> TypeDesc {
        TypeDesc {
            name,
            kind: underlying.0.kind,
            elem: underlying.0.elem,
            underlying: Some(underlying),
            methods,
        }
    }

    /// The result of a method that templates find but cannot call, because Go's has a second result that
    /// is no error; the reason is `second return value should be error; is int`.
    pub const fn unusable(reason: &'static str) -> TypeDesc {
        TypeDesc::plain(reason, Kind::Invalid, None)
    }

    /// A type whose values are [`Host`](crate::Host) objects: a struct, a pointer, a named number.
    pub const fn host(name: &'static str, kind: Kind, methods: &'static [Method]) -> TypeDesc {
        TypeDesc { name, kind, elem: None, underlying: None, methods }
    }
}

/// A Go type; equal when it is the same descriptor.
#[derive(Clone, Copy)]
pub struct GoType(pub &'static TypeDesc);

impl GoType {
    /// The name as `%T` prints it.
    pub fn name(self) -> &'static str {
        self.0.name
    }

    /// The kind.
    pub fn kind(self) -> Kind {
        self.0.kind
    }

    /// The element type of a slice, map or pointer.
    pub fn elem(self) -> Option<GoType> {
        self.0.elem
    }

    /// Whether the type is `interface {}`.
    #[inline]
    pub fn is_any(self) -> bool {
        self.0.kind == Kind::Interface
    }

    /// The method of that name.
    #[inline]
    pub fn method(self, name: &[u8]) -> Option<&'static Method> {
        if self.0.methods.is_empty() {
            return None;
        }
        self.0.methods.iter().find(|m| m.name.as_bytes() == name)
    }

    /// Go's assignability: the same type, an interface, or a named type and its unnamed one.
    pub fn assignable_to(self, target: GoType) -> bool {
        self == target
            || target.is_any()
            || self.0.underlying == Some(target)
            || target.0.underlying == Some(self) && matches!(self.0.kind, Kind::Map | Kind::Slice)
    }

    /// Whether Go lets `nil` be a value of this type.
    pub fn can_be_nil(self) -> bool {
        self.0.name == VALUE.name()
            || matches!(
                self.0.kind,
                Kind::Chan | Kind::Func | Kind::Interface | Kind::Map | Kind::Pointer | Kind::Slice
            )
    }

    /// The slice type with elements of this type, where templates can meet one.
    pub fn slice_of(self) -> GoType {
        [STRINGS, INTS, MAPS, LISTS, INT64S, FLOAT64S, BYTE_SLICES]
            .into_iter()
            .find(|t| t.elem() == Some(self))
            .unwrap_or(LIST)
    }
}

impl PartialEq for GoType {
    #[inline]
    fn eq(&self, other: &GoType) -> bool {
        std::ptr::eq(self.0, other.0) || self.0.name == other.0.name
    }
}

impl Eq for GoType {}

impl fmt::Debug for GoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

impl fmt::Display for GoType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name)
    }
}

macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $kind:ident $(, $elem:ident)?;)*) => {$(
        $(#[$doc])*
        pub const $name: GoType = {
            static DESC: TypeDesc = TypeDesc::plain($text, Kind::$kind, types!(@ $($elem)?));
            GoType(&DESC)
        };
    )*};
    (@) => { None };
    (@ $elem:ident) => { Some($elem) };
}

types! {
    /// `interface {}`: any value.
    ANY = "interface {}", Interface;
    /// `reflect.Value`, the parameter type of the builtin functions.
    VALUE = "reflect.Value", Struct;
    /// `bool`.
    BOOL = "bool", Bool;
    /// `int`.
    INT = "int", Int;
    /// `int8`.
    INT8 = "int8", Int8;
    /// `int16`.
    INT16 = "int16", Int16;
    /// `int32`.
    INT32 = "int32", Int32;
    /// `int64`.
    INT64 = "int64", Int64;
    /// `uint`.
    UINT = "uint", Uint;
    /// `uint8`.
    UINT8 = "uint8", Uint8;
    /// `uint16`.
    UINT16 = "uint16", Uint16;
    /// `uint32`.
    UINT32 = "uint32", Uint32;
    /// `uint64`.
    UINT64 = "uint64", Uint64;
    /// `float64`.
    FLOAT64 = "float64", Float64;
    /// `complex128`.
    COMPLEX128 = "complex128", Complex128;
    /// `string`.
    STRING = "string", String;
    /// `[]interface {}`, what `list` makes.
    LIST = "[]interface {}", Slice, ANY;
    /// `[]string`.
    STRINGS = "[]string", Slice, STRING;
    /// `[]int`.
    INTS = "[]int", Slice, INT;
    /// `[]int64`.
    INT64S = "[]int64", Slice, INT64;
    /// `[]float64`.
    FLOAT64S = "[]float64", Slice, FLOAT64;
    /// `[]uint8`.
    BYTES = "[]uint8", Slice, UINT8;
    /// `[][]uint8`.
    BYTE_SLICES = "[][]uint8", Slice, BYTES;
    /// `[][]interface {}`.
    LISTS = "[][]interface {}", Slice, LIST;
    /// `map[string]interface {}`, what `dict` makes and values files contain.
    MAP = "map[string]interface {}", Map, ANY;
    /// `[]map[string]interface {}`.
    MAPS = "[]map[string]interface {}", Slice, MAP;
    /// `map[string]string`.
    STRING_MAP = "map[string]string", Map, STRING;
    /// `map[string][]uint8`.
    BYTES_MAP = "map[string][]uint8", Map, BYTES;
    /// A function value.
    FUNC = "func()", Func;
    /// `error`.
    ERROR = "error", Interface;
}
