//! A chart compiled once and rendered many times.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex};

use super::plan::{ParsedFiles, Plan};
use super::reads::Reads;
use super::render::{Execution, Files};
use super::tpl::TplCache;
use super::{Lookup, ReleaseOptions, RenderContext, RenderError, functions};
use crate::capabilities::Capabilities;
use crate::chart::dependencies::{Selection, Source, Tree, in_range};
use crate::chart::metadata::Metadata;
use crate::chart::{Chart, CrdFile};
use crate::gostring;
use crate::limits::Limits;
use crate::manifest::{Hook, Manifest, sort_manifests};
use crate::profile::HelmProfile;
use crate::release::ReleaseChart;
use crate::schema::{self, RemoteSchemas};
use crate::values::coalesce::coalesce;
use crate::values::{Map, UserValues, tree};

/// How many selections of subcharts are kept ready.
const MAX_PLANS: usize = 32;

/// A chart ready to be rendered: parsed once, usable from any thread.
pub struct CompiledChart {
    source: Arc<Source>,
    profile: HelmProfile,
    crds: Vec<CrdFile>,
    funcs: Arc<gotemplate::FuncMap>,
    tpl: Arc<TplCache>,
    parsed: ParsedFiles,
    plans: Mutex<HashMap<Selection, Arc<Plan>>>,
}

impl std::fmt::Debug for CompiledChart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let metadata = self.metadata();
        f.debug_struct("CompiledChart")
            .field("name", &metadata.name)
            .field("version", &metadata.version)
            .finish()
    }
}

impl Chart {
    /// Prepares the chart and its subcharts for rendering.
    ///
    /// # Errors
    /// None at present: what is wrong with a template or schema is reported by the releases that use
    /// it.
    pub fn compile(self, profile: &HelmProfile) -> Result<Arc<CompiledChart>, RenderError> {
        self.compile_with_schemas(profile, &RemoteSchemas::new())
    }

    /// [`Chart::compile`] with the texts of the schemas that [`Chart::missing_schemas`] names.
    ///
    /// # Errors
    /// As [`Chart::compile`].
    pub fn compile_with_schemas(
        mut self,
        profile: &HelmProfile,
        remote: &RemoteSchemas,
    ) -> Result<Arc<CompiledChart>, RenderError> {
        if !profile.merges_value_documents {
            self.keep_first_values_document();
        }
        let funcs = Arc::new(functions::functions(profile));
        let source = Arc::new(Source::new(self, remote));
        let everything = Tree::whole(&source);
        let mut crds = Vec::new();
        everything.walk(&mut |chart| super::plan::crds_of(chart, &mut crds));
        Ok(Arc::new(CompiledChart {
            tpl: Arc::new(TplCache::new(funcs.clone())),
            source,
            profile: profile.clone(),
            crds,
            funcs,
            parsed: ParsedFiles::default(),
            plans: Mutex::default(),
        }))
    }

    fn keep_first_values_document(&mut self) {
        let text = self.raw_values.as_deref().map(gostring::text);
        if let Some(Ok(values)) = text.map(|text| crate::values::parse_yaml_map(&text)) {
            self.values = Some(values);
        }
        self.dependencies.iter_mut().for_each(Self::keep_first_values_document);
    }

    /// Addresses of remote schemas that the chart's schemas refer to and `known` lacks. Loading those
    /// may show more.
    #[must_use]
    pub fn missing_schemas(&self, known: &RemoteSchemas) -> Vec<String> {
        let mut missing: Vec<String> = self
            .schema
            .iter()
            .flat_map(|text| schema::missing_remotes(text, known))
            .chain(self.dependencies.iter().flat_map(|child| child.missing_schemas(known)))
            .collect();
        missing.sort();
        missing.dedup();
        missing
    }
}

/// What the templates of a release became.
#[derive(Debug, Clone)]
pub struct Rendered {
    /// Documents that are no hooks, in install order.
    pub manifests: Vec<Manifest>,
    /// Hooks, in install order; they run by weight and name within an event.
    pub hooks: Vec<Hook>,
    /// The root chart's `NOTES.txt`.
    pub notes: String,
    /// Files below `crds/` of the chart and of its enabled subcharts.
    pub crds: Vec<CrdFile>,
    /// What was looked at.
    pub reads: Reads,
    /// What helm would have printed to stderr about values that could not be merged.
    pub warnings: Vec<String>,
    plan: Arc<Plan>,
    user: Arc<Map>,
    profile: HelmProfile,
}

