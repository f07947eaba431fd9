//! Helm's engine as far as the vectors need it.

use super::{Case, Outcome};
use gotemplate::sprig::Surroundings;
use gotemplate::sprig::time::{Time, Zone};
use gotemplate::types::{ANY, BOOL, BYTES, BYTES_MAP, LIST, MAP, STRING, STRING_MAP, STRINGS};
use gotemplate::{
    Ctx, Error, Execute, Func, FuncMap, GoType, Host, Kind, Limits, List, Map, Method, MissingKey, Parsed,
    Renderer, Reply, Str, Target, TemplateSet, TypeDesc, Value, json,
};
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

const VALUES: GoType = {
    static DESC: TypeDesc = TypeDesc::named("common.Values", MAP, &[]);
    GoType(&DESC)
};

const FILES: GoType = {
    static METHODS: [Method; 3] = [
        Method { name: "Get", params: &[STRING], variadic: false, result: STRING, call: get },
        Method { name: "GetBytes", params: &[STRING], variadic: false, result: BYTES, call: get_bytes },
        Method { name: "Lines", params: &[STRING], variadic: false, result: STRINGS, call: lines },
    ];
    static DESC: TypeDesc = TypeDesc::named("engine.files", BYTES_MAP, &METHODS);
    GoType(&DESC)
};

/// A struct of the engine's, known by its fields.
struct Struct {
    ty: GoType,
    fields: Vec<(&'static str, Value)>,
}

impl Host for Struct {
    fn go_type(&self) -> GoType {
        self.ty
    }

    fn fields(&self) -> Vec<(&'static str, Value)> {
        self.fields.clone()
    }

    fn all_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = self.fields.clone();
        if self.ty.method(b"String").is_some() {
            fields.insert(1, ("normalizedVersion", fields[0].1.clone()));
        }
        fields
    }

    fn pointer_string(&self) -> Option<Str> {
        self.ty.method(b"String")?;
        self.field(b"Version")?.as_str().cloned()
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        Some(false)
    }
}

fn version_text(_: &mut Ctx, version: &Value, _: &[Value]) -> Result<Value, Error> {
    Ok(version.as_host::<Struct>().and_then(Host::pointer_string).map(Value::Str).unwrap_or_default())
}

fn has(_: &mut Ctx, versions: &Value, args: &[Value]) -> Result<Value, Error> {
    let wanted = args[0].as_str();
    Ok(Value::Bool(versions.as_list().unwrap().iter().any(|v| v.as_str() == wanted)))
}

fn capabilities() -> Value {
    static VERSION_METHODS: [Method; 2] = [
        Method { name: "String", params: &[], variadic: false, result: STRING, call: version_text },
        Method { name: "GitVersion", params: &[], variadic: false, result: STRING, call: version_text },
    ];
    static VERSION: TypeDesc = TypeDesc::host("common.KubeVersion", Kind::Struct, &VERSION_METHODS);
    static HELM: TypeDesc = TypeDesc::host("version.BuildInfo", Kind::Struct, &[]);
    static SET_METHODS: [Method; 1] =
        [Method { name: "Has", params: &[STRING], variadic: false, result: BOOL, call: has }];
    static SET: TypeDesc = TypeDesc::named("common.VersionSet", STRINGS, &SET_METHODS);
    static ALL: TypeDesc = TypeDesc::host("*common.Capabilities", Kind::Pointer, &[]);
    let structure = |ty, fields| Value::host(Struct { ty: GoType(ty), fields });
    let version = structure(
        &VERSION,
        vec![("Version", "v1.33.0".into()), ("Major", "1".into()), ("Minor", "33".into())],
    );
    let helm = structure(
        &HELM,
        vec![
            ("Version", "v4.3.1".into()),
            ("GitCommit", "c0d08d0d6d9424d4a14febb5e8a3e51b0dd00dff".into()),
            ("GitTreeState", "clean".into()),
            ("GoVersion", "go1.27.2".into()),
            ("KubeClientVersion", "v1.37".into()),
        ],
    );
    let versions = List::new(GoType(&SET), vec!["v1".into(), "apps/v1".into()]);
    structure(
        &ALL,
        vec![("KubeVersion", version), ("APIVersions", Value::List(versions)), ("HelmVersion", helm)],
    )
}

