//! Runs Helm's own answers against this engine: the public charts of `corpus/helm/cases.jsonl` and
//! the vectors of `corpus/helm/vectors`. Shared by `tests/corpus.rs` and `examples/conformance.rs`.

// Each of the two uses a part of this module.
#![allow(dead_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use helm_engine::capabilities::{BuildInfo, Capabilities, KubeVersion};
use helm_engine::values::strvals;
use helm_engine::{
    Chart, ChartFiles, CompiledChart, HelmProfile, Limits, NoCluster, ReleaseOptions, RenderContext,
    TemplateOutput, load_archive, load_files,
};
use serde_json::Value;

/// `corpus/helm`, if it is on this machine.
pub(crate) fn corpus() -> Option<PathBuf> {
    let from_env = std::env::var_os("SLUICE_CORPUS").map(PathBuf::from);
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = [root.join("../shared/corpus"), root.join("../../shared/corpus")];
    from_env
        .into_iter()
        .chain(places)
        .map(|dir| dir.join("helm"))
        .find(|dir| dir.join("cases.jsonl").is_file())
}

/// How one case went.
#[derive(Debug, Clone)]
pub(crate) struct Outcome {
    pub(crate) id: String,
    /// Repository or vector group.
    pub(crate) group: String,
    /// What differs; none if all is equal.
    pub(crate) difference: Option<String>,
}

impl Outcome {
    pub(crate) fn passed(&self) -> bool {
        self.difference.is_none()
    }
}

/// Equal and total per group.
pub(crate) fn scores(outcomes: &[Outcome]) -> BTreeMap<String, (usize, usize)> {
    let mut scores = BTreeMap::new();
    for outcome in outcomes {
        let (passed, total) = scores.entry(outcome.group.clone()).or_insert((0, 0));
        *passed += usize::from(outcome.passed());
        *total += 1;
    }
    scores
}

/// Runs `work` over all items on as many threads as there are cores, keeping the order.
pub(crate) fn parallel<T: Sync, R: Send + Clone>(items: &[T], work: impl Fn(&T) -> Vec<R> + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let mut parts: Vec<(usize, Vec<R>)> = std::thread::scope(|scope| {
        let spawn = || {
            let worker = || {
                let mut done = Vec::new();
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(at) else { return done };
                    done.push((at, work(item)));
                }
            };
            let builder = std::thread::Builder::new().stack_size(64 << 20);
            builder.spawn_scoped(scope, worker).expect("a thread can be started")
        };
        let workers: Vec<_> = (0..threads).map(|_| spawn()).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a case panicked")).collect()
    });
    parts.sort_by_key(|(at, _)| *at);
    parts.into_iter().flat_map(|(_, part)| part).collect()
}

/// The cases of one chart.
pub(crate) struct ChartCases {
    pub(crate) chart: PathBuf,
    pub(crate) cases: Vec<Value>,
}

/// All chart cases, or only those whose id contains `filter`, by chart.
pub(crate) fn chart_cases(corpus: &Path, filter: &str) -> Vec<ChartCases> {
    let text = fs::read_to_string(corpus.join("cases.jsonl")).expect("cases.jsonl can be read");
    let mut charts: Vec<ChartCases> = Vec::new();
    for line in text.lines() {
        let case: Value = serde_json::from_str(line).expect("a case is JSON");
        if !case["id"].as_str().is_some_and(|id| id.contains(filter)) {
            continue;
        }
        let chart = corpus.join(case["chart"].as_str().expect("a case names its chart"));
        match charts.iter_mut().find(|known| known.chart == chart) {
            Some(known) => known.cases.push(case),
            None => charts.push(ChartCases { chart, cases: vec![case] }),
        }
    }
    charts
}

/// Renders the cases of one chart and compares.
pub(crate) fn run_chart(corpus: &Path, chart: &ChartCases) -> Vec<Outcome> {
    let profile = HelmProfile::default();
    let compiled =
        fs::read(&chart.chart).map_err(|error| error.to_string()).and_then(|tgz| compile(&tgz, &profile));
    chart
        .cases
        .iter()
        .map(|case| {
            let id = case["id"].as_str().unwrap_or_default();
            let found = guarded(|| compiled.clone().and_then(|chart| template(&chart, case)));
            Outcome {
                id: id.to_owned(),
                group: id.split('.').next().unwrap_or_default().to_owned(),
                difference: compare_case(corpus, case, found),
            }
        })
        .collect()
}

