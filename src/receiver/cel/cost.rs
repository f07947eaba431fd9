//! What an expression may cost: told beforehand from its shape and the size of the data, because nothing can be
//! interrupted once it runs.

use cel::common::ast::{Expr, LiteralValue};
use cel::objects::{Key, Map};
use cel::{IdedExpr, Value};
use serde_json::Value as Json;

use super::library::children;

/// Parts of an expression evaluated, counted with all their repetitions.
const MOST_STEPS: u64 = 1_000_000;
/// The same for all the objects that one delivery is evaluated for.
const MOST_STEPS_TOGETHER: u64 = 10_000_000;
/// Bytes of text made.
const MOST_BYTES: u64 = 64 << 20;
/// Loops within loops.
const DEEPEST: usize = 8;

/// The variables of an evaluation, measured.
#[derive(Clone, Debug, Default)]
pub(in crate::receiver) struct Data {
    variables: Vec<(&'static str, Value)>,
    /// Entries of the largest list or map.
    widest: u64,
    /// Bytes of the longest text.
    longest: u64,
    /// How often the expressions of a delivery are evaluated.
    times: u64,
}

impl Data {
    /// The same, said to be one of so many.
    pub(in crate::receiver) fn one_of(mut self, times: usize) -> Self {
        self.times = times as u64;
        self
    }

    /// The same with one more variable.
    pub(in crate::receiver) fn with(mut self, name: &'static str, json: &Json) -> Self {
        let value = self.take(json);
        self.variables.push((name, value));
        self
    }

    /// The same with a map of values that were evaluated before.
    pub(in crate::receiver) fn with_values(mut self, name: &'static str, values: &[(String, Value)]) -> Self {
        for (_, value) in values {
            self.measure(value);
        }
        let map = values.iter().map(|(key, value)| (Key::from(key.as_str()), value.clone())).collect();
        self.variables.push((name, Value::Map(Map { map: std::sync::Arc::new(map) })));
        self
    }

    pub(super) fn variables(&self) -> &[(&'static str, Value)] {
        &self.variables
    }

    /// Numbers are doubles, as they are for Flux, whose JSON knows no others.
    fn take(&mut self, json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => {
                self.longest = self.longest.max(text.len() as u64);
                Value::String(text.clone().into())
            }
            Json::Array(list) => {
                self.widest = self.widest.max(list.len() as u64);
                Value::List(list.iter().map(|one| self.take(one)).collect::<Vec<_>>().into())
            }
            Json::Object(map) => {
                self.widest = self.widest.max(map.len() as u64);
                let map = map.iter().map(|(key, one)| (Key::from(key.as_str()), self.take(one))).collect();
                Value::Map(Map { map: std::sync::Arc::new(map) })
            }
        }
    }

    fn measure(&mut self, value: &Value) {
        match value {
            Value::String(text) => self.longest = self.longest.max(text.len() as u64),
            Value::List(list) => {
                self.widest = self.widest.max(list.len() as u64);
                list.iter().for_each(|one| self.measure(one));
            }
            Value::Map(map) => {
                self.widest = self.widest.max(map.map.len() as u64);
                map.map.values().for_each(|one| self.measure(one));
            }
            _ => {}
        }
    }
}

/// How often the parts of an expression are evaluated, by how many loops they are in.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    steps: [u64; DEEPEST + 1],
    /// Those that make new text or lists.
    making: [u64; DEEPEST + 1],
    /// Text can become a list.
    splits: bool,
    literal: u64,
    too_deep: bool,
}

impl Shape {
    pub(super) fn of(tree: &IdedExpr) -> Self {
        let mut shape = Self::default();
        shape.add(tree, 0);
        shape
    }

    fn add(&mut self, tree: &IdedExpr, loops: usize) {
        if loops > DEEPEST {
            self.too_deep = true;
            return;
        }
        self.steps[loops] += 1;
        match &tree.expr {
            Expr::Comprehension(one) => {
                self.add(&one.iter_range, loops);
                self.add(&one.accu_init, loops);
                self.add(&one.loop_cond, loops + 1);
                self.add(&one.loop_step, loops + 1);
                self.add(&one.result, loops);
                // What `map` and `filter` gather is copied each time something is added.
                if matches!(one.accu_init.expr, Expr::List(_)) {
                    match self.steps.get_mut(loops + 2) {
                        Some(steps) => *steps += 1,
                        None => self.too_deep = true,
                    }
                }
                return;
            }
            Expr::List(list) => self.literal = self.literal.max(list.elements.len() as u64),
            Expr::Map(map) => self.literal = self.literal.max(map.entries.len() as u64),
            Expr::Literal(LiteralValue::String(text)) => {
                self.literal = self.literal.max(text.inner().len() as u64);
            }
            Expr::Call(call) => match call.func_name.as_str() {
                "split" => self.splits = true,
                // A member of a list is looked for in all of it.
                "@in" | "contains" | "equivalent" | "intersects" => match self.steps.get_mut(loops + 2) {
                    Some(steps) if call.func_name != "@in" && call.args.len() == 2 => *steps += 1,
                    Some(_) => self.steps[loops + 1] += 1,
                    None => self.too_deep = true,
                },
                "_+_" | "join" | "format" | "replace" | "lowerAscii" | "upperAscii" | "trim"
                | "substring" | "reverse" | "quote" | "string" | "bytes" | "encode" | "decode" => {
                    self.making[loops] += 1
                }
                _ => {}
            },
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Select(_) | Expr::Struct(_) => {}
        }
        for part in children(&tree.expr) {
            self.add(part, loops);
        }
    }

    /// Whether it may be evaluated over data of this size.
    pub(super) fn afford(&self, data: &Data) -> Result<(), String> {
        let longest = data.longest.max(self.literal);
        let widest = data.widest.max(self.literal).max(if self.splits { longest } else { 0 }).max(1);
        let sum = |counts: &[u64]| {
            counts.iter().rev().fold(0_u64, |sum, count| sum.saturating_mul(widest).saturating_add(*count))
        };
        let bytes = sum(&self.making).saturating_mul(longest.saturating_add(32));
        let steps = sum(&self.steps);
        let together = steps.saturating_mul(data.times) > MOST_STEPS_TOGETHER;
        if self.too_deep || steps > MOST_STEPS || together || bytes > MOST_BYTES {
            return Err("it would cost too much for a payload of this size".to_owned());
        }
        Ok(())
    }
}