impl Rendered {
    /// The values the templates saw: the user's over the chart's.
    #[must_use]
    pub fn values(&self) -> serde_json::Value {
        match coalesce(&self.plan.tree, &self.user, self.profile.nulls) {
            Ok((values, _)) => crate::values::map_to_json(&tree::to_map(&values)),
            Err(_) => serde_json::Value::Object(serde_json::Map::new()),
        }
    }

    /// The chart as a release record holds it: enabled dependencies only, imported values in place.
    #[must_use]
    pub fn release_chart(&self) -> Arc<ReleaseChart> {
        let make = || {
            let tree = &self.plan.tree;
            let mut chart = ReleaseChart::from(&tree.source.chart);
            chart.metadata = tree.metadata.clone();
            chart.values = tree.values.as_ref().map(crate::values::map_to_json);
            Arc::new(chart)
        };
        Arc::clone(self.plan.record.get_or_init(make))
    }
}

impl CompiledChart {
    /// `Chart.yaml`
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.source.chart.metadata
    }

    /// The chart as it was before it was compiled.
    #[must_use]
    pub fn to_chart(&self) -> Chart {
        self.source.to_chart()
    }

    /// The Helm version that is reproduced.
    #[must_use]
    pub fn profile(&self) -> &HelmProfile {
        &self.profile
    }

    /// Files below `crds/` of the chart and all its subcharts; [`Rendered::crds`] has only those of
    /// the enabled ones.
    #[must_use]
    pub fn crds(&self) -> &[CrdFile] {
        &self.crds
    }

    /// The chart's `values.yaml`.
    #[must_use]
    pub fn default_values(&self) -> serde_json::Value {
        let values = self.source.chart.values.as_ref();
        values.map_or_else(|| serde_json::json!({}), crate::values::map_to_json)
    }

    fn is_apart(&self) -> bool {
        self.profile.chart_v3_apart && self.metadata().api_version == "v3"
    }

    /// What `helm` checks before it renders: that the chart is no library and its subcharts are there.
    ///
    /// # Errors
    /// With Helm's text.
    pub fn check(&self) -> Result<(), RenderError> {
        let kind = &self.metadata().chart_type;
        if !matches!(kind.as_str(), "" | "application") {
            return Err(RenderError::NotInstallable(kind.clone()));
        }
        if self.is_apart() && !self.metadata().dependencies.is_empty() {
            return Err(RenderError::DependencyType);
        }
        Ok(self.source.check_present()?)
    }

    /// Renders the chart for a release.
    ///
    /// # Errors
    /// With Helm's text, when dependencies, values, templates or their output are wrong.
    pub fn render(
        &self,
        values: &impl UserValues,
        release: &ReleaseOptions,
        capabilities: &Capabilities,
        lookup: Rc<dyn Lookup>,
        limits: &Limits,
    ) -> Result<Rendered, RenderError> {
        self.render_with(values, &RenderContext::new(release, capabilities, lookup, limits))
    }

    /// [`CompiledChart::render`] with everything that can be chosen.
    ///
    /// # Errors
    /// With Helm's text, when dependencies, values, templates or their output are wrong.
    pub fn render_with(
        &self,
        values: &impl UserValues,
        context: &RenderContext<'_>,
    ) -> Result<Rendered, RenderError> {
        let Executed { mut files, reads, warnings, plan, user } =
            self.execute_over_defaults(values, context)?;
        let notes = take_notes(&mut files, &plan.tree.full_path);
        let texts = into_texts(files);
        let (hooks, manifests) =
            sort_manifests(texts.iter().map(|(path, text)| (path.as_str(), text.as_str())), &self.profile)?;
        Ok(Rendered {
            manifests,
            hooks,
            notes,
            crds: plan.crds.clone(),
            reads,
            warnings,
            plan,
            user,
            profile: self.profile.clone(),
        })
    }

    /// What the templates gave, by their paths, whether it is YAML or not; notes left out.
    ///
    /// # Errors
    /// As [`CompiledChart::render_with`], but for what the templates gave.
    pub fn render_files(
        &self,
        values: &impl UserValues,
        context: &RenderContext<'_>,
    ) -> Result<Vec<(String, String)>, RenderError> {
        let Executed { mut files, plan, .. } = self.execute_over_defaults(values, context)?;
        take_notes(&mut files, &plan.tree.full_path);
        Ok(into_texts(files))
    }

    /// Runs the templates over the user's values and the chart's.
    fn execute_over_defaults(
        &self,
        values: &impl UserValues,
        context: &RenderContext<'_>,
    ) -> Result<Executed, RenderError> {
        if self.is_apart() {
            return Err(RenderError::ApiVersion);
        }
        check_release_name(&context.release.name)?;
        let user = Arc::new(values.user_values().into_owned());
        let (plan, mut warnings) = self.plan(&user)?;
        let (table, more) = coalesce(&plan.tree, &user, self.profile.nulls).map_err(|error| {
            if plan.tree.metadata.dependencies.is_empty() {
                RenderError::Values(error)
            } else {
                RenderError::Dependencies(error)
            }
        })?;
        warnings.extend(more);
        warnings.extend(plan.warnings.iter().cloned());
        if !context.skip_schema_validation && plan.tree.has_schema() {
            let values = crate::values::map_to_json(&tree::to_map(&table));
            schema::validate(&plan.tree, &values)?;
        }
        self.check_kube_version(context.capabilities)?;
        let (files, reads) = self.execution(context).run(&plan, &table)?;
        Ok(Executed { files, reads, warnings, plan, user })
    }

    /// Runs the templates alone over values as they are: nothing is coalesced, checked or split.
    ///
    /// # Errors
    /// With Helm's text, when a template is wrong.
    pub fn execute(
        &self,
        values: &impl UserValues,
        context: &RenderContext<'_>,
    ) -> Result<Files, RenderError> {
        let user = values.user_values();
        let (plan, _) = self.plan(&user)?;
        let (files, _) = self.execution(context).run(&plan, &tree::table(&user))?;
        Ok(files)
    }

    fn execution<'a>(&'a self, context: &'a RenderContext<'a>) -> Execution<'a> {
        Execution { profile: &self.profile, tpl: &self.tpl, context }
    }

    /// The plan for the subcharts these values select.
    fn plan(&self, user: &Map) -> Result<(Arc<Plan>, Vec<String>), RenderError> {
        let rule = self.profile.nulls;
        let (selection, warnings) = self.source.select(user, rule).map_err(RenderError::Dependencies)?;
        if let Ok(plans) = self.plans.lock()
            && let Some(plan) = plans.get(&selection)
        {
            return Ok((plan.clone(), warnings));
        }
        let (tree, more) = Tree::build(&self.source, &selection, rule).map_err(RenderError::Dependencies)?;
        let plan = Arc::new(Plan::new(tree, more, &self.funcs, &self.parsed));
        if let Ok(mut plans) = self.plans.lock() {
            if plans.len() >= MAX_PLANS {
                plans.clear();
            }
            plans.insert(selection, plan.clone());
        }
        Ok((plan, warnings))
    }

    fn check_kube_version(&self, capabilities: &Capabilities) -> Result<(), RenderError> {
        let constraint = &self.metadata().kube_version;
        let version = &capabilities.kube_version;
        let checked =
            if self.profile.normalized_kube_version { &version.normalized } else { &version.version };
        if constraint.is_empty() || in_range(constraint, checked) {
            return Ok(());
        }
        Err(RenderError::KubeVersion { constraint: constraint.clone(), version: version.version.clone() })
    }
}

