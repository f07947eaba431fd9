//! The charts of one selection, ready to be executed: which templates there are, in which order they
//! run, and the objects that stay the same from render to render.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use gotemplate::{FrozenMap, FuncMap, MissingKey, Parsed, TemplateSet};

use super::chart_object;
use super::{errors, tpl};
use crate::chart::CrdFile;
use crate::chart::dependencies::{Source, Tree};
use crate::gostring;
use crate::release::ReleaseChart;

/// Parsed templates by file, shared by all selections.
pub(super) type ParsedFiles = Mutex<HashMap<(usize, String), Result<Arc<Parsed>, String>>>;

/// A chart of the selection as templates see it.
pub(super) struct ChartObjects {
    /// `.Chart`
    pub(super) chart: Arc<FrozenMap>,
    /// `.Files`
    pub(super) files: Arc<FrozenMap>,
}

/// A template that is executed.
pub(super) struct TemplateFile {
    /// Its path from the root chart's name on.
    pub(super) name: String,
    /// `.Template.BasePath`
    pub(super) base_path: String,
    /// Its chart, in the order of [`Tree::walk`].
    pub(super) chart: usize,
}

/// Everything about a selection that values cannot change.
pub(super) struct Plan {
    pub(super) tree: Tree,
    /// By the order of [`Tree::walk`].
    pub(super) charts: Vec<ChartObjects>,
    pub(super) templates: Result<Arc<TemplateSet>, String>,
    /// In the order they are executed.
    pub(super) files: Vec<TemplateFile>,
    pub(super) crds: Vec<CrdFile>,
    pub(super) warnings: Vec<String>,
    /// The chart as records hold it, once somebody has asked.
    pub(super) record: OnceLock<Arc<ReleaseChart>>,
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("chart", &self.tree.full_path).finish_non_exhaustive()
    }
}

/// A template of the selection, executed or not.
struct Candidate<'a> {
    source: &'a Arc<Source>,
    file: usize,
    base_path: String,
    chart: usize,
}

