//! Which subcharts take part in a release, and under which names.
//!
//! Two steps, so that the second can be shared between releases: [`Source::select`] looks at the
//! user's values and gives a [`Selection`]; [`Tree::build`] turns chart and selection into the charts
//! that are rendered, with imported values in place.

use std::sync::Arc;

use gotemplate::{FrozenMap, Map as Table, Value as Node};

use super::Chart;
use super::metadata::{Dependency, Metadata};
use crate::profile::NullRule;
use crate::schema::{RemoteSchemas, Schema};
use crate::values::coalesce::{ChartDefaults, CoalesceError, Coalescer, Defaults, coalesce, merge_defaults};
use crate::values::print::go_v;
use crate::values::{Map, Value, tree};

/// A chart prepared for many renders; its subcharts are in `children` and no longer in `chart`.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) chart: Chart,
    pub(crate) defaults: Option<ChartDefaults>,
    pub(crate) schema: Option<Schema>,
    /// `.Files`
    pub(crate) files: Arc<FrozenMap>,
    pub(crate) children: Vec<Arc<Source>>,
    /// Whether values can make a difference to which subcharts take part.
    depends_on_values: bool,
}

impl Source {
    pub(crate) fn new(mut chart: Chart, remote: &RemoteSchemas) -> Self {
        let children: Vec<Arc<Self>> = std::mem::take(&mut chart.dependencies)
            .into_iter()
            .map(|child| Arc::new(Self::new(child, remote)))
            .collect();
        let conditional = |dep: &Dependency| !dep.condition.is_empty() || !dep.tags.is_empty();
        let depends_on_values = declares(&chart)
            && (chart.metadata.dependencies.iter().any(conditional)
                || children.iter().any(|child| child.depends_on_values));
        Self {
            defaults: chart.values.as_ref().map(ChartDefaults::new),
            schema: chart.schema.as_ref().map(|text| Schema::new(text, remote)),
            files: Arc::new(
                chart
                    .files
                    .iter()
                    .map(|file| (file.name.as_str().into(), gotemplate::Frozen::Bytes(file.data.clone())))
                    .collect(),
            ),
            children,
            depends_on_values,
            chart,
        }
    }

    fn name(&self) -> &str {
        self.chart.name()
    }

    /// The chart as it was before it was prepared.
    pub(crate) fn to_chart(&self) -> Chart {
        let mut chart = self.chart.clone();
        chart.dependencies = self.children.iter().map(|child| child.to_chart()).collect();
        chart
    }

    /// Dependencies of `Chart.yaml` that are not in `charts/`.
    pub(crate) fn check_present(&self) -> Result<(), MissingDependencies> {
        let names = self.chart.metadata.dependencies.iter().map(|dependency| dependency.name.as_str());
        let missing: Vec<&str> =
            names.filter(|name| !self.children.iter().any(|child| child.name() == *name)).collect();
        if missing.is_empty() { Ok(()) } else { Err(MissingDependencies(missing.join(", "))) }
    }

    /// Decides which subcharts take part, as `ProcessDependencies` does.
    pub(crate) fn select(
        &self,
        user: &Map,
        rule: NullRule,
    ) -> Result<(Selection, Vec<String>), CoalesceError> {
        let mut selector = Selector { rule, warnings: Vec::new(), lazy: !self.depends_on_values };
        let selection = selector.select(self, self.name(), user, "")?;
        Ok((selection, selector.warnings))
    }
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
    source: &'a Source,
    children: Vec<View<'a>>,
}

impl<'a> View<'a> {
    fn whole(source: &'a Source, name: &'a str) -> Self {
        let children = source.children.iter().map(|child| View::whole(child, child.name())).collect();
        Self { name, source, children }
    }
}

impl Defaults for View<'_> {
    fn name(&self) -> &str {
        self.name
    }

    fn defaults(&self) -> Option<&ChartDefaults> {
        self.source.defaults.as_ref()
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter()
    }
}

