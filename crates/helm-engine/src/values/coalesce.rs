//! How a user's values meet the defaults of a chart and its subcharts.
//!
//! The user wins; tables are merged; `global` is pushed down into every subchart. What nulls do
//! depends on the Helm version ([`NullRule`]). All of it works in place on shared tables, as in
//! Helm, since the sharing shows in the result.

use std::collections::BTreeSet;
use std::sync::Arc;

use gotemplate::{FrozenMap, Map as Table, Str, Value as Node};

use super::Value;
use super::print::go_v;
use super::tree::{self, to_value};
use crate::profile::NullRule;

const GLOBAL: &str = "global";

/// A chart's default values, shared between renders.
#[derive(Debug, Clone)]
pub(crate) struct ChartDefaults {
    raw: Arc<FrozenMap>,
    /// Without nulls, for Helm versions that drop them.
    clean: Arc<FrozenMap>,
}

impl ChartDefaults {
    pub(crate) fn new(values: &super::Map) -> Self {
        let raw = tree::freeze(values);
        let clean = tree::without_nulls(&raw);
        Self { raw, clean }
    }
}

/// What coalescing needs of a chart.
pub(crate) trait Defaults {
    fn name(&self) -> &str;
    fn defaults(&self) -> Option<&ChartDefaults>;
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
            let below = match dest.get(name) {
                None => {
                    let below = Table::new();
                    dest.insert(name, Node::Map(below.clone()));
                    below
                }
                Some(Node::Map(below)) => below,
                Some(other) => {
                    return Err(CoalesceError {
                        subchart: name.to_owned(),
                        value: percent_t(&to_value(&other)),
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
        for (key, default) in defaults.raw.iter() {
            match dest.get(key) {
                None => {
                    let kept = if self.cleans(self.merge) { defaults.clean.get(key) } else { Some(default) };
                    if let Some(kept) = kept {
                        dest.insert(key.clone(), kept.thaw());
                    }
                }
                Some(Node::Nil) if !self.merge => {
                    dest.remove(key);
                }
                Some(Node::Map(below)) => {
                    let name = key.to_string_lossy();
                    let merge = self.merge || chart.children().any(|child| child.name() == name);
                    let source = if self.cleans(merge) { defaults.clean.get(key) } else { Some(default) };
                    match source.map(gotemplate::Frozen::thaw) {
                        Some(Node::Map(source)) => {
                            self.tables(&below, &source, &concat(&sub_prefix, &name), merge)
                        }
                        None | Some(Node::Nil) => {}
                        Some(_) => {
                            self.warn(format!("warning: skipped value for {sub_prefix}.{name}: Not a table."))
                        }
                    }
                }
                Some(_) => {}
            }
        }
    }

    /// Pushes the parent's globals into a subchart's.
    fn globals(&mut self, dest: &Table, source: &Table, prefix: &str) {
        let take = |table: &Table| match table.get(GLOBAL) {
            None => Some(Table::new()),
            Some(Node::Map(globals)) => Some(globals),
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
        for (key, node) in above.entries() {
            match (node, below.get(&key)) {
                (Node::Map(table), None) => {
                    below.insert(key, Node::Map(table.shallow_clone()));
                }
                (Node::Map(table), Some(Node::Map(old))) => {
                    let copy = table.shallow_clone();
                    self.tables(&copy, &old, &concat(prefix, &key.to_string_lossy()), true);
                    below.insert(key, Node::Map(copy));
                }
                (Node::Map(_), Some(_)) => {
                    let key = crate::gostring::quote(&key.to_string_lossy());
                    self.warn(format!("Conflict: cannot merge map onto non-map for {key}. Skipping."));
                }
                (_, Some(Node::Map(_))) => self.warn(format!("key {key} is table. Skipping")),
                (node, _) => {
                    below.insert(key, node);
                }
            }
        }
        dest.insert(GLOBAL, Node::Map(below));
    }

    /// Merges `source` into `dest`; what `dest` has wins.
    pub(crate) fn tables(&mut self, dest: &Table, source: &Table, prefix: &str, merge: bool) {
        if dest.same(source) {
            return;
        }
        let mut defaulted: BTreeSet<Str> = BTreeSet::new();
        if self.rule != NullRule::UserDeletes && !merge {
            defaulted
                .extend(source.entries().into_iter().filter(|(_, node)| !node.is_nil()).map(|(key, _)| key));
        }
        if self.rule != NullRule::UserDeletes {
            for (key, node) in dest.entries() {
                if node.is_nil() {
                    source.insert(key, Node::Nil);
                }
            }
        }
        for (key, node) in source.entries() {
            match (dest.get(&key), node) {
                (Some(Node::Nil), _)
                    if !merge && (self.rule == NullRule::UserDeletes || defaulted.contains(&key)) =>
                {
                    dest.remove(&key);
                }
                (None, node) => {
                    dest.insert(key, node);
                }
                (Some(Node::Map(below)), Node::Map(table)) => {
                    self.tables(&below, &table, &concat(prefix, &key.to_string_lossy()), merge);
                }
                (Some(_), Node::Map(table)) => {
                    let value = go_v(&Value::Map(tree::to_map(&table)));
                    let key = concat(prefix, &key.to_string_lossy());
                    self.warn(format!("warning: cannot overwrite table with non table for {key} ({value})"));
                }
                (Some(Node::Map(_)), node) if !node.is_nil() => {
                    let value = go_v(&to_value(&node));
                    let key = concat(prefix, &key.to_string_lossy());
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

/// Go's `%t` of something that is no table.
fn percent_t(value: &Value) -> String {
    match value {
        Value::Bool(b) => b.to_string(),
        Value::Null => "%!t(<nil>)".to_owned(),
        Value::Int(i) => format!("%!t(int64={i})"),
        Value::Float(_) => format!("%!t(float64={})", super::print::go_v(value)),
        Value::String(s) => format!("%!t(string={s})"),
        Value::List(items) => {
            let item = |item: &Value| if *item == Value::Null { "<nil>".to_owned() } else { percent_t(item) };
            let items: Vec<String> = items.iter().map(item).collect();
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
    user: &super::Map,
    rule: NullRule,
) -> Result<(Table, Vec<String>), CoalesceError> {
    let dest = tree::table(user);
    let mut coalescer = Coalescer::new(rule, false);
    coalescer.chart(chart, &dest, "")?;
    Ok((dest, coalescer.warnings))
}

/// The defaults of a tree of charts, nulls kept.
pub(crate) fn merge_defaults<C: Defaults>(chart: &C, rule: NullRule) -> Result<Table, CoalesceError> {
    let dest = Table::new();
    Coalescer::new(rule, true).chart(chart, &dest, "")?;
    Ok(dest)
}