fn bytes_of(files: &Value, args: &[Value]) -> Vec<u8> {
    let found = files.as_map().and_then(|files| files.get(args[0].as_str().unwrap()));
    match found {
        Some(Value::Bytes(Some(bytes))) => bytes.to_vec(),
        _ => Vec::new(),
    }
}

fn get(_: &mut Ctx, files: &Value, args: &[Value]) -> Result<Value, Error> {
    Ok(Value::str(bytes_of(files, args)))
}

fn get_bytes(_: &mut Ctx, files: &Value, args: &[Value]) -> Result<Value, Error> {
    Ok(Value::bytes(bytes_of(files, args)))
}

fn lines(_: &mut Ctx, files: &Value, args: &[Value]) -> Result<Value, Error> {
    let bytes = bytes_of(files, args);
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    Ok(Value::strings(text.split(|c| *c == b'\n')))
}

/// What `include` and `tpl` keep during a render.
struct State {
    included: RefCell<HashMap<Str, usize>>,
    parsed: RefCell<HashMap<Str, Arc<Parsed>>>,
}

fn include(ctx: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    let name = args[0].as_str().unwrap().clone();
    let state = ctx.extension::<State>().unwrap();
    match state.included.borrow_mut().get_mut(&name) {
        Some(count) if *count > 1000 => {
            return Err(Error::msg("unable to execute template")
                .wrap(format!("rendering template has a nested reference name: {name}: ")));
        }
        Some(count) => *count += 1,
        None => {}
    }
    state.included.borrow_mut().entry(name.clone()).or_insert(1);
    Ok(Reply::Execute(Execute {
        target: Target::Named(name.clone()),
        data: args[1].clone(),
        after: Box::new(move |_, result| {
            *state.included.borrow_mut().get_mut(&name).unwrap() -= 1;
            result.map(Value::Str)
        }),
    }))
}

fn tpl(ctx: &mut Ctx, args: &[Value]) -> Result<Reply, Error> {
    let text = args[0].as_str().unwrap().clone();
    let state = ctx.extension::<State>().unwrap();
    let quoted = gotemplate::gofmt::quote(&text);
    let cached = state.parsed.borrow().get(&text).cloned();
    let parsed = match cached {
        Some(parsed) => parsed,
        None => {
            let parsed = Parsed::parse("gotpl", text.as_bytes(), functions())
                .map_err(|e| e.wrap(format!("cannot parse template {quoted}: ")))?;
            let parsed = Arc::new(parsed);
            state.parsed.borrow_mut().insert(text.clone(), parsed.clone());
            parsed
        }
    };
    Ok(Reply::Execute(Execute {
        target: Target::Parsed(parsed),
        data: args[1].clone(),
        after: Box::new(move |_, result| match result {
            Ok(text) => Ok(Value::str(remove_no_value(&text))),
            Err(e) => Err(e.wrap(format!("error during tpl function execution for {quoted}: "))),
        }),
    }))
}

fn fail(_: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    Err(Error::msg(format!("HELM_ERR_START{}HELM_ERR_END", args[0].as_str().unwrap())))
}

fn required(_: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    match &args[1] {
        Value::Nil => fail(&mut Ctx::new(Limits::default()), args),
        Value::Str(s) if s.is_empty() => fail(&mut Ctx::new(Limits::default()), args),
        value => Ok(value.clone()),
    }
}

fn functions() -> &'static FuncMap {
    static FUNCTIONS: OnceLock<FuncMap> = OnceLock::new();
    FUNCTIONS.get_or_init(|| {
        let mut funcs = FuncMap::new();
        funcs.extend(gotemplate::sprig::functions());
        funcs.extend(gotemplate::sprig::duration_functions());
        funcs
            .insert(Func::new("getHostByName", &[STRING], STRING, |_, _| Ok(Value::str(""))))
            .insert(Func::new("toJson", &[ANY], STRING, to_json))
            .insert(Func::new("mustToJson", &[ANY], STRING, must_to_json))
            .insert(Func::new("fromJson", &[STRING], MAP, from_json))
            .insert(Func::new("fromJsonArray", &[STRING], LIST, from_json_array))
            .insert(Func::new("toYaml", &[ANY], STRING, to_yaml))
            .insert(Func::control("include", &[STRING, ANY], STRING, include))
            .insert(Func::control("tpl", &[STRING, ANY], STRING, tpl))
            .insert(Func::new("fail", &[STRING], STRING, fail))
            .insert(Func::new("required", &[STRING, ANY], ANY, required));
        funcs
    })
}