fn declares(chart: &Chart) -> bool {
    chart.declares_dependencies || !chart.metadata.dependencies.is_empty()
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
        source: &Source,
        name: &str,
        user: &Map,
        path: &str,
    ) -> Result<Selection, CoalesceError> {
        if !declares(&source.chart) {
            return Ok(Selection::default());
        }
        let requirements = &source.chart.metadata.dependencies;
        let fits = |child: &Source, requirement: &Dependency| {
            child.name() == requirement.name && in_range(&requirement.version, &child.chart.metadata.version)
        };
        let mut candidates: Vec<(usize, &str)> = Vec::new();
        for (place, child) in source.children.iter().enumerate() {
            if !requirements.iter().any(|requirement| fits(child, requirement)) {
                candidates.push((place, child.name()));
            }
        }
        for requirement in requirements {
            if let Some(place) = source.children.iter().position(|child| fits(child, requirement)) {
                candidates.push((place, known_as(requirement)));
            }
        }
        let mut enabled = vec![true; requirements.len()];
        let mut values = Map::new();
        if !self.lazy {
            let children =
                candidates.iter().map(|(place, name)| View::whole(&source.children[*place], name)).collect();
            let (table, _) = coalesce(&View { name, source, children }, user, self.rule)?;
            self.apply_tags(requirements, &table, &mut enabled);
            self.apply_conditions(requirements, &table, path, &mut enabled);
            if source.children.iter().any(|child| declares(&child.chart)) {
                values = tree::to_map(&table);
            }
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
            let source = &source.children[child];
            let below = self.select(source, name, &values, &format!("{path}{name}."))?;
            let alias = if name == source.name() { String::new() } else { name.to_owned() };
            picks.push(Pick { child, alias, below });
        }
        let used =
            (0..requirements.len()).filter(|at| !disabled.contains(&known_as(&requirements[*at]))).collect();
        Ok(Selection { picks: Some(picks), used })
    }

    fn apply_tags(&mut self, requirements: &[Dependency], values: &Table, enabled: &mut [bool]) {
        let Some(tags) = tree::table_at(values, "tags") else { return };
        let tags = tags;
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
#[derive(Debug)]
pub(crate) struct Tree {
    /// With the name it is used under and the dependencies in use.
    pub(crate) metadata: Metadata,
    /// Path from the root chart on, as `app/charts/db`.
    pub(crate) full_path: String,
    /// Default values with imported ones.
    pub(crate) values: Option<Map>,
    pub(crate) defaults: Option<ChartDefaults>,
    /// Files, schema and templates.
    pub(crate) source: Arc<Source>,
    pub(crate) children: Vec<Tree>,
}

impl Defaults for Tree {
    fn name(&self) -> &str {
        &self.metadata.name
    }

    fn defaults(&self) -> Option<&ChartDefaults> {
        self.defaults.as_ref()
    }

    fn children(&self) -> impl Iterator<Item = &Self> {
        self.children.iter()
    }
}

impl Tree {
    /// The charts of a selection, with imported values.
    pub(crate) fn build(
        source: &Arc<Source>,
        selection: &Selection,
        rule: NullRule,
    ) -> Result<(Self, Vec<String>), CoalesceError> {
        let mut warnings = Vec::new();
        let mut tree = Self::take(source, source.name(), selection, source.name().to_owned());
        tree.import_values(rule, &mut warnings)?;
        Ok((tree, warnings))
    }

    fn take(source: &Arc<Source>, name: &str, selection: &Selection, full_path: String) -> Self {
        let mut metadata = source.chart.metadata.clone();
        name.clone_into(&mut metadata.name);
        let below = |child: &Arc<Source>, name: &str, selection: &Selection| {
            Self::take(child, name, selection, format!("{full_path}/charts/{name}"))
        };
        let children = match &selection.picks {
            None => {
                let nothing = Selection::default();
                source.children.iter().map(|child| below(child, child.name(), &nothing)).collect()
            }
            Some(picks) => {
                let requirements = &source.chart.metadata.dependencies;
                metadata.dependencies = selection
                    .used
                    .iter()
                    .map(|at| {
                        let mut dependency = requirements[*at].clone();
                        dependency.name = known_as(&requirements[*at]).to_owned();
                        dependency.enabled = true;
                        dependency
                    })
                    .collect();
                picks
                    .iter()
                    .map(|pick| {
                        let child = &source.children[pick.child];
                        below(
                            child,
                            if pick.alias.is_empty() { child.name() } else { &pick.alias },
                            &pick.below,
                        )
                    })
                    .collect()
            }
        };
        Self {
            metadata,
            full_path,
            values: source.chart.values.clone(),
            defaults: source.defaults.clone(),
            source: source.clone(),
            children,
        }
    }

    /// Every chart there is, whatever the values say.
    pub(crate) fn whole(source: &Arc<Source>) -> Self {
        Self::take(source, source.name(), &Selection::default(), source.name().to_owned())
    }

    /// Whether any chart has a schema.
    pub(crate) fn has_schema(&self) -> bool {
        self.source.schema.is_some() || self.children.iter().any(Self::has_schema)
    }

    /// All charts, parents before children.
    pub(crate) fn walk<'a>(&'a self, visit: &mut impl FnMut(&'a Self)) {
        visit(self);
        for child in &self.children {
            child.walk(visit);
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
        let imported = Table::new();
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
                    warnings
                        .push(format!("import-values: chart `{}` has no table `{child}`", dependency.name));
                    continue;
                };
                let table = if table.is_empty() { Table::new() } else { table };
                merger.tables(&imported, &at_path(&parent, table), "", true);
            }
            dependency.import_values = resolved;
        }
        let values = tree::table(&tree::to_map(&values));
        merger.tables(&values, &imported, "", true);
        warnings.append(&mut merger.warnings);
        let values = tree::to_map(&values);
        self.defaults = Some(ChartDefaults::new(&values));
        self.values = Some(values);
        Ok(())
    }
}

/// Wraps a table so that it lies at a dotted path; `.` is the top.
fn at_path(path: &str, table: Table) -> Table {
    if path == "." {
        return table;
    }
    path.rsplit('.').fold(table, |inner, name| {
        let outer = Table::new();
        outer.insert(name, Node::Map(inner));
        outer
    })
}