impl Plan {
    pub(super) fn new(tree: Tree, warnings: Vec<String>, funcs: &FuncMap, parsed: &ParsedFiles) -> Self {
        let mut charts = Vec::new();
        let mut candidates: BTreeMap<String, Candidate<'_>> = BTreeMap::new();
        tree.walk(&mut |chart| {
            let base_path = gostring::join_path(&chart.full_path, "templates");
            for (file, template) in chart.source.chart.templates.iter().enumerate() {
                if chart.metadata.is_library() && !gostring::base_name(&template.name).starts_with('_') {
                    continue;
                }
                let name = gostring::join_path(&chart.full_path, &template.name);
                let candidate = Candidate {
                    source: &chart.source,
                    file,
                    base_path: base_path.clone(),
                    chart: charts.len(),
                };
                candidates.insert(name, candidate);
            }
            charts.push(ChartObjects {
                chart: chart_object::fields(&chart.metadata, charts.is_empty()),
                files: chart.source.files.clone(),
            });
        });
        let mut ordered: Vec<(String, Candidate<'_>)> = candidates.into_iter().collect();
        ordered.sort_by(|(a, _), (b, _)| {
            let depth = |name: &str| name.matches('/').count();
            depth(b).cmp(&depth(a)).then_with(|| b.cmp(a))
        });
        let templates = parse_all(&ordered, funcs, parsed);
        let files = ordered
            .into_iter()
            .filter(|(name, _)| !gostring::base_name(name).starts_with('_'))
            .map(|(name, candidate)| TemplateFile {
                name,
                base_path: candidate.base_path,
                chart: candidate.chart,
            })
            .collect();
        let mut crds = Vec::new();
        tree.walk(&mut |chart| crds_of(chart, &mut crds));
        Self { charts, templates, files, crds, warnings, tree, record: OnceLock::new() }
    }
}

/// Text above which parsing is shared out among threads.
const MANY_BYTES: usize = 256 * 1024;

/// The most threads that parse one chart.
const MAX_THREADS: usize = 4;

/// Stack of such a thread.
const PARSER_STACK: usize = 8 << 20;

fn parse_all(
    ordered: &[(String, Candidate<'_>)],
    funcs: &FuncMap,
    parsed: &ParsedFiles,
) -> Result<Arc<TemplateSet>, String> {
    let results = parse_missing(ordered, funcs, parsed);
    let mut set = TemplateSet::new(tpl::ROOT, MissingKey::Zero);
    for template in results {
        set.add(&*template?);
    }
    Ok(Arc::new(set))
}

type ParseResult = Result<Arc<Parsed>, String>;

/// The parsed templates in the given order; those that no selection needed before are parsed.
fn parse_missing(
    ordered: &[(String, Candidate<'_>)],
    funcs: &FuncMap,
    parsed: &ParsedFiles,
) -> Vec<ParseResult> {
    let key = |name: &str, candidate: &Candidate<'_>| (Arc::as_ptr(candidate.source).addr(), name.to_owned());
    let known: Vec<Option<ParseResult>> = match parsed.lock() {
        Ok(parsed) => ordered.iter().map(|(name, from)| parsed.get(&key(name, from)).cloned()).collect(),
        Err(_) => vec![None; ordered.len()],
    };
    let text = |candidate: &Candidate<'_>| candidate.source.chart.templates[candidate.file].data.clone();
    let mut work: Vec<(usize, &str, Arc<[u8]>)> = Vec::new();
    for (at, (name, candidate)) in ordered.iter().enumerate() {
        if known[at].is_none() {
            work.push((at, name, text(candidate)));
        }
    }
    let mut results = known;
    for (at, result) in parse_texts(&work, funcs) {
        results[at] = Some(result);
    }
    if let Ok(mut parsed) = parsed.lock() {
        for &(at, ..) in &work {
            let (name, candidate) = &ordered[at];
            if let Some(result) = &results[at] {
                parsed.insert(key(name, candidate), result.clone());
            }
        }
    }
    results.into_iter().flatten().collect()
}

fn parse_texts(work: &[(usize, &str, Arc<[u8]>)], funcs: &FuncMap) -> Vec<(usize, ParseResult)> {
    let parse = |(at, name, text): &(usize, &str, Arc<[u8]>)| {
        let template = Parsed::parse(name, text.clone(), funcs)
            .map(Arc::new)
            .map_err(|error| errors::parse_error(name, &error.to_string()));
        (*at, template)
    };
    let bytes: usize = work.iter().map(|(_, _, text)| text.len()).sum();
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_THREADS);
    if bytes < MANY_BYTES || threads < 2 {
        return work.iter().map(parse).collect();
    }
    let next = AtomicUsize::new(0);
    let worker = || {
        let mut done = Vec::new();
        while let Some(item) = work.get(next.fetch_add(1, Ordering::Relaxed)) {
            done.push(parse(item));
        }
        done
    };
    std::thread::scope(|scope| {
        // A thread that cannot be started leaves its share to this one.
        let others: Vec<_> = (1..threads)
            .filter_map(|_| {
                std::thread::Builder::new().stack_size(PARSER_STACK).spawn_scoped(scope, worker).ok()
            })
            .collect();
        let mut done = worker();
        for other in others {
            match other.join() {
                Ok(more) => done.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        done
    })
}

/// Files below `crds/` of one chart, in the order they were read.
pub(super) fn crds_of(chart: &Tree, crds: &mut Vec<CrdFile>) {
    for file in &chart.source.chart.files {
        let extension = gostring::extension(&file.name).to_ascii_lowercase();
        if file.name.starts_with("crds/") && matches!(extension.as_str(), ".yaml" | ".yml" | ".json") {
            crds.push(CrdFile {
                name: file.name.clone(),
                filename: gostring::join_path(&chart.full_path, &file.name),
                data: file.data.clone(),
            });
        }
    }
}
