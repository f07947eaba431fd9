//! Objects that are more than data: `time.Time`, a version, the capabilities of a cluster.

use crate::{GoType, Str, Value};
use std::any::Any;

/// A Go struct, pointer or named scalar as templates meet it. Its methods are in its [`GoType`].
pub trait Host: Any {
    /// The type; its descriptor holds the methods.
    fn go_type(&self) -> GoType;

    /// The plain value of a named scalar or collection (`time.Duration` -> `int64`).
    /// `None` for structs and pointers.
    fn underlying(&self) -> Option<Value> {
        None
    }

    /// The exported field of that name.
    fn field(&self, name: &[u8]) -> Option<Value> {
        self.fields().into_iter().find(|(field, _)| field.as_bytes() == name).map(|(_, value)| value)
    }

    /// Whether the struct has an unexported field of that name.
    fn has_unexported(&self, _name: &[u8]) -> bool {
        false
    }

    /// The exported fields in order of declaration.
    fn fields(&self) -> Vec<(&'static str, Value)> {
        Vec::new()
    }

    /// The entries of a map whose keys are no strings, in the order in which Go ranges over them: keys compared field
    /// by field. `None` for anything else.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// All fields in order of declaration, unexported ones too: what `fmt` prints.
    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        self.fields()
    }

    /// What the Go type's `String` or `Error` method returns; `None` if it has neither.
    fn string(&self) -> Option<Str> {
        None
    }

    /// What `String` returns when only the pointer has the method. A template's own printing
    /// (`{{ .Capabilities.KubeVersion }}`) finds it, `print` and the other functions do not.
    fn pointer_string(&self) -> Option<Str> {
        None
    }

    /// What the Go type's `GoString` method returns, for `%#v`.
    fn go_string(&self) -> Option<Str> {
        None
    }

    /// What `encoding/json` sees instead of the fields (`MarshalJSON`, tags): a plain value.
    fn json(&self) -> Option<Value> {
        None
    }

    /// Go's `==` with another object of the same type; `None` when the type is not comparable.
    fn equal(&self, other: &dyn Host) -> Option<bool>;
}
