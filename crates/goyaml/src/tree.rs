//! Walking a tree to write it: one interface between any value and the YAML and JSON writers.

use crate::value::{Number, Value};

/// Something that writes a tree as it is walked.
pub trait Sink {
    /// Writes `null`.
    fn null(&mut self);
    /// Writes a truth value.
    fn bool(&mut self, value: bool);
    /// Writes a number.
    fn number(&mut self, value: Number);
    /// Writes a string.
    fn string(&mut self, value: &str);
    /// Starts a list of `len` items, which follow; then comes `end_array`.
    fn begin_array(&mut self, len: usize);
    /// Ends a list.
    fn end_array(&mut self);
    /// Starts a map of `len` entries, each a `key` and a value; then comes `end_object`.
    fn begin_object(&mut self, len: usize);
    /// Writes the key of the value that follows.
    fn key(&mut self, key: &str);
    /// Ends a map.
    fn end_object(&mut self);
    /// Puts the keys of a map into the order in which this writer wants them.
    fn sort_keys(&self, keys: &mut [&str]);
}

/// A value that can be written as YAML or JSON.
///
/// A map must hand over its keys in the order of [`Sink::sort_keys`].
pub trait Tree {
    /// Writes this value.
    fn walk<S: Sink>(&self, sink: &mut S);
}

impl<T: Tree + ?Sized> Tree for &T {
    fn walk<S: Sink>(&self, sink: &mut S) {
        (**self).walk(sink);
    }
}

impl Tree for Value {
    fn walk<S: Sink>(&self, sink: &mut S) {
        match self {
            Value::Null => sink.null(),
            Value::Bool(value) => sink.bool(*value),
            Value::Number(number) => sink.number(*number),
            Value::String(text) => sink.string(text),
            Value::Array(items) => items.walk(sink),
            Value::Object(map) => map.walk(sink),
        }
    }
}

impl Tree for Vec<Value> {
    fn walk<S: Sink>(&self, sink: &mut S) {
        sink.begin_array(self.len());
        for item in self {
            item.walk(sink);
        }
        sink.end_array();
    }
}

impl Tree for crate::value::Map {
    fn walk<S: Sink>(&self, sink: &mut S) {
        let mut keys: Vec<&str> = self.keys().map(String::as_str).collect();
        sink.sort_keys(&mut keys);
        sink.begin_object(keys.len());
        for key in keys {
            sink.key(key);
            self[key].walk(sink);
        }
        sink.end_object();
    }
}

impl Tree for serde_json::Value {
    fn walk<S: Sink>(&self, sink: &mut S) {
        match self {
            serde_json::Value::Null => sink.null(),
            serde_json::Value::Bool(value) => sink.bool(*value),
            serde_json::Value::Number(number) => sink.number(Number::from(number)),
            serde_json::Value::String(text) => sink.string(text),
            serde_json::Value::Array(items) => {
                sink.begin_array(items.len());
                for item in items {
                    item.walk(sink);
                }
                sink.end_array();
            }
            serde_json::Value::Object(map) => map.walk(sink),
        }
    }
}

impl Tree for serde_json::Map<String, serde_json::Value> {
    fn walk<S: Sink>(&self, sink: &mut S) {
        let mut keys: Vec<&str> = self.keys().map(String::as_str).collect();
        sink.sort_keys(&mut keys);
        sink.begin_object(keys.len());
        for key in keys {
            sink.key(key);
            self[key].walk(sink);
        }
        sink.end_object();
    }
}
