//! Which subcharts take part in a release, and under which names.
//!
//! Two steps, so that the second can be shared between releases: [`select`] looks at the user's
//! values and gives a [`Selection`]; [`Tree::build`] turns chart and selection into the charts that
//! are rendered, with imported values in place.

use std::fmt::Write as _;
use std::sync::Arc;

use super::metadata::{Dependency, Metadata};
use super::{Chart, ChartFile};
use crate::profile::NullRule;
use crate::values::coalesce::{CoalesceError, Coalescer, Defaults, coalesce, merge_defaults};
use crate::values::print::go_v;
use crate::values::tree::{self, Node, Table};
use crate::values::{Map, Value};

/// Dependencies of `Chart.yaml` that are not in `charts/`.
///
/// # Errors
/// With Helm's text, naming all of them.
pub(crate) fn check_present(chart: &Chart) -> Result<(), MissingDependencies> {
    let missing: Vec<&str> = chart
        .metadata
        .dependencies
        .iter()
        .map(|dependency| dependency.name.as_str())
        .filter(|name| !chart.dependencies.iter().any(|child| child.name() == *name))
        .collect();
    if missing.is_empty() { Ok(()) } else { Err(MissingDependencies(missing.join(", "))) }
}

/// Dependencies that `Chart.yaml` names and `charts/` lacks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("found in Chart.yaml, but missing in charts/ directory: {0}")]
pub struct MissingDependencies(pub String);

/// A subchart that takes part.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pick {
    /// Its place in the parent's `charts/`.
    child: usize,
    /// Its alias; empty for none.
    alias: String,
    below: Selection,
}

/// The subcharts of one chart that take part; `None` where Helm does not look.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(crate) struct Selection {
    picks: Option<Vec<Pick>>,
    /// Places in `Chart.yaml` of the dependencies in use.
    used: Vec<usize>,
}

/// A chart and its candidates for subcharts, to coalesce values over.
struct View<'a> {
    name: &'a str,
    chart: &'a Chart,
    children: Vec<View<'a>>,
}

impl<'a> View<'a> {
    fn whole(chart: &'a Chart, name: &'a str) -> Self {
        let children = chart.dependencies.iter().map(|child| View::whole(child, child.name())).collect();
        Self { name, chart, children }
    }
}

impl Defaults for View<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn defaults(&self) -> Option<&Map> {
        self.chart.values.as_ref()
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter()
    }
}

fn declares(chart: &Chart) -> bool {
    chart.declares_dependencies || !chart.metadata.dependencies.is_empty()
}

/// Whether values can make a difference to which subcharts take part.
pub(crate) fn depends_on_values(chart: &Chart) -> bool {
    declares(chart)
        && (chart.metadata.dependencies.iter().any(|dep| !dep.condition.is_empty() || !dep.tags.is_empty())
            || chart.dependencies.iter().any(depends_on_values))
}

/// Decides which subcharts take part, as `ProcessDependencies` does.
pub(crate) fn select(
    chart: &Chart,
    user: &Map,
    rule: NullRule,
) -> Result<(Selection, Vec<String>), CoalesceError> {
    let mut selector = Selector { rule, warnings: Vec::new(), lazy: !depends_on_values(chart) };
    let selection = selector.select(chart, chart.name(), user, "")?;
    Ok((selection, selector.warnings))
}

struct Selector {
    rule: NullRule,
    warnings: Vec<String>,
    /// No condition and no tag anywhere: values need not be looked at.
    lazy: bool,
}