/// A panic is a failure of the case it happens in, not of the whole run.
pub(crate) fn guarded<T>(run: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        Err(format!(
            "PANIC: {}",
            text.or_else(|| panic.downcast_ref::<&str>().map(|&s| s.to_owned())).unwrap_or_default()
        ))
    })
}

/// Compares with the answers of another Helm version: JSON lines `{"id", "out" | "error"}`. Cases
/// with random lines are left out.
pub(crate) fn run_chart_against(
    chart: &ChartCases,
    profile: &HelmProfile,
    answers: &BTreeMap<String, Value>,
) -> Vec<Outcome> {
    let compiled =
        fs::read(&chart.chart).map_err(|error| error.to_string()).and_then(|tgz| compile(&tgz, profile));
    let stable = |case: &&Value| case["random_lines"].as_array().is_none_or(Vec::is_empty);
    chart
        .cases
        .iter()
        .filter(stable)
        .filter_map(|case| {
            let id = case["id"].as_str().unwrap_or_default();
            let answer = answers.get(id)?;
            let found = guarded(|| compiled.clone().and_then(|chart| template(&chart, case)));
            let difference = match (answer["out"].as_str(), found) {
                (Some(out), Ok(found)) => compare_lines(out, &found, &BTreeSet::new()),
                (Some(_), Err(error)) => Some(format!("helm renders it; here: {error}")),
                (None, Ok(_)) => Some(format!("renders here; helm: {}", answer["error"])),
                (None, Err(found)) => {
                    let expected = answer["error"].as_str().unwrap_or_default();
                    (found != expected)
                        .then(|| format!("another error\n  helm: {expected:?}\n  here: {found:?}"))
                }
            };
            Some(Outcome {
                id: id.to_owned(),
                group: id.split('.').next().unwrap_or_default().to_owned(),
                difference,
            })
        })
        .collect()
}

fn compile(tgz: &[u8], profile: &HelmProfile) -> Result<Arc<CompiledChart>, String> {
    let chart = load_archive(tgz).map_err(|error| error.to_string())?;
    chart.compile(profile).map_err(|error| error.to_string())
}

fn template(chart: &CompiledChart, case: &Value) -> Result<String, String> {
    let release = ReleaseOptions {
        name: case["release"].as_str().unwrap_or("rel").to_owned(),
        namespace: case["namespace"].as_str().unwrap_or("default").to_owned(),
        ..ReleaseOptions::default()
    };
    let profile = chart.profile();
    let mut capabilities = Capabilities::defaults(profile);
    if let Some(version) = case["kube_version"].as_str() {
        capabilities.kube_version =
            KubeVersion::parse_as(version, profile).map_err(|error| error.to_string())?;
    }
    // What a Helm says that was built from source, as the corpus was made with.
    let (minor, _) = profile.version.rsplit_once('.').unwrap_or((profile.version, ""));
    capabilities.helm_version = BuildInfo {
        version: minor.to_owned(),
        git_commit: String::new(),
        git_tree_state: String::new(),
        go_version: "go1.26.8".to_owned(),
        kube_client_version: capabilities.helm_version.kube_client_version,
    };
    chart.check().map_err(|error| error.cli_text())?;
    let rendered = chart
        .render(&case["values"], &release, &capabilities, Rc::new(NoCluster), &Limits::default())
        .map_err(|error| error.cli_text())?;
    let options = TemplateOutput {
        include_crds: case["include_crds"] == Value::Bool(true),
        ..TemplateOutput::default()
    };
    rendered.template_output(&options).map_err(|error| error.to_string())
}

fn compare_case(corpus: &Path, case: &Value, found: Result<String, String>) -> Option<String> {
    match (case["golden"].as_str(), found) {
        (Some(golden), Ok(found)) => {
            let expected = gunzip(&corpus.join(golden));
            let random: BTreeSet<usize> = case["random_lines"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|line| usize::try_from(line.as_u64()?).ok())
                .collect();
            compare_lines(&String::from_utf8_lossy(&expected), &found, &random)
        }
        (Some(_), Err(error)) => Some(format!("helm renders it; here: {error}")),
        (None, Ok(_)) => Some(format!("renders here; helm: {}", case["error"])),
        (None, Err(found)) => {
            let expected = case["error"].as_str().unwrap_or_default();
            (found.trim_end_matches('\n') != expected)
                .then(|| format!("another error\n  helm: {expected:?}\n  here: {found:?}"))
        }
    }
}

