//! `sluice template`: what `helm template` prints, without helm and without a cluster.
//!
//! Reads the chart and the values files and calls the engine; flags, stdout, exit code and the text
//! after `Error: ` are helm's. It never asks a cluster or a chart repository.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::mem::ManuallyDrop;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::rc::Rc;

use anyhow::{anyhow, bail};
use gotemplate::{Ctx, FuncMap, MissingKey, Parsed, Renderer, TemplateSet, Value};
use helm_engine::capabilities::{Capabilities, KubeVersion};
use helm_engine::manifest::HookEvent;
use helm_engine::values::{Map, load_values, merge_maps, strvals};
use helm_engine::{
    Chart, HelmProfile, Limits, NoCluster, ReleaseOptions, RenderContext, Rendered, TemplateOutput,
    load_archive, load_files,
};

use super::chart_directory::{self, MAX_CHART_BYTES, go_error};
use super::helm_flags::HelmFlags;

/// Render a chart locally and print its manifests, as `helm template` does.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct TemplateArgs {
    /// The chart, a directory or a packaged chart; before it the name of the release, if it shall have one
    #[arg(value_name = "CHART", required = true, num_args = 1..)]
    pub args: Vec<String>,
    /// Values files; `-` is stdin (can be given several times)
    #[arg(short = 'f', long = "values", value_name = "FILE", value_delimiter = ',')]
    pub values: Vec<String>,
    /// Set values: key1=val1,key2=val2
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Set text values: key1=val1,key2=val2
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_string: Vec<String>,
    /// Set JSON values: key1=jsonval1,key2=jsonval2 or a JSON object
    #[arg(long, value_name = "KEY=JSON")]
    pub set_json: Vec<String>,
    /// Set values to the contents of files: key1=path1,key2=path2
    #[arg(long, value_name = "KEY=PATH")]
    pub set_file: Vec<String>,
    /// Set one text value as it is: key=value
    #[arg(long, value_name = "KEY=VALUE")]
    pub set_literal: Vec<String>,
    /// Namespace of the release
    #[arg(short, long, default_value = "default")]
    pub namespace: String,
    /// Print the files of `crds/` too
    #[arg(long)]
    pub include_crds: bool,
    /// Accepted for helm's sake: CRDs are printed only with --include-crds
    #[arg(long)]
    pub skip_crds: bool,
    /// Kubernetes version that the chart shall see
    #[arg(long, value_name = "VERSION", default_value = "")]
    pub kube_version: String,
    /// More API versions that the chart shall see
    #[arg(short, long, value_name = "VERSIONS", value_delimiter = ',')]
    pub api_versions: Vec<String>,
    /// Leave hooks out
    #[arg(long)]
    pub no_hooks: bool,
    /// Leave test hooks out
    #[arg(long)]
    pub skip_tests: bool,
    /// Print only what these templates gave; a pattern is allowed
    #[arg(short, long, value_name = "TEMPLATE")]
    pub show_only: Vec<String>,
    /// Let the chart see an upgrade instead of an install
    #[arg(long)]
    pub is_upgrade: bool,
    /// Do not check values against the chart's schemas
    #[arg(long)]
    pub skip_schema_validation: bool,
    /// Accepted for helm's sake: without a name the release is called `release-name`
    #[arg(short, long)]
    pub generate_name: bool,
    /// Template of the release's name
    #[arg(long, value_name = "TEMPLATE", default_value = "")]
    pub name_template: String,
    /// Write files into this directory instead of stdout
    #[arg(long, value_name = "DIR", default_value = "")]
    pub output_dir: String,
    /// Add the release's name to the output directory
    #[arg(long)]
    pub release_name: bool,
    /// Helm version whose behaviour to reproduce
    #[arg(long, value_name = "VERSION", default_value = "v4.3.1")]
    pub helm_profile: String,
    /// Print what the templates gave even if it is no YAML
    #[arg(long)]
    pub debug: bool,
    /// What changes nothing here, or cannot be had.
    #[command(flatten)]
    pub helm: HelmFlags,
}