impl Selector {
    fn select(
        &mut self,
        chart: &Chart,
        name: &str,
        user: &Map,
        path: &str,
    ) -> Result<Selection, CoalesceError> {
        if !declares(chart) {
            return Ok(Selection::default());
        }
        let requirements = &chart.metadata.dependencies;
        let fits = |child: &Chart, requirement: &Dependency| {
            child.name() == requirement.name && in_range(&requirement.version, &child.metadata.version)
        };
        let mut candidates: Vec<(usize, &str)> = Vec::new();
        for (place, child) in chart.dependencies.iter().enumerate() {
            if !requirements.iter().any(|requirement| fits(child, requirement)) {
                candidates.push((place, child.name()));
            }
        }
        for requirement in requirements {
            if let Some(place) = chart.dependencies.iter().position(|child| fits(child, requirement)) {
                candidates.push((place, known_as(requirement)));
            }
        }
        let mut enabled = vec![true; requirements.len()];
        let mut values = Map::new();
        if !self.lazy {
            let children = candidates
                .iter()
                .map(|(place, name)| View::whole(&chart.dependencies[*place], name))
                .collect();
            let (table, _) = coalesce(&View { name, chart, children }, user, self.rule)?;
            self.apply_tags(requirements, &table, &mut enabled);
            self.apply_conditions(requirements, &table, path, &mut enabled);
            values = tree::to_map(&table);
        }
        let disabled: Vec<&str> = requirements
            .iter()
            .zip(&enabled)
            .filter(|(_, enabled)| !**enabled)
            .map(|(requirement, _)| known_as(requirement))
            .collect();
        let mut picks = Vec::new();
        for (child, name) in candidates {
            if disabled.contains(&name) {
                continue;
            }
            let chart = &chart.dependencies[child];
            let below = self.select(chart, name, &values, &format!("{path}{name}."))?;
            let alias = if name == chart.name() { String::new() } else { name.to_owned() };
            picks.push(Pick { child, alias, below });
        }
        let used =
            (0..requirements.len()).filter(|at| !disabled.contains(&known_as(&requirements[*at]))).collect();
        Ok(Selection { picks: Some(picks), used })
    }

    fn apply_tags(&mut self, requirements: &[Dependency], values: &Table, enabled: &mut [bool]) {
        let Some(tags) = tree::table_at(values, "tags") else { return };
        let tags = tags.borrow();
        for (requirement, enabled) in requirements.iter().zip(enabled) {
            let (mut any_true, mut any_false) = (false, false);
            for tag in &requirement.tags {
                match tags.get(tag) {
                    Some(Node::Bool(true)) => any_true = true,
                    Some(Node::Bool(false)) => any_false = true,
                    Some(_) => self
                        .warnings
                        .push(format!("tag `{tag}` of chart `{}` is no boolean", requirement.name)),
                    None => {}
                }
            }
            *enabled = any_true || !any_false;
        }
    }

    fn apply_conditions(
        &mut self,
        requirements: &[Dependency],
        values: &Table,
        path: &str,
        enabled: &mut [bool],
    ) {
        for (requirement, enabled) in requirements.iter().zip(enabled) {
            for condition in crate::gostring::trim_space(&requirement.condition).split(',') {
                if condition.is_empty() {
                    continue;
                }
                match tree::value_at(values, &format!("{path}{condition}")) {
                    Some(Node::Bool(value)) => {
                        *enabled = value;
                        break;
                    }
                    Some(_) => self.warnings.push(format!(
                        "condition `{condition}` of chart `{}` is no boolean",
                        requirement.name
                    )),
                    None => {}
                }
            }
        }
    }
}

fn known_as(requirement: &Dependency) -> &str {
    if requirement.alias.is_empty() { &requirement.name } else { &requirement.alias }
}

/// Whether a version satisfies a constraint; what cannot be read does not.
pub(crate) fn in_range(constraint: &str, version: &str) -> bool {
    let version = masterminds_semver::Version::parse(version);
    let constraint = masterminds_semver::Constraints::parse(constraint);
    matches!((version, constraint), (Ok(version), Ok(constraint)) if constraint.check(&version))
}

/// A chart that takes part in a release, under the name it has there.
#[derive(Debug, Clone)]
pub(crate) struct Tree {
    /// With the name it is used under and the dependencies in use.
    pub(crate) metadata: Metadata,
    /// Path from the root chart on, as `app/charts/db`.
    pub(crate) full_path: String,
    /// Default values with imported ones.
    pub(crate) values: Option<Map>,
    pub(crate) schema: Option<Arc<[u8]>>,
    pub(crate) files: Vec<ChartFile>,
    pub(crate) templates: Vec<ChartFile>,
    /// Places in `charts/` from the root chart on; the root itself has none.
    pub(crate) origin: Vec<usize>,
    pub(crate) children: Vec<Tree>,
}

impl Defaults for Tree {
    fn name(&self) -> &str {
        &self.metadata.name
    }

    fn defaults(&self) -> Option<&Map> {
        self.values.as_ref()
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter()
    }
}

