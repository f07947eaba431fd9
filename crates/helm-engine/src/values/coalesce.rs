//! How a user's values meet the defaults of a chart and its subcharts.
//!
//! The user wins; tables are merged; `global` is pushed down into every subchart. What nulls do
//! depends on the Helm version ([`NullRule`]). All of it works in place on shared tables, as in
//! Helm, since the sharing shows in the result.

use std::collections::BTreeSet;
use std::rc::Rc;

use super::tree::{self, Node, Table};
use super::{Map, Value};
use crate::profile::NullRule;

const GLOBAL: &str = "global";

/// What coalescing needs of a chart.
pub(crate) trait Defaults {
    fn name(&self) -> &str;
    fn defaults(&self) -> Option<&Map>;
    fn children(&self) -> impl Iterator<Item = &Self>;
}

/// A value for a subchart that is no table; the text is Helm's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("type mismatch on {subchart}: {value}")]
pub struct CoalesceError {
    /// The subchart.
    pub subchart: String,
    /// The value, as Go's `%t` prints it.
    pub value: String,
}

/// One run of coalescing (nulls delete) or merging (nulls stay).
pub(crate) struct Coalescer {
    rule: NullRule,
    merge: bool,
    /// What helm prints to stderr.
    pub(crate) warnings: Vec<String>,
}

impl Coalescer {
    pub(crate) fn new(rule: NullRule, merge: bool) -> Self {
        Self { rule, merge, warnings: Vec::new() }
    }

    /// Fills `dest`, which holds the user's values, with the chart's defaults.
    pub(crate) fn chart<C: Defaults>(
        &mut self,
        chart: &C,
        dest: &Table,
        prefix: &str,
    ) -> Result<(), CoalesceError> {
        self.own_values(chart, dest, prefix);
        let sub_prefix = concat(prefix, chart.name());
        for child in chart.children() {
            let name = child.name();
            let existing = dest.borrow().get(name).cloned();
            let below = match existing {
                None => {
                    let below = tree::empty();
                    dest.borrow_mut().insert(name.to_owned(), Node::Table(below.clone()));
                    below
                }
                Some(Node::Table(below)) => below,
                Some(other) => {
                    return Err(CoalesceError {
                        subchart: name.to_owned(),
                        value: percent_t(&other.to_value()),
                    });
                }
            };
            self.globals(&below, dest, &sub_prefix);
            self.chart(child, &below, &sub_prefix)?;
        }
        Ok(())
    }

    fn warn(&mut self, message: String) {
        self.warnings.push(message);
    }

    fn cleans(&self, merge: bool) -> bool {
        !merge && self.rule == NullRule::DropDefaults
    }

    fn own_values<C: Defaults>(&mut self, chart: &C, dest: &Table, prefix: &str) {
        let Some(defaults) = chart.defaults() else { return };
        let sub_prefix = concat(prefix, chart.name());
        for (key, default) in defaults {
            let existing = dest.borrow().get(key).cloned();
            match existing {
                None => {
                    if self.cleans(self.merge) && *default == Value::Null {
                        continue;
                    }
                    let node = Node::from_value(default);
                    if self.cleans(self.merge) {
                        drop_nulls(&node);
                    }
                    dest.borrow_mut().insert(key.clone(), node);
                }
                Some(Node::Null) if !self.merge => {
                    dest.borrow_mut().remove(key);
                }
                Some(Node::Table(below)) => {
                    let node = Node::from_value(default);
                    let Some(source) = node.as_table() else {
                        if !node.is_null() {
                            self.warn(format!("warning: skipped value for {sub_prefix}.{key}: Not a table."));
                        }
                        continue;
                    };
                    let merge = self.merge || chart.children().any(|child| child.name() == key);
                    if self.cleans(merge) {
                        drop_nulls(&node);
                    }
                    self.tables(&below, source, &concat(&sub_prefix, key), merge);
                }
                Some(_) => {}
            }
        }
    }

