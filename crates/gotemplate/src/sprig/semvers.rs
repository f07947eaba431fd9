//! `semver` and `semverCompare`, and the version object with its methods.

use std::rc::Rc;

use masterminds_semver::{Constraints, Version, VersionError};

use super::args::{Answer, Args, string};
use crate::types::{ANY, BOOL, BYTES, INT, STRING, UINT64};
use crate::{Error, Func, GoType, Host, Kind, Method, Str, TypeDesc, UintKind, Value};

/// The version functions of sprig.
pub(super) const FUNCTIONS: &[Func] = &[
    Func::new("semver", &[STRING], GoType(&POINTER), |_, args| {
        Ok(Value::host(Pointer(Rc::new(parse(args.text(0)?)?))))
    }),
    Func::new("semverCompare", &[STRING, STRING], BOOL, |_, args| {
        let constraints = args.text(0)?.to_str().ok_or_else(|| improper_constraint(args))?;
        let constraints = Constraints::parse(constraints).map_err(message)?;
        Ok(Value::Bool(constraints.check(&parse(args.text(1)?)?)))
    }),
];

fn message(error: impl std::fmt::Display) -> Error {
    Error::msg(error.to_string())
}

fn parse(text: &Str) -> Result<Version, Error> {
    let text = text.to_str().ok_or_else(|| message(VersionError::Invalid))?;
    Version::parse(text).map_err(message)
}

/// A constraint that is not UTF-8 matches no grammar.
fn improper_constraint(args: &[Value]) -> Error {
    let quoted = args.text(0).map_or_else(|_| String::new(), |text| crate::gofmt::quote(text));
    Error::msg(format!("improper constraint: {quoted}"))
}

/// Go's `*semver.Version`.
struct Pointer(Rc<Version>);

/// Go's `semver.Version`, which the changing methods give back.
struct Plain(Rc<Version>);

static POINTER: TypeDesc = TypeDesc::host("*semver.Version", Kind::Pointer, METHODS);

// Go methods with a pointer receiver are not found on the plain struct.
static PLAIN: TypeDesc = TypeDesc::host("semver.Version", Kind::Struct, VALUE_METHODS);

impl Host for Pointer {
    fn go_type(&self) -> GoType {
        GoType(&POINTER)
    }

    fn string(&self) -> Option<Str> {
        Some(self.0.to_string().into())
    }

    fn json(&self) -> Option<Value> {
        Some(Value::str(self.0.to_string()))
    }

    fn has_unexported(&self, name: &[u8]) -> bool {
        is_field(name)
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| Rc::ptr_eq(&self.0, &other.0))
    }
}

impl Host for Plain {
    fn go_type(&self) -> GoType {
        GoType(&PLAIN)
    }

    fn string(&self) -> Option<Str> {
        Some(self.0.to_string().into())
    }

    fn json(&self) -> Option<Value> {
        Some(Value::str(self.0.to_string()))
    }

    fn has_unexported(&self, name: &[u8]) -> bool {
        is_field(name)
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        let other: &dyn std::any::Any = other;
        other.downcast_ref::<Self>().map(|other| {
            *self.0 == *other.0
                && self.0.metadata() == other.0.metadata()
                && self.0.original() == other.0.original()
        })
    }
}

fn is_field(name: &[u8]) -> bool {
    [&b"major"[..], b"minor", b"patch", b"pre", b"metadata", b"original"].contains(&name)
}

fn version(value: &Value) -> Result<&Rc<Version>, Error> {
    if let Some(pointer) = value.as_host::<Pointer>() {
        Ok(&pointer.0)
    } else if let Some(plain) = value.as_host::<Plain>() {
        Ok(&plain.0)
    } else {
        Err(Error::msg("the receiver is not a version"))
    }
}

fn plain(version: Version) -> Value {
    Value::host(Plain(Rc::new(version)))
}

fn uint(number: u64) -> Answer {
    Ok(Value::Uint(number, UintKind::Uint64))
}

/// -1, 0 or 1.
fn order(this: &Value, args: &[Value]) -> Result<i64, Error> {
    Ok(version(this)?.cmp(version(args.any(0))?) as i64)
}

const fn method(
    name: &'static str,
    params: &'static [GoType],
    result: GoType,
    call: crate::types::MethodFn,
) -> Method {
    Method { name, params, variadic: false, result, call }
}

/// The methods of the plain struct, and more: descriptors refer to each other, which statics may and
/// constants may not, so the shared part is repeated by a macro.
macro_rules! methods {
    ($($more:expr),* $(,)?) => {
        &[
            method("Major", &[], UINT64, |_, this, _| uint(version(this)?.major())),
            method("Minor", &[], UINT64, |_, this, _| uint(version(this)?.minor())),
            method("Patch", &[], UINT64, |_, this, _| uint(version(this)?.patch())),
            method("Prerelease", &[], STRING, |_, this, _| string(version(this)?.prerelease())),
            method("Metadata", &[], STRING, |_, this, _| string(version(this)?.metadata())),
            method("String", &[], STRING, |_, this, _| string(version(this)?.to_string())),
            method("IncPatch", &[], GoType(&PLAIN), |_, this, _| {
                Ok(plain(version(this)?.increment_patch().map_err(message)?))
            }),
            method("IncMinor", &[], GoType(&PLAIN), |_, this, _| {
                Ok(plain(version(this)?.increment_minor().map_err(message)?))
            }),
            method("IncMajor", &[], GoType(&PLAIN), |_, this, _| {
                Ok(plain(version(this)?.increment_major().map_err(message)?))
            }),
            method("SetPrerelease", &[STRING], GoType(&PLAIN), |_, this, args| {
                let text = args.text(0)?.to_str().ok_or_else(|| message(VersionError::InvalidPrerelease))?;
                Ok(plain(version(this)?.with_prerelease(text).map_err(message)?))
            }),
            method("SetMetadata", &[STRING], GoType(&PLAIN), |_, this, args| {
                let text = args.text(0)?.to_str().ok_or_else(|| message(VersionError::InvalidMetadata))?;
                Ok(plain(version(this)?.with_metadata(text).map_err(message)?))
            }),
            method("MarshalJSON", &[], BYTES, |_, this, _| {
                Ok(Value::bytes(format!("\"{}\"", version(this)?).into_bytes()))
            }),
            method("MarshalText", &[], BYTES, |_, this, _| Ok(Value::bytes(version(this)?.to_string().into_bytes()))),
            method("Value", &[], ANY, |_, this, _| string(version(this)?.to_string())),
            $($more),*
        ]
    };
}

static VALUE_METHODS: &[Method] = methods![];

static METHODS: &[Method] = methods![
    method("Original", &[], STRING, |_, this, _| string(version(this)?.original())),
    method("Compare", &[GoType(&POINTER)], INT, |_, this, args| Ok(Value::int(order(this, args)?))),
    method("Equal", &[GoType(&POINTER)], BOOL, |_, this, args| Ok(Value::Bool(order(this, args)? == 0))),
    method("LessThan", &[GoType(&POINTER)], BOOL, |_, this, args| Ok(Value::Bool(order(this, args)? < 0))),
    method("LessThanEqual", &[GoType(&POINTER)], BOOL, |_, this, args| {
        Ok(Value::Bool(order(this, args)? <= 0))
    }),
    method("GreaterThan", &[GoType(&POINTER)], BOOL, |_, this, args| Ok(Value::Bool(order(this, args)? > 0))),
    method("GreaterThanEqual", &[GoType(&POINTER)], BOOL, |_, this, args| {
        Ok(Value::Bool(order(this, args)? >= 0))
    }),
];