fn compare_lines(expected: &str, found: &str, random: &BTreeSet<usize>) -> Option<String> {
    let expected: Vec<&str> = expected.split('\n').collect();
    let found: Vec<&str> = found.split('\n').collect();
    for (at, line) in expected.iter().enumerate() {
        let other = found.get(at).copied();
        if other != Some(*line) && !random.contains(&(at + 1)) {
            return Some(format!("line {}\n  helm: {line:?}\n  here: {other:?}", at + 1));
        }
    }
    (expected.len() != found.len()).then(|| format!("{} lines instead of {}", found.len(), expected.len()))
}

fn gunzip(path: &Path) -> Vec<u8> {
    let mut out = Vec::new();
    let file = fs::File::open(path).expect("a golden can be opened");
    GzDecoder::new(file).read_to_end(&mut out).expect("a golden is gzip");
    out
}

/// The vectors of the groups whose names contain `filter`, in pieces small enough to share out.
pub(crate) fn vectors(corpus: &Path, filter: &str) -> Vec<Vec<Value>> {
    let mut files: Vec<PathBuf> = fs::read_dir(corpus.join("vectors"))
        .expect("the vectors can be listed")
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.to_string_lossy().ends_with(".jsonl.gz"))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains(filter)))
        .collect();
    files.sort();
    let mut pieces = Vec::new();
    for file in files {
        let text = String::from_utf8(gunzip(&file)).expect("vectors are UTF-8");
        let cases: Vec<Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("a vector is JSON")).collect();
        pieces.extend(cases.chunks(500).map(<[Value]>::to_vec));
    }
    pieces
}

/// Evaluates one vector as the oracle's `eval` does.
pub(crate) fn eval(case: &Value) -> Result<Vec<u8>, String> {
    let template = match case["expr"].as_str() {
        Some(expr) => format!("{{{{ {expr} }}}}"),
        None => case["template"].as_str().unwrap_or_default().to_owned(),
    };
    let mut files = ChartFiles::new();
    let metadata = "apiVersion: v2\nname: vec\nversion: 0.1.0\nappVersion: 1.2.3\ntype: application\n";
    files.insert("Chart.yaml", metadata.as_bytes());
    let mut chart: Chart = load_files(&files).map_err(|error| error.to_string())?;
    let file = |name: String, text: &str| helm_engine::ChartFile {
        name,
        data: Arc::from(text.as_bytes()),
        mod_time: None,
    };
    chart.templates.push(file("templates/t.yaml".to_owned(), &template));
    for (name, text) in case["templates"].as_object().into_iter().flatten() {
        chart.templates.push(file(format!("templates/{name}"), text.as_str().unwrap_or_default()));
    }
    for (name, text) in case["files"].as_object().into_iter().flatten() {
        chart.files.push(file(name.clone(), text.as_str().unwrap_or_default()));
    }
    let profile = HelmProfile::default();
    let compiled = chart.compile(&profile).map_err(|error| error.to_string())?;
    let mut capabilities = Capabilities::defaults(&profile);
    capabilities.kube_version = KubeVersion::parse("1.33.0").map_err(|error| error.to_string())?;
    let release =
        ReleaseOptions { name: "rel".to_owned(), namespace: "ns".to_owned(), ..ReleaseOptions::default() };
    let limits = Limits::default();
    let context = RenderContext::new(&release, &capabilities, Rc::new(NoCluster), &limits);
    let files = compiled.execute(&case["values"], &context).map_err(|error| error.to_string())?;
    Ok(files.get("vec/templates/t.yaml").cloned().unwrap_or_default())
}

/// Evaluates vectors and compares.
pub(crate) fn run_vectors(cases: &[Value]) -> Vec<Outcome> {
    cases
        .iter()
        .map(|case| {
            let found = guarded(|| eval(case));
            let accepted = std::iter::once(case).chain(case["also"].as_array().into_iter().flatten());
            let equal = accepted.into_iter().any(|answer| matches_answer(answer, &found));
            let difference = || {
                let expected = ["out", "out_b64", "error"].iter().find_map(|key| case.get(*key));
                let found = found.as_ref().map(|out| String::from_utf8_lossy(out).into_owned());
                let expected = expected.map(ToString::to_string).unwrap_or_default();
                format!("{}\n  helm: {expected}\n  here: {found:?}", case["template"])
            };
            Outcome {
                id: case["id"].as_str().unwrap_or_default().to_owned(),
                group: case["group"].as_str().unwrap_or_default().to_owned(),
                difference: (!equal).then(difference),
            }
        })
        .collect()
}

