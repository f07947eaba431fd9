//! One render: values meet the chart, templates run, their text becomes manifests and hooks.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use gotemplate::sprig::Surroundings;
use gotemplate::sprig::time::{Time, Zone};
use gotemplate::types::MAP;
use gotemplate::{Ctx, Map, Renderer, Reply, Str, Value, Watch};

use super::chart_object;
use super::functions::{self, LOOKUP_SLOT};
use super::objects::{self, CapabilitiesHost, FILES};
use super::plan::Plan;
use super::reads::{ReadLog, Reads};
use super::tpl::{TplCache, remove_no_value};
use super::{RenderContext, RenderError, errors};
use crate::chart::dependencies::Tree;
use crate::profile::HelmProfile;

/// Output of each executed template, by its path from the root chart's name on.
pub(super) type Files = BTreeMap<String, Vec<u8>>;

/// What the executor needs besides plan and values.
pub(super) struct Execution<'a> {
    pub(super) profile: &'a HelmProfile,
    pub(super) tpl: &'a Arc<TplCache>,
    pub(super) context: &'a RenderContext<'a>,
}

impl Execution<'_> {
    /// Runs all templates of the plan over the values of the root chart.
    pub(super) fn run(&self, plan: &Plan, values: &Map) -> Result<(Files, Reads), RenderError> {
        let set = plan.templates.as_ref().map_err(|text| RenderError::Template(text.clone()))?;
        let log = Rc::new(RefCell::new(ReadLog::default()));
        let volatile = Rc::new(Cell::new(false));
        let mut renderer = Renderer::new(self.ctx(&log, &volatile));
        let watch = Watch::default();
        let scopes = self.scopes(plan, values, &log, &watch);
        let values_type = objects::values_type(self.profile);
        let mut files = Files::new();
        for file in &plan.files {
            let scope = &scopes[file.chart];
            let template = Map::with_type(values_type);
            template.insert("Name", Value::from(file.name.as_str()));
            template.insert("BasePath", Value::from(file.base_path.as_str()));
            scope.insert("Template", Value::Map(template));
            let dot = Value::Map(scope.as_type(values_type));
            let output = renderer.execute(set, &file.name, dot).map_err(|error| match error.limit() {
                Some(limit) => RenderError::Limit { file: file.name.clone(), limit: limit.to_string() },
                None => RenderError::Template(errors::exec_error(&error, self.profile.errors)),
            })?;
            let output = remove_no_value(&output).unwrap_or(output);
            files.insert(file.name.clone(), output);
        }
        drop(renderer);
        log.borrow_mut().values(watch.paths());
        let mut reads = std::mem::take(&mut log.borrow_mut().0);
        reads.volatile = volatile.get();
        Ok((files, reads))
    }

    fn ctx(&self, log: &Rc<RefCell<ReadLog>>, volatile: &Rc<Cell<bool>>) -> Ctx {
        let mut ctx = Ctx::new(self.context.limits.for_templates());
        ctx.set_extension(self.tpl.clone());
        ctx.set_extension(log.clone());
        let (lookup, noted) = (self.context.lookup.clone(), log.clone());
        ctx.bind(
            LOOKUP_SLOT,
            Rc::new(move |_, args| functions::lookup(&*lookup, &noted, args).map(Reply::Value)),
        );
        let (seconds, nanoseconds) = self.context.now;
        let (clock, dice) = (volatile.clone(), volatile.clone());
        let entropy = self.context.entropy.clone();
        ctx.set_extension(Surroundings::new(
            move || {
                clock.set(true);
                Time::from_unix(seconds, nanoseconds, Zone::Utc)
            },
            move |buffer: &mut [u8]| {
                dice.set(true);
                entropy(buffer);
            },
        ));
        ctx
    }

    /// The objects each chart's templates start from, in the order of [`Tree::walk`].
    fn scopes(&self, plan: &Plan, values: &Map, log: &Rc<RefCell<ReadLog>>, watch: &Watch) -> Vec<Map> {
        let release = self.context.release;
        let release = Value::map([
            ("Name", Value::from(release.name.as_str())),
            ("Namespace", Value::from(release.namespace.as_str())),
            ("IsUpgrade", Value::Bool(release.is_upgrade)),
            ("IsInstall", Value::Bool(release.is_install)),
            ("Revision", Value::int(release.revision)),
            ("Service", Value::from(release.service.as_str())),
        ]);
        let capabilities = Value::host(CapabilitiesHost::new(self.context.capabilities, log));
        let shared = Shared { execution: self, plan, release, capabilities, watch };
        let mut scopes = Vec::with_capacity(plan.charts.len());
        shared.scope(&plan.tree, values.clone(), Vec::new(), &mut scopes);
        scopes
    }
}

/// What all scopes of a render have in common.
struct Shared<'a> {
    execution: &'a Execution<'a>,
    plan: &'a Plan,
    release: Value,
    capabilities: Value,
    watch: &'a Watch,
}

impl Shared<'_> {
    /// The scope of a chart whose values are found at that path.
    fn scope(&self, tree: &Tree, values: Map, path: Vec<Str>, scopes: &mut Vec<Map>) -> Map {
        let profile = self.execution.profile;
        let values_type = objects::values_type(profile);
        let objects = &self.plan.charts[scopes.len()];
        let subcharts = Map::new();
        let scope = Map::with_type(MAP);
        scope.insert("Chart", chart_object::of(profile, &objects.chart));
        scope.insert("Files", Value::Map(Map::from_frozen(FILES, objects.files.clone())));
        scope.insert("Release", self.release.clone());
        scope.insert("Capabilities", self.capabilities.clone());
        scope.insert("Values", Value::Map(values.as_type(values_type)));
        scope.insert("Subcharts", Value::Map(subcharts.clone()));
        scopes.push(scope.clone());
        for child in &tree.children {
            let name = child.metadata.name.as_str();
            let below = crate::values::tree::table_at(&values, name).unwrap_or_default();
            let path = path.iter().cloned().chain([Str::from(name)]).collect();
            let below = self.scope(child, below, path, scopes);
            subcharts.insert(name, Value::Map(below));
        }
        // Only now: looking for the subcharts' tables is not what templates do.
        if self.execution.context.note_values {
            self.watch.over(&values, path);
        }
        scope
    }
}