impl Tree {
    /// The charts of a selection, with imported values.
    pub(crate) fn build(
        chart: &Chart,
        selection: &Selection,
        rule: NullRule,
    ) -> Result<(Self, Vec<String>), CoalesceError> {
        let mut warnings = Vec::new();
        let mut tree = Self::take(chart, chart.name(), selection, chart.name().to_owned(), Vec::new());
        tree.import_values(rule, &mut warnings)?;
        Ok((tree, warnings))
    }

    fn take(chart: &Chart, name: &str, selection: &Selection, full_path: String, origin: Vec<usize>) -> Self {
        let mut metadata = chart.metadata.clone();
        name.clone_into(&mut metadata.name);
        let below = |child: usize, name: &str, selection: &Selection| {
            let mut origin = origin.clone();
            origin.push(child);
            let full_path = format!("{full_path}/charts/{name}");
            Self::take(&chart.dependencies[child], name, selection, full_path, origin)
        };
        let children = match &selection.picks {
            None => {
                let nothing = Selection::default();
                (0..chart.dependencies.len())
                    .map(|at| below(at, chart.dependencies[at].name(), &nothing))
                    .collect()
            }
            Some(picks) => {
                metadata.dependencies = selection
                    .used
                    .iter()
                    .map(|at| {
                        let mut dependency = chart.metadata.dependencies[*at].clone();
                        known_as(&dependency).to_owned().clone_into(&mut dependency.name);
                        dependency.enabled = true;
                        dependency
                    })
                    .collect();
                picks
                    .iter()
                    .map(|pick| {
                        let own = chart.dependencies[pick.child].name();
                        below(pick.child, if pick.alias.is_empty() { own } else { &pick.alias }, &pick.below)
                    })
                    .collect()
            }
        };
        Self {
            metadata,
            full_path,
            values: chart.values.clone(),
            schema: chart.schema.clone(),
            files: chart.files.clone(),
            templates: chart.templates.clone(),
            origin,
            children,
        }
    }

    /// Takes values over from children, deepest charts first; the parent's own values win.
    fn import_values(&mut self, rule: NullRule, warnings: &mut Vec<String>) -> Result<(), CoalesceError> {
        for child in &mut self.children {
            child.import_values(rule, warnings)?;
        }
        if self.metadata.dependencies.is_empty() {
            return Ok(());
        }
        let values = merge_defaults(self, rule)?;
        let imported = tree::empty();
        let mut merger = Coalescer::new(rule, true);
        for dependency in &mut self.metadata.dependencies {
            let mut resolved = Vec::new();
            for import in &dependency.import_values {
                let (child, parent) = match import {
                    Value::Map(map) => {
                        let text = |key: &str| map.get(key).map_or_else(|| "<nil>".to_owned(), go_v);
                        (text("child"), text("parent"))
                    }
                    Value::String(export) => (format!("exports.{export}"), ".".to_owned()),
                    _ => continue,
                };
                let entry = [("child", child.clone()), ("parent", parent.clone())];
                resolved
                    .push(Value::Map(entry.map(|(key, text)| (key.to_owned(), Value::String(text))).into()));
                let Some(table) = tree::table_at(&values, &format!("{}.{child}", dependency.name)) else {
                    let mut warning = String::new();
                    write!(warning, "import-values: chart `{}` has no table `{child}`", dependency.name)
                        .expect("writing to memory cannot fail");
                    warnings.push(warning);
                    continue;
                };
                let table = if table.borrow().is_empty() { tree::empty() } else { table };
                merger.tables(&imported, &at_path(&parent, table), "", true);
            }
            dependency.import_values = resolved;
        }
        let values = tree::table(&tree::to_map(&values));
        merger.tables(&values, &imported, "", true);
        warnings.append(&mut merger.warnings);
        self.values = Some(tree::to_map(&values));
        Ok(())
    }
}

/// Wraps a table so that it lies at a dotted path; `.` is the top.
fn at_path(path: &str, table: Table) -> Table {
    if path == "." {
        return table;
    }
    path.rsplit('.').fold(table, |inner, name| {
        let outer = tree::empty();
        outer.borrow_mut().insert(name.to_owned(), Node::Table(inner));
        outer
    })
}