fn to_json(ctx: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    Ok(Value::str(json::encode(ctx, &args[0], json::Style::Compact).unwrap_or_default()))
}

fn must_to_json(ctx: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    json::encode(ctx, &args[0], json::Style::Compact).map(Value::str)
}

fn from_json(_: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    let decoded = json::decode_into(args[0].as_str().unwrap(), MAP);
    let map = match decoded.value {
        Value::Map(map) => map,
        _ => Map::new(),
    };
    if let Some(error) = decoded.error {
        map.insert("Error", Value::str(error));
    }
    Ok(Value::Map(map))
}

fn from_json_array(_: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    let decoded = json::decode_into(args[0].as_str().unwrap(), LIST);
    match (decoded.error, decoded.value) {
        (Some(error), _) => Ok(Value::list(vec![Value::str(error)])),
        (None, Value::Nil) => Ok(Value::List(List::nil(LIST))),
        (None, list) => Ok(list),
    }
}

fn to_yaml(ctx: &mut Ctx, args: &[Value]) -> Result<Value, Error> {
    if json::encode(ctx, &args[0], json::Style::Compact).is_err() {
        return Ok(Value::str(""));
    }
    let text = goyaml::to_yaml(&args[0]).unwrap_or_default();
    Ok(Value::str(text.strip_suffix('\n').unwrap_or(&text)))
}