/// Renders and prints; what helm calls an error is printed as helm prints it.
///
/// # Errors
/// When the output cannot be written.
pub fn run(args: &TemplateArgs) -> anyhow::Result<ExitCode> {
    let mut invalid = String::new();
    let result = template(args, &mut invalid);
    let mut out = io::stdout().lock();
    out.write_all(result.as_ref().unwrap_or(&invalid).as_bytes())?;
    out.flush()?;
    match result {
        Ok(_) => Ok(ExitCode::SUCCESS),
        Err(error) => {
            writeln!(io::stderr().lock(), "Error: {error}")?;
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What goes to stdout; with an error, `invalid` does.
fn template(args: &TemplateArgs, invalid: &mut String) -> anyhow::Result<String> {
    args.helm.check()?;
    let profile = HelmProfile::by_name(&args.helm_profile).ok_or_else(|| {
        anyhow!("unknown helm profile `{}`\nhint: try `v4.3.1`, `v4.2`, `v4.1` or `v3.19`", args.helm_profile)
    })?;
    let mut capabilities = Capabilities::defaults(&profile);
    if !args.kube_version.is_empty() {
        capabilities.kube_version = KubeVersion::parse_as(&args.kube_version, &profile)
            .map_err(|error| anyhow!("invalid kube version '{}': {error}", args.kube_version))?;
    }
    capabilities.api_versions.extend(args.api_versions.iter().cloned());
    let (name, chart) = name_and_chart(args)?;
    let path = locate(&chart)?;
    let values = merge_values(args)?;
    // Never taken apart: the program ends when it has printed, and the system takes all memory back at once.
    let compiled = ManuallyDrop::new(load(&path)?.compile(&profile)?);
    compiled.check().map_err(|error| anyhow!("{}", error.cli_text()))?;
    let release = ReleaseOptions {
        name,
        namespace: args.namespace.clone(),
        is_install: !args.is_upgrade,
        is_upgrade: args.is_upgrade,
        ..ReleaseOptions::default()
    };
    let limits = Limits::default();
    let mut context = RenderContext::new(&release, &capabilities, Rc::new(NoCluster), &limits);
    context.skip_schema_validation = args.skip_schema_validation;
    let rendered = match compiled.render_with(&values, &context) {
        Ok(rendered) => ManuallyDrop::new(rendered),
        Err(error) if args.debug => {
            // Helm has something to print as soon as templates were to be run.
            if error.cli_text() != error.to_string() {
                let files = compiled.render_files(&values, &context).unwrap_or_default();
                *invalid = invalid_output(&files);
            }
            bail!("{error}")
        }
        Err(error) => bail!("{}", error.cli_text()),
    };
    let options = TemplateOutput {
        include_crds: args.include_crds,
        no_hooks: args.no_hooks,
        skip_tests: args.skip_tests,
        show_only: args.show_only.clone(),
    };
    if args.output_dir.is_empty() {
        Ok(rendered.template_output(&options)?)
    } else {
        write_files(args, &rendered, &release.name, invalid)
    }
}

/// What the templates gave where it is no YAML; helm's own order is random.
fn invalid_output(files: &[(String, String)]) -> String {
    let shown = files.iter().filter(|(_, text)| !text.trim().is_empty());
    let all: String = shown.map(|(path, text)| format!("---\n# Source: {path}\n{text}\n")).collect();
    format!("{}\n", all.trim())
}

/// Release name and chart from the positional arguments and the naming flags.
fn name_and_chart(args: &TemplateArgs) -> anyhow::Result<(String, String)> {
    match args.args.as_slice() {
        [name, chart] => {
            if args.generate_name {
                bail!("cannot set --generate-name and also specify a name");
            }
            if !args.name_template.is_empty() {
                bail!("cannot set --name-template and also specify a name");
            }
            Ok((name.clone(), chart.clone()))
        }
        [chart] if args.name_template.is_empty() => Ok(("release-name".to_owned(), chart.clone())),
        [chart] => Ok((name_from_template(&args.name_template)?, chart.clone())),
        [_, _, rest @ ..] => {
            bail!("expected at most two arguments, unexpected arguments: {}", rest.join(", "))
        }
        [] => bail!("\"helm template\" requires at least 1 argument"),
    }
}

fn name_from_template(text: &str) -> anyhow::Result<String> {
    const NAME: &str = "name-template";
    let mut functions = FuncMap::new();
    functions.extend(gotemplate::sprig::functions());
    let parsed = Parsed::parse(NAME, text.as_bytes(), &functions)?;
    let mut set = TemplateSet::new(NAME, MissingKey::Invalid);
    set.add(&parsed);
    let mut renderer = Renderer::new(Ctx::new(gotemplate::Limits::default()));
    let name = renderer.execute(&std::sync::Arc::new(set), NAME, Value::Nil)?;
    Ok(String::from_utf8_lossy(&name).into_owned())
}

/// The chart on this machine; repositories are not asked.
fn locate(chart: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new(chart.trim());
    if path.exists() {
        return Ok(std::path::absolute(path)?);
    }
    if path.is_absolute() || chart.starts_with('.') {
        bail!("path {:?} not found", chart.trim());
    }
    bail!("path {:?} not found\nhint: charts are read from directories and `.tgz` files only", chart.trim())
}

fn load(path: &Path) -> anyhow::Result<Chart> {
    if path.is_dir() {
        let metadata = path.join("Chart.yaml");
        if let Err(error) = fs::metadata(&metadata) {
            bail!("unable to detect chart at {0}: open {0}: {1}", metadata.display(), go_error(&error));
        }
        return Ok(load_files(&chart_directory::read(path)?)?);
    }
    let bytes = fs::read(path).map_err(|error| anyhow!("open {}: {}", path.display(), go_error(&error)))?;
    if !bytes.starts_with(&[0x1f, 0x8b, 0x08]) {
        let shown = path.display();
        if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
            bail!("file '{shown}' seems to be a YAML file, but expected a gzipped archive");
        }
        let kind = if std::str::from_utf8(&bytes).is_ok() {
            "text/plain; charset=utf-8"
        } else {
            "application/octet-stream"
        };
        bail!("file '{shown}' does not appear to be a gzipped archive; got '{kind}'");
    }
    Ok(load_archive(&bytes)?)
}

/// The values of all flags, in helm's order.
fn merge_values(args: &TemplateArgs) -> anyhow::Result<Map> {
    let mut values = Map::new();
    for file in &args.values {
        let loaded =
            load_values(&read_file(file)?).map_err(|error| anyhow!("failed to parse {file}: {error}"))?;
        values = merge_maps(values, loaded);
    }
    for line in &args.set_json {
        if line.trim_start().starts_with('{') {
            let json: serde_json::Map<String, serde_json::Value> = serde_json::from_str(line.trim())
                .map_err(|_| anyhow!("failed parsing --set-json data JSON: {line}"))?;
            let over =
                json.iter().map(|(key, value)| (key.clone(), helm_engine::values::Value::from_json(value)));
            values = merge_maps(values, over.collect());
        } else {
            strvals::parse_json_into(line, &mut values)
                .map_err(|_| anyhow!("failed parsing --set-json data {line}"))?;
        }
    }
    for line in &args.set {
        strvals::parse_into(line, &mut values)
            .map_err(|error| anyhow!("failed parsing --set data: {error}"))?;
    }
    for line in &args.set_string {
        strvals::parse_into_string(line, &mut values)
            .map_err(|error| anyhow!("failed parsing --set-string data: {error}"))?;
    }
    for line in &args.set_file {
        let mut reader = |path: &str| match read_file(path) {
            Ok(data) => Ok(String::from_utf8_lossy(&data).into_owned()),
            Err(error) => Err(error.to_string()),
        };
        strvals::parse_into_file(line, &mut values, &mut reader)
            .map_err(|error| anyhow!("failed parsing --set-file data: {error}"))?;
    }
    for line in &args.set_literal {
        strvals::parse_literal_into(line, &mut values)
            .map_err(|error| anyhow!("failed parsing --set-literal data: {error}"))?;
    }
    Ok(values)
}

fn read_file(path: &str) -> anyhow::Result<Vec<u8>> {
    let mut data = Vec::new();
    if path.trim() == "-" {
        io::stdin().lock().take(MAX_CHART_BYTES).read_to_end(&mut data)?;
        return Ok(data);
    }
    let file = fs::File::open(path).map_err(|error| anyhow!("open {path}: {}", go_error(&error)))?;
    file.take(MAX_CHART_BYTES)
        .read_to_end(&mut data)
        .map_err(|error| anyhow!("read {path}: {}", go_error(&error)))?;
    Ok(data)
}

/// `--output-dir`: one file per template; stdout names the files, those before an error too.
fn write_files(
    args: &TemplateArgs,
    rendered: &Rendered,
    release: &str,
    written_before: &mut String,
) -> anyhow::Result<String> {
    let mut written = String::new();
    let top = args.output_dir.clone();
    let directory = if args.release_name { format!("{top}/{release}") } else { top.clone() };
    let mut started: BTreeSet<String> = BTreeSet::new();
    let mut write = |directory: &str, path: &str, text: &str, append: bool| -> anyhow::Result<()> {
        let file = format!("{directory}/{path}");
        if let Some(parent) = Path::new(&file).parent() {
            fs::create_dir_all(parent)?;
        }
        let mut out =
            fs::OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(&file)?;
        write!(out, "---\n# Source: {path}\n{text}\n")?;
        written.push_str(&format!("wrote {file}\n"));
        Ok(())
    };
    if args.include_crds {
        for crd in &rendered.crds {
            let append = !started.insert(crd.filename.clone());
            write(&top, &crd.filename, &String::from_utf8_lossy(&crd.data), append)?;
        }
    }
    for manifest in &rendered.manifests {
        let append = !started.insert(manifest.path.clone());
        write(&directory, &manifest.path, &manifest.content, append)?;
    }
    if !args.no_hooks {
        for hook in &rendered.hooks {
            if args.skip_tests && hook.events.contains(&HookEvent::Test) {
                continue;
            }
            let append = Path::new(&directory).join(&hook.path).exists();
            write(&directory, &hook.path, &hook.manifest, append)?;
        }
    }
    if let Some(missing) = args.show_only.first() {
        *written_before = written;
        bail!("could not find template {missing} in chart");
    }
    written.push('\n');
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> tempfile::TempDir {
        let directory = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = directory.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("Chart.yaml", "apiVersion: v2\nname: app\nversion: 1.0.0\n");
        write("values.yaml", "a: 1\nb: {c: x}\n");
        write(".helmignore", "*.bak\n");
        write(
            "templates/a.yaml",
            "kind: ConfigMap\nname: {{ .Release.Name }}\na: {{ .Values.a }}\nc: {{ .Values.b.c }}\n",
        );
        write("templates/b.yaml", "kind: Secret\nk: {{ .Capabilities.KubeVersion.Minor }}\n");
        write("templates/x.bak", "{{ nonsense");
        write(
            "templates/tests/t.yaml",
            "kind: Pod\nmetadata:\n  name: t\n  annotations:\n    helm.sh/hook: test\n",
        );
        directory
    }

    fn printed(args: &TemplateArgs) -> anyhow::Result<String> {
        template(args, &mut String::new())
    }

    fn arguments(chart: &tempfile::TempDir) -> TemplateArgs {
        TemplateArgs {
            args: vec!["web".to_owned(), chart.path().to_string_lossy().into_owned()],
            namespace: "default".to_owned(),
            helm_profile: "v4.3.1".to_owned(),
            ..TemplateArgs::default()
        }
    }

    #[test]
    fn prints_what_helm_prints() {
        let chart = chart();
        let mut args = arguments(&chart);
        args.set = vec!["a=2".to_owned(), "b.c=null".to_owned()];
        args.kube_version = "1.33".to_owned();
        assert_eq!(
            printed(&args).unwrap(),
            "---\n# Source: app/templates/b.yaml\nkind: Secret\nk: 33\n\n---\n# Source: app/templates/a.yaml\nkind: ConfigMap\nname: web\na: 2\nc:\n---\n# Source: app/templates/tests/t.yaml\nkind: Pod\nmetadata:\n  name: t\n  annotations:\n    helm.sh/hook: test\n\n"
        );
        args.show_only = vec!["templates/b*".to_owned()];
        assert_eq!(printed(&args).unwrap(), "---\n# Source: app/templates/b.yaml\nkind: Secret\nk: 33\n\n\n");
        args.show_only = vec!["templates/z.yaml".to_owned()];
        assert_eq!(
            printed(&args).unwrap_err().to_string(),
            "could not find template templates/z.yaml in chart"
        );
    }

    #[test]
    fn flags_of_helm_are_taken_or_refused_by_name() {
        use clap::Parser as _;
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            args: TemplateArgs,
        }
        let chart = chart();
        let path = chart.path().to_string_lossy().into_owned();
        let plain = printed(&arguments(&chart)).unwrap();
        let with = |flags: &str| {
            let words = ["template", "web", path.as_str()].into_iter().chain(flags.split(' '));
            printed(&Line::try_parse_from(words).unwrap_or_else(|error| panic!("{flags}: {error}")).args)
        };
        let harmless = "--create-namespace --wait --wait-for-jobs --timeout 5m --description x --labels a=b,c=d --dry-run --replace --disable-openapi-validation --version 1.x --kube-context c --color never --server-side --take-ownership --burst-limit 9 --qps 1.5 --content-cache c --kube-apiserver s --kube-as-group g --kube-as-group h --kube-as-user u --kube-ca-file f --kube-insecure-skip-tls-verify --kube-tls-server-name n --kube-token t --registry-config r --repository-cache c --repository-config f";
        assert_eq!(with(harmless).unwrap(), plain);
        assert_eq!(with("--wait=legacy --dry-run=client --server-side=false").unwrap(), plain);
        for (flags, text) in [
            (
                "--repo https://x",
                "`--repo` needs a repository; charts are read from directories and archives",
            ),
            (
                "--dependency-update",
                "`--dependency-update` needs a repository; charts are read from directories and archives",
            ),
            ("--post-renderer p", "`--post-renderer` is not supported: it runs a plugin of helm"),
            ("--enable-dns", "`--enable-dns` is not supported: templates see no network"),
            (
                "--dry-run=server",
                "`--dry-run=server` needs a cluster; `sluice diff` asks the clusters of a running agent",
            ),
        ] {
            assert_eq!(with(flags).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn names_the_release() {
        let chart = chart();
        let mut args = arguments(&chart);
        args.args.remove(0);
        assert!(printed(&args).unwrap().contains("name: release-name\n"));
        args.name_template = "{{ \"x\" | repeat 3 }}".to_owned();
        assert!(printed(&args).unwrap().contains("name: xxx\n"));
        args.name_template = "No".to_owned();
        assert!(
            printed(&args)
                .unwrap_err()
                .to_string()
                .starts_with("release name check failed: release name \"No\"")
        );
    }

    #[test]
    fn says_what_is_wrong_as_helm_does() {
        let chart = chart();
        for (change, text) in [
            (
                (|args: &mut TemplateArgs| args.values = vec!["nope.yaml".to_owned()])
                    as fn(&mut TemplateArgs),
                "open nope.yaml: no such file or directory",
            ),
            (|args| args.set = vec!["a".to_owned()], "failed parsing --set data: key \"a\" has no value"),
            (|args| args.set_json = vec!["a=[".to_owned()], "failed parsing --set-json data a=["),
            (
                |args| args.kube_version = "x".to_owned(),
                "invalid kube version 'x': could not parse \"x\" as version",
            ),
            (|args| args.args[1] = "./nope".to_owned(), "path \"./nope\" not found"),
            (|args| args.generate_name = true, "cannot set --generate-name and also specify a name"),
        ] {
            let mut args = arguments(&chart);
            change(&mut args);
            assert_eq!(printed(&args).unwrap_err().to_string(), text);
        }
    }

    #[test]
    fn writes_files() {
        let (chart, out) = (chart(), tempfile::tempdir().unwrap());
        let mut args = arguments(&chart);
        args.output_dir = out.path().to_string_lossy().into_owned();
        let printed = printed(&args).unwrap();
        assert_eq!(printed.lines().count(), 4);
        // Nothing is left for `--show-only` to find.
        let mut before = String::new();
        let shown = TemplateArgs { show_only: vec!["templates/b.yaml".to_owned()], ..args.clone() };
        assert!(template(&shown, &mut before).is_err());
        assert_eq!(before.trim_end(), printed.trim_end());
        let text = fs::read_to_string(out.path().join("app/templates/b.yaml")).unwrap();
        assert_eq!(text, "---\n# Source: app/templates/b.yaml\nkind: Secret\nk: 37\n\n");
    }

    #[test]
    fn debug_shows_what_is_no_yaml() {
        let chart = chart();
        fs::write(chart.path().join("templates/a.yaml"), "kind: [A\n").unwrap();
        let mut args = arguments(&chart);
        let error = printed(&args).unwrap_err().to_string();
        assert!(error.starts_with("YAML parse error on app/templates/a.yaml: "), "{error}");
        assert!(error.ends_with("\n\nUse --debug flag to render out invalid YAML"), "{error}");
        args.debug = true;
        let mut invalid = String::new();
        let error = template(&args, &mut invalid).unwrap_err().to_string();
        assert!(!error.contains("--debug"), "{error}");
        assert!(invalid.starts_with("---\n# Source: app/templates/a.yaml\nkind: [A\n\n---\n"), "{invalid}");
    }

    #[test]
    fn h58_s26_a_chart_lock_that_is_a_link_is_not_written_through() {
        let (chart, other) = (chart(), tempfile::tempdir().unwrap());
        let target = other.path().join("target");
        fs::write(&target, "dependencies: []\ndigest: sha256:0\n").unwrap();
        std::os::unix::fs::symlink(&target, chart.path().join("Chart.lock")).unwrap();
        std::os::unix::fs::symlink(other.path().join("made"), chart.path().join("requirements.lock"))
            .unwrap();
        let metadata = chart.path().join("Chart.yaml");
        let with_dependency = "apiVersion: v2\nname: app\nversion: 1.0.0\ndependencies:\n- name: sub\n  version: 1.x\n  repository: https://127.0.0.1:1\n";
        fs::write(metadata, with_dependency).unwrap();
        assert!(printed(&arguments(&chart)).is_err());
        fs::remove_file(chart.path().join("requirements.lock")).unwrap();
        let error = printed(&arguments(&chart)).unwrap_err().to_string();
        assert!(error.contains("found in Chart.yaml, but missing in charts/ directory: sub"), "{error}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "dependencies: []\ndigest: sha256:0\n");
        let left: Vec<_> =
            fs::read_dir(other.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["target"]);
        assert!(!chart.path().join("charts").exists());
    }

    #[test]
    fn s18_values_files_that_are_no_files_are_errors() {
        let chart = chart();
        let root = chart.path();
        std::os::unix::fs::symlink("nowhere", root.join("dangling.yaml")).unwrap();
        fs::create_dir(root.join("dir.yaml")).unwrap();
        for (file, text) in [("dangling.yaml", "no such file or directory"), ("dir.yaml", "is a directory")] {
            let mut args = arguments(&chart);
            args.values = vec![root.join(file).to_string_lossy().into_owned()];
            let error = printed(&args).unwrap_err().to_string();
            assert!(error.ends_with(text), "{error}");
        }
        // Instead of the chart's own values, too.
        fs::remove_file(root.join("values.yaml")).unwrap();
        std::os::unix::fs::symlink("nowhere", root.join("values.yaml")).unwrap();
        let error = printed(&arguments(&chart)).unwrap_err().to_string();
        assert!(error.starts_with("error evaluating symlink "), "{error}");
    }
}
