//! What an expression may cost: told beforehand from its shape and the size of the data, because nothing can be
//! interrupted once it runs.

use cel::common::ast::{CallExpr, Expr, LiteralValue};
use cel::objects::{Key, Map};
use cel::{IdedExpr, Value};
use serde_json::Value as Json;

use super::library::{self, children};

/// Parts of an expression evaluated, counted with all their repetitions.
const MOST_STEPS: u64 = 1_000_000;
/// The same for all the objects that one delivery is evaluated for.
const MOST_STEPS_TOGETHER: u64 = 10_000_000;
/// Bytes of text made.
const MOST_BYTES: u64 = 64 << 20;
/// The same for all the objects together.
const MOST_BYTES_TOGETHER: u64 = 10 * MOST_BYTES;
/// Bytes of text looked through.
const MOST_READ: u64 = 1 << 30;
/// The same for all the objects together.
const MOST_READ_TOGETHER: u64 = 4 * MOST_READ;
/// What a piece of text costs as a member of a list, in bytes for each of its own.
const AS_A_MEMBER: u64 = 32;
/// What it costs to have a regular expression at hand, in bytes read.
const PATTERN_AT_HAND: u64 = 16 << 10;
/// What it costs to compile one that comes out of the data.
const PATTERN_OF_DATA: u64 = 1 << 20;
/// A compiled pattern may be in several of its states at once; so many of its bytes make a text count once more.
const PATTERN_BYTES: u64 = 512;
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
    /// Bytes of all texts and values.
    whole: u64,
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
        self.whole += VALUE;
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => Value::Bool(*bool),
            Json::Number(number) => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => {
                self.text(text);
                Value::String(text.clone().into())
            }
            Json::Array(list) => {
                self.widest = self.widest.max(list.len() as u64);
                Value::List(list.iter().map(|one| self.take(one)).collect::<Vec<_>>().into())
            }
            Json::Object(map) => {
                self.widest = self.widest.max(map.len() as u64);
                let map = map.iter().map(|(key, one)| {
                    self.text(key);
                    (Key::from(key.as_str()), self.take(one))
                });
                let map = map.collect();
                Value::Map(Map { map: std::sync::Arc::new(map) })
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.longest = self.longest.max(text.len() as u64);
        self.whole += text.len() as u64;
    }

    fn measure(&mut self, value: &Value) {
        self.whole += VALUE;
        match value {
            Value::String(text) => self.text(text),
            Value::Bytes(bytes) => {
                self.longest = self.longest.max(bytes.len() as u64);
                self.whole += bytes.len() as u64;
            }
            Value::List(list) => {
                self.widest = self.widest.max(list.len() as u64);
                list.iter().for_each(|one| self.measure(one));
            }
            Value::Map(map) => {
                self.widest = self.widest.max(map.map.len() as u64);
                for (key, one) in map.map.iter() {
                    if let Key::String(key) = key {
                        self.text(key);
                    }
                    self.measure(one);
                }
            }
            _ => {}
        }
    }
}

/// What a value costs besides its text, when values are compared.
const VALUE: u64 = 16;

/// How often something is done, by how many loops it is in.
type Counts = [u64; DEEPEST + 1];

/// How often the parts of an expression are evaluated.
#[derive(Clone, Debug, Default)]
pub(super) struct Shape {
    steps: Counts,
    /// Those that make new text or lists out of one.
    making: Counts,
    /// Those that make text out of all that is in a list.
    gathering: Counts,
    /// Those that look through a text.
    reading: Counts,
    /// Those that look through values of any size.
    comparing: Counts,
    /// What is read whatever the data are.
    flat: Counts,
    /// Text can become a list.
    splits: bool,
    literal: u64,
    too_deep: bool,
}

impl Shape {
    /// Measures an expression. The error is that of a regular expression in it that is none.
    pub(super) fn of(tree: &IdedExpr) -> Result<Self, String> {
        let mut shape = Self::default();
        shape.add(tree, &mut Vec::new())?;
        Ok(shape)
    }