fn remove_no_value(text: &[u8]) -> Vec<u8> {
    let marker = b"<no value>";
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        if rest.starts_with(marker) {
            rest = &rest[marker.len()..];
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// Renders `templates/t.yaml` of the vector's chart.
pub(crate) fn render(case: &Case) -> Outcome {
    let name = "vec/templates/t.yaml";
    let mut texts = vec![(name.to_string(), case.template.clone())];
    texts.extend(case.templates.iter().map(|(k, v)| (format!("vec/templates/{k}"), v.clone())));
    texts.sort_by(|a, b| b.0.matches('/').count().cmp(&a.0.matches('/').count()).then(b.0.cmp(&a.0)));
    let mut set = TemplateSet::new("gotpl", MissingKey::Zero);
    for (file, text) in &texts {
        match Parsed::parse(file, text.as_bytes(), functions()) {
            Ok(parsed) => set.add(&parsed),
            Err(error) => return Outcome::Error(parse_error(file, &error.to_string())),
        }
    }
    let set = Arc::new(set);
    let mut ctx = Ctx::new(Limits::default());
    // A fixed clock, and bytes that are random enough to satisfy the functions.
    let mut seed = 1u64;
    let fill = move |buffer: &mut [u8]| {
        for byte in buffer {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (seed >> 56) as u8;
        }
    };
    ctx.set_extension(Surroundings::new(|| Time::from_unix(1_790_000_000, 0, Zone::Utc), fill));
    ctx.set_extension(State { included: RefCell::default(), parsed: RefCell::default() });
    let mut renderer = Renderer::new(ctx);
    let context = context(case);
    for (file, _) in &texts {
        let base = file.rsplit('/').next().unwrap();
        if base.starts_with('_') {
            continue;
        }
        let template = [("Name", Value::str(file.as_str())), ("BasePath", Value::str("vec/templates"))];
        let template = Value::map(template).as_map().unwrap().as_type(VALUES);
        context.insert("Template", Value::Map(template));
        match renderer.execute(&set, file, Value::Map(context.clone())) {
            Err(error) => return Outcome::Error(exec_error(&error)),
            Ok(text) if file == name => return Outcome::Text(remove_no_value(&text)),
            Ok(_) => {}
        }
    }
    unreachable!("the template is among the files")
}

fn context(case: &Case) -> Map {
    let text = |s: &str| Value::str(s);
    let empty = || Value::list(Vec::new());
    let files = case.files.iter().map(|(k, v)| (Str::from(k.as_str()), Value::bytes(v.as_bytes()))).collect();
    let chart = Value::map([
        ("APIVersion", text("v2")),
        ("Annotations", Value::Map(Map::nil(STRING_MAP))),
        ("AppVersion", text("1.2.3")),
        ("Condition", text("")),
        ("Dependencies", empty()),
        ("Deprecated", Value::Bool(false)),
        ("Description", text("")),
        ("Home", text("")),
        ("Icon", text("")),
        ("IsRoot", Value::Bool(true)),
        ("Keywords", Value::zero(STRINGS)),
        ("KubeVersion", text("")),
        ("Maintainers", empty()),
        ("Name", text("vec")),
        ("Sources", Value::zero(STRINGS)),
        ("Tags", text("")),
        ("Type", text("application")),
        ("Version", text("0.1.0")),
    ]);
    let release = Value::map([
        ("Name", text("rel")),
        ("Namespace", text("ns")),
        ("IsUpgrade", Value::Bool(false)),
        ("IsInstall", Value::Bool(true)),
        ("Revision", Value::int(1)),
        ("Service", text("Helm")),
    ]);
    let context = Map::with_type(VALUES);
    context.insert("Capabilities", capabilities());
    context.insert("Chart", chart);
    context.insert("Release", release);
    context.insert("Values", case.values.thaw_as(VALUES));
    context.insert("Files", Value::Map(Map::from_entries(FILES, files)));
    context.insert("Subcharts", Value::map::<Str>([]));
    context
}

fn parse_error(file: &str, text: &str) -> String {
    let tokens: Vec<&str> = text.split(": ").collect();
    if tokens.len() == 1 {
        return format!("parse error in ({file}): {text}");
    }
    format!("parse error at ({}): {}", tokens[1], tokens[tokens.len() - 1])
}

/// Helm v4's rewriting of execution errors: by shape of the text, level by level.
fn exec_error(error: &Error) -> String {
    let text = error.to_string();
    if !chain(error).any(|e| matches!(e, Error::Exec(_))) {
        return text;
    }
    let mut tokens = text.splitn(3, ": ");
    let (_, Some(location), Some(rest)) = (tokens.next(), tokens.next(), tokens.next()) else {
        return format!("execution error in (): {text}");
    };
    if let (Some(start), Some(end)) = (rest.find("HELM_ERR_START"), rest.rfind("HELM_ERR_END"))
        && start + 14 <= end
    {
        return format!("execution error at ({location}): {}", &rest[start + 14..end]);
    }
    let mut levels: Vec<[String; 3]> = Vec::new();
    for level in chain(error) {
        match traceable(&level.to_string()) {
            Some(trace) if levels.last() == Some(&trace) => {}
            Some(trace) => levels.push(trace),
            None => return text,
        }
    }
    let mut out = String::new();
    for [location, executed, message] in &levels {
        if !location.is_empty() {
            out += &format!("{location}\n  ");
        }
        if !executed.is_empty() {
            out += &format!("{executed}\n    ");
        }
        if !message.is_empty() {
            out += &format!("{message}\n");
        }
    }
    out.trim().to_string()
}

fn chain(error: &Error) -> impl Iterator<Item = &Error> {
    std::iter::successors(Some(error), |e| e.cause())
}

fn traceable(text: &str) -> Option<[String; 3]> {
    let rest = text.strip_prefix("template: ")?;
    let cut = |message: &str| message.split(" template:").next().unwrap_or_default().to_string();
    if rest.starts_with("no template ") {
        return Some([String::new(), String::new(), text.to_string()]);
    }
    if let Some((location, after)) = rest.split_once(": executing ") {
        let (function, after) = after.strip_prefix('"')?.split_once('"')?;
        let (node, message) = after.strip_prefix(" at <")?.split_once(">: ")?;
        let executed = format!("executing \"{function}\" at <{node}>:");
        return Some([location.to_string(), executed, cut(message)]);
    }
    let (location, message) = rest.rsplit_once(": ")?;
    Some([location.to_string(), String::new(), cut(message)])
}