    /// Pushes the parent's globals into a subchart's.
    fn globals(&mut self, dest: &Table, source: &Table, prefix: &str) {
        let take = |table: &Table| match table.borrow().get(GLOBAL) {
            None => Some(tree::empty()),
            Some(Node::Table(globals)) => Some(globals.clone()),
            Some(_) => None,
        };
        let Some(below) = take(dest) else {
            self.warn(format!("warning: skipping globals because destination {GLOBAL} is not a table."));
            return;
        };
        let Some(above) = take(source) else {
            self.warn(format!("warning: skipping globals because source {GLOBAL} is not a table."));
            return;
        };
        let entries: Vec<(String, Node)> =
            above.borrow().iter().map(|(key, node)| (key.clone(), node.clone())).collect();
        for (key, node) in entries {
            let existing = below.borrow().get(&key).cloned();
            match (node, existing) {
                (Node::Table(table), None) => {
                    below.borrow_mut().insert(key, Node::Table(tree::shallow_copy(&table)));
                }
                (Node::Table(table), Some(Node::Table(old))) => {
                    let copy = tree::shallow_copy(&table);
                    self.tables(&copy, &old, &concat(prefix, &key), true);
                    below.borrow_mut().insert(key, Node::Table(copy));
                }
                (Node::Table(_), Some(_)) => {
                    let key = crate::gostring::quote(&key);
                    self.warn(format!("Conflict: cannot merge map onto non-map for {key}. Skipping."));
                }
                (_, Some(Node::Table(_))) => self.warn(format!("key {key} is table. Skipping")),
                (node, _) => {
                    below.borrow_mut().insert(key, node);
                }
            }
        }
        dest.borrow_mut().insert(GLOBAL.to_owned(), Node::Table(below));
    }

    /// Merges `source` into `dest`; what `dest` has wins.
    pub(crate) fn tables(&mut self, dest: &Table, source: &Table, prefix: &str, merge: bool) {
        if Rc::ptr_eq(dest, source) {
            return;
        }
        let mut defaulted: BTreeSet<String> = BTreeSet::new();
        if self.rule != NullRule::UserDeletes && !merge {
            defaulted.extend(
                source.borrow().iter().filter(|(_, node)| !node.is_null()).map(|(key, _)| key.clone()),
            );
        }
        let nulls: Vec<String> =
            dest.borrow().iter().filter(|(_, node)| node.is_null()).map(|(key, _)| key.clone()).collect();
        for key in nulls {
            source.borrow_mut().insert(key, Node::Null);
        }
        let entries: Vec<(String, Node)> =
            source.borrow().iter().map(|(key, node)| (key.clone(), node.clone())).collect();
        for (key, node) in entries {
            let existing = dest.borrow().get(&key).cloned();
            match (existing, node) {
                (Some(Node::Null), _)
                    if !merge && (self.rule == NullRule::UserDeletes || defaulted.contains(&key)) =>
                {
                    dest.borrow_mut().remove(&key);
                }
                (None, node) => {
                    dest.borrow_mut().insert(key, node);
                }
                (Some(Node::Table(below)), Node::Table(table)) => {
                    self.tables(&below, &table, &concat(prefix, &key), merge);
                }
                (Some(_), Node::Table(table)) => {
                    let value = super::print::go_v(&Node::Table(table).to_value());
                    let key = concat(prefix, &key);
                    self.warn(format!("warning: cannot overwrite table with non table for {key} ({value})"));
                }
                (Some(Node::Table(_)), node) if !node.is_null() => {
                    let value = super::print::go_v(&node.to_value());
                    let key = concat(prefix, &key);
                    self.warn(format!(
                        "warning: destination for {key} is a table. Ignoring non-table value ({value})"
                    ));
                }
                (Some(_), _) => {}
            }
        }
    }
}

fn concat(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

/// Removes null entries of tables, at every depth but not inside lists.
fn drop_nulls(node: &Node) {
    if let Node::Table(table) = node {
        table.borrow_mut().retain(|_, node| !node.is_null());
        table.borrow().values().for_each(drop_nulls);
    }
}

/// Go's `%t` of something that is no table.
fn percent_t(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Null => "%!t(<nil>)".to_owned(),
        Value::Int(i) => format!("%!t(int64={i})"),
        Value::Float(_) => format!("%!t(float64={})", super::print::go_v(value)),
        Value::String(s) => format!("%!t(string={s})"),
        Value::List(items) => {
            let items: Vec<String> = items.iter().map(percent_t).collect();
            format!("[{}]", items.join(" "))
        }
        Value::Map(map) => {
            let entries: Vec<String> =
                map.iter().map(|(key, value)| format!("%!t(string={key}):{}", percent_t(value))).collect();
            format!("map[{}]", entries.join(" "))
        }
    }
}

/// Fills `user` with the defaults of a tree of charts, as seen by templates of the root chart.
pub(crate) fn coalesce<C: Defaults>(
    chart: &C,
    user: &Map,
    rule: NullRule,
) -> Result<(Table, Vec<String>), CoalesceError> {
    let dest = tree::table(user);
    let mut coalescer = Coalescer::new(rule, false);
    coalescer.chart(chart, &dest, "")?;
    Ok((dest, coalescer.warnings))
}

/// The defaults of a tree of charts, nulls kept.
pub(crate) fn merge_defaults<C: Defaults>(chart: &C, rule: NullRule) -> Result<Table, CoalesceError> {
    let dest = tree::empty();
    Coalescer::new(rule, true).chart(chart, &dest, "")?;
    Ok(dest)
}