/// The templates' output and all that led to it.
struct Executed {
    files: Files,
    reads: Reads,
    warnings: Vec<String>,
    plan: Arc<Plan>,
    user: Arc<Map>,
}

/// Takes all `NOTES.txt` out; the root chart's is kept.
fn take_notes(files: &mut Files, root: &str) -> String {
    let own = gostring::join_path(root, "templates/NOTES.txt");
    let notes = files.remove(&own).map(into_text).unwrap_or_default();
    files.retain(|path, _| !path.ends_with("NOTES.txt"));
    notes
}

fn into_texts(files: Files) -> Vec<(String, String)> {
    files.into_iter().map(|(path, text)| (path, into_text(text))).collect()
}

fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn check_release_name(name: &str) -> Result<(), RenderError> {
    const INVALID: &str = "invalid release name, must match regex ^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$ and the length must not be longer than 53";
    let invalid = |reason| Err(RenderError::ReleaseName { name: name.to_owned(), reason });
    if name.is_empty() {
        return invalid("no name provided");
    }
    let label = |label: &str| {
        let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = label.as_bytes();
        bytes.first().is_some_and(|b| alphanumeric(*b))
            && bytes.last().is_some_and(|b| alphanumeric(*b))
            && bytes.iter().all(|b| alphanumeric(*b) || *b == b'-')
    };
    if name.len() > 53 || !name.split('.').all(label) {
        return invalid(INVALID);
    }
    Ok(())
}