    fn add<'a>(&mut self, tree: &'a IdedExpr, around: &mut Vec<Loop<'a>>) -> Result<(), String> {
        let loops = around.len();
        if loops > DEEPEST {
            self.too_deep = true;
            return Ok(());
        }
        self.steps[loops] += 1;
        match &tree.expr {
            Expr::Comprehension(one) => {
                self.add(&one.iter_range, around)?;
                self.add(&one.accu_init, around)?;
                let names = [one.iter_var.as_str(), one.iter_var2.as_deref().unwrap_or_default()];
                let over_data = is_data(&one.iter_range, around);
                around.push(Loop { names, over_data });
                self.add(&one.loop_cond, around)?;
                self.add(&one.loop_step, around)?;
                around.pop();
                self.add(&one.result, around)?;
                // What `map` and `filter` gather is copied each time something is added.
                if matches!(one.accu_init.expr, Expr::List(_)) {
                    self.more_steps(loops + 2);
                }
                return Ok(());
            }
            Expr::List(list) => self.literal = self.literal.max(list.elements.len() as u64),
            Expr::Map(map) => self.literal = self.literal.max(map.entries.len() as u64),
            Expr::Literal(LiteralValue::String(text)) => {
                self.literal = self.literal.max(text.inner().len() as u64);
            }
            Expr::Call(call) => self.add_call(call, around)?,
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Select(_) | Expr::Struct(_) => {}
        }
        for part in children(&tree.expr) {
            self.add(part, around)?;
        }
        Ok(())
    }

    fn more_steps(&mut self, loops: usize) {
        match self.steps.get_mut(loops) {
            Some(steps) => *steps += 1,
            None => self.too_deep = true,
        }
    }

    /// What a call costs besides its arguments.
    fn add_call(&mut self, call: &CallExpr, around: &[Loop<'_>]) -> Result<(), String> {
        let loops = around.len();
        // What is compared with something that stands in the expression is compared with little.
        let with_literal = call.args.iter().any(|one| matches!(one.expr, Expr::Literal(_)));
        match call.func_name.as_str() {
            "matches" => {
                let (size, flat) = match library::literal_pattern(call) {
                    Some(pattern) => {
                        (library::pattern(pattern, library::LARGEST_PATTERN)?.size(), PATTERN_AT_HAND)
                    }
                    None => (library::LARGEST_PATTERN_OF_DATA, PATTERN_OF_DATA),
                };
                self.read(call, around, 1 + size as u64 / PATTERN_BYTES);
                self.flat[loops] += flat;
            }
            "split" => {
                self.splits = true;
                self.read(call, around, 1);
                self.make(call, around, AS_A_MEMBER);
            }
            // A member of a list is looked for in all of it.
            "@in" => match call.args.get(1).map(|list| &list.expr) {
                // The list stands there.
                Some(Expr::List(list)) => {
                    let is_literal = |one: &IdedExpr| matches!(one.expr, Expr::Literal(_));
                    let count = list.elements.len() as u64;
                    self.steps[loops] += count;
                    self.compare(call, around, with_literal || list.elements.iter().all(is_literal), count);
                }
                _ => {
                    self.more_steps(loops + 1);
                    self.compare(call, around, with_literal, 1);
                }
            },
            "equivalent" | "intersects" => self.more_steps(loops + 2),
            "contains" if call.args.len() == 2 => self.more_steps(loops + 2),
            "_==_" | "_!=_" => self.compare(call, around, with_literal, 1),
            "_+_" => {
                self.making[loops] += 1;
                if !with_literal {
                    // Two lists, perhaps.
                    self.more_steps(loops + 1);
                }
            }
            "join" | "format" => self.gathering[loops] += 1,
            "replace" | "lowerAscii" | "upperAscii" | "trim" | "substring" | "reverse" | "quote"
            | "string" | "bytes" | "encode" | "decode" => self.make(call, around, 1),
            "_&&_"
            | "_||_"
            | "!_"
            | "_?_:_"
            | "@not_strictly_false"
            | "-_"
            | "_-_"
            | "_*_"
            | "_/_"
            | "_%_"
            | "hasValue"
            | "value"
            | "or"
            | "orValue"
            | "of"
            | "none"
            | "ofNonZeroValue"
            | "type"
            | "dyn" => {}
            // Whatever else there is looks through its text at most once.
            name if name.starts_with('_') && with_literal || name.starts_with("get") => {}
            _ => self.read(call, around, 1),
        }
        Ok(())
    }

    /// A text is looked through. All that a loop over data runs over is not more than all there is.
    fn read(&mut self, call: &CallExpr, around: &[Loop<'_>], weight: u64) {
        match around.len() {
            loops if is_of_a_loop(text_of(call), around) => self.comparing[loops - 1] += weight,
            loops => self.reading[loops] += weight,
        }
    }

    /// A text is made out of one.
    fn make(&mut self, call: &CallExpr, around: &[Loop<'_>], weight: u64) {
        match around.len() {
            loops if is_of_a_loop(text_of(call), around) => self.gathering[loops - 1] += weight,
            loops => self.making[loops] += weight,
        }
    }

    /// Two values are compared, so far as the smaller of them goes.
    fn compare(&mut self, call: &CallExpr, around: &[Loop<'_>], with_literal: bool, weight: u64) {
        match around.len() {
            _ if with_literal => {}
            loops if call.args.iter().any(|one| is_of_a_loop(Some(one), around)) => {
                self.comparing[loops - 1] += weight;
            }
            loops => self.comparing[loops] += weight,
        }
    }

    /// Whether it may be evaluated over data of this size.
    pub(super) fn afford(&self, data: &Data) -> Result<(), String> {
        let longest = data.longest.max(self.literal);
        let whole = data.whole.max(longest);
        let widest = data.widest.max(self.literal).max(if self.splits { longest } else { 0 }).max(1);
        let times = |counts: &Counts, size: u64| {
            let sum = |sum: u64, count: &u64| sum.saturating_mul(widest).saturating_add(*count);
            counts.iter().rev().fold(0, sum).saturating_mul(size)
        };
        let steps = times(&self.steps, 1);
        let made = times(&self.making, longest.saturating_add(32))
            .saturating_add(times(&self.gathering, whole.saturating_add(32)));
        let read = times(&self.reading, longest)
            .saturating_add(times(&self.comparing, whole))
            .saturating_add(times(&self.flat, 1));
        let affords =
            |cost: u64, most: u64, together: u64| cost <= most && cost.saturating_mul(data.times) <= together;
        let affordable = affords(steps, MOST_STEPS, MOST_STEPS_TOGETHER)
            && affords(made, MOST_BYTES, MOST_BYTES_TOGETHER)
            && affords(read, MOST_READ, MOST_READ_TOGETHER);
        match affordable && !self.too_deep {
            true => Ok(()),
            false => Err("it would cost too much for a payload of this size".to_owned()),
        }
    }
}

/// A loop around a part of an expression.
struct Loop<'a> {
    names: [&'a str; 2],
    /// It runs over a part of the data, not over what an expression has made.
    over_data: bool,
}

/// The text that a function is about.
fn text_of(call: &CallExpr) -> Option<&IdedExpr> {
    call.target.as_deref().or(call.args.first())
}

/// The variable that a value is a part of, if it is a part of one.
fn root(tree: &IdedExpr) -> Option<&str> {
    match &tree.expr {
        Expr::Ident(name) => Some(name),
        Expr::Select(select) => root(&select.operand),
        Expr::Call(call) if call.func_name == "_[_]" => root(call.args.first()?),
        _ => None,
    }
}

fn loop_of<'l, 'a>(name: &str, around: &'l [Loop<'a>]) -> Option<&'l Loop<'a>> {
    around.iter().rev().find(|one| one.names.contains(&name))
}

/// Whether a value is a part of the data.
fn is_data(tree: &IdedExpr, around: &[Loop<'_>]) -> bool {
    root(tree).is_some_and(|name| loop_of(name, around).is_none_or(|one| one.over_data))
}

/// Whether a value is a part of what a loop over data is at.
fn is_of_a_loop(tree: Option<&IdedExpr>, around: &[Loop<'_>]) -> bool {
    tree.and_then(root).and_then(|name| loop_of(name, around)).is_some_and(|one| one.over_data)
}