pub(crate) fn matches_answer(answer: &Value, found: &Result<Vec<u8>, String>) -> bool {
    match found {
        Ok(found) => match (answer["out"].as_str(), answer["out_b64"].as_str()) {
            (Some(out), _) => out.as_bytes() == found,
            (None, Some(out)) => STANDARD.decode(out).is_ok_and(|out| out == *found),
            (None, None) => false,
        },
        Err(found) => match (answer["error"].as_str(), answer["error_b64"].as_str()) {
            (Some(error), _) => error == found,
            // Errors are text here: what is no UTF-8 is shown as U+FFFD.
            (None, Some(error)) => {
                STANDARD.decode(error).is_ok_and(|error| String::from_utf8_lossy(&error) == *found)
            }
            (None, None) => false,
        },
    }
}

/// One line of `tests/data/charts.jsonl`: the files of a chart and what `helm template` made of them;
/// `other` has the answers of other Helm versions where they differ.
pub(crate) fn run_small_chart(line: &str) -> Vec<Outcome> {
    let case: Value = serde_json::from_str(line).expect("a case is JSON");
    let title = case["title"].as_str().unwrap_or_default();
    let mut outcomes = vec![small_outcome(title.to_owned(), &case, &case, &HelmProfile::default())];
    for (version, answer) in case["other"].as_object().into_iter().flatten() {
        let profile = HelmProfile::by_name(version).expect("a known version");
        outcomes.push(small_outcome(format!("{title} ({version})"), &case, answer, &profile));
    }
    outcomes
}

fn small_outcome(id: String, case: &Value, answer: &Value, profile: &HelmProfile) -> Outcome {
    let found = guarded(|| small_chart(case, profile));
    let difference = match (answer["out"].as_str(), found) {
        (Some(out), Ok(found)) => compare_lines(out, &found, &BTreeSet::new()),
        (Some(_), Err(error)) => Some(format!("helm renders it; here: {error}")),
        (None, Ok(out)) => Some(format!("helm: {}\n  here: {out:?}", answer["error"])),
        (None, Err(found)) => {
            let expected = answer["error"].as_str().unwrap_or_default();
            (found != expected).then(|| format!("another error\n  helm: {expected:?}\n  here: {found:?}"))
        }
    };
    Outcome { id, group: "small".to_owned(), difference }
}

fn small_chart(case: &Value, profile: &HelmProfile) -> Result<String, String> {
    let text = |key: &str, default: &str| case[key].as_str().unwrap_or(default).to_owned();
    let lines = |key: &str| -> Vec<String> {
        case[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|line| Some(line.as_str()?.to_owned()))
            .collect()
    };
    let files: ChartFiles = case["files"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(path, text)| (path.clone(), text.as_str().unwrap_or_default().as_bytes()))
        .collect();
    let mut values = match helm_engine::values::Value::from_json(&case["values"]) {
        helm_engine::values::Value::Map(map) => map,
        _ => helm_engine::values::Map::new(),
    };
    for line in lines("set_json") {
        strvals::parse_json_into(&line, &mut values).map_err(|error| error.to_string())?;
    }
    for line in lines("set") {
        strvals::parse_into(&line, &mut values).map_err(|error| error.to_string())?;
    }
    for line in lines("set_string") {
        strvals::parse_into_string(&line, &mut values).map_err(|error| error.to_string())?;
    }
    for line in lines("set_literal") {
        strvals::parse_literal_into(&line, &mut values).map_err(|error| error.to_string())?;
    }
    let chart = load_files(&files).map_err(|error| error.to_string())?;
    let chart = chart.compile(profile).map_err(|error| error.to_string())?;
    chart.check().map_err(|error| error.cli_text())?;
    let release = ReleaseOptions {
        name: text("release", "rel"),
        namespace: "ns".to_owned(),
        ..ReleaseOptions::default()
    };
    let kube_version =
        KubeVersion::parse(&text("kube_version", "1.33.0")).map_err(|error| error.to_string())?;
    let mut capabilities = Capabilities { kube_version, ..Capabilities::default() };
    capabilities.api_versions.extend(lines("api_versions"));
    let limits = Limits::default();
    let rendered = chart
        .render(&values, &release, &capabilities, Rc::new(NoCluster), &limits)
        .map_err(|error| error.cli_text())?;
    let options = TemplateOutput {
        include_crds: case["include_crds"] == Value::Bool(true),
        ..TemplateOutput::default()
    };
    rendered.template_output(&options).map_err(|error| error.to_string())
}
