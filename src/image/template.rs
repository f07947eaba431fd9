//! The message of a commit: a Go template over what changed, with sprig's functions that give the same every time.
//!
//! The data has the types of Flux's `source.TemplateData`, texts of errors included. `.Updated` and
//! `.Changed.ImageResult`, which Flux has since removed, are still there: manifests of 2022 use them. No template is
//! trusted: steps, memory and length are bounded.

use std::collections::BTreeMap;
use std::sync::Arc;

use gotemplate::sprig::time::{Time, Zone};
use gotemplate::sprig::{self, Surroundings};
use gotemplate::types::{STRING, STRING_MAP};
use gotemplate::{
    Ctx, Error, FuncMap, GoType, Host, Kind, Limits, List, Map, Method, MissingKey, Parsed, Renderer, Str,
    TemplateSet, TypeDesc, Value,
};

use super::changes::{Change, Changes, ObjectChanges, ObjectIdentifier, PolicyImage};
use crate::model::Timestamp;

/// The name Flux gives the template; it is in its errors.
const NAME: &str = "commit message";

/// Bytes of a message; what comes near is a mistake, and a forge would refuse it.
const LONGEST: u64 = 1 << 20;

/// A message takes thousands of steps, not millions.
const LIMITS: Limits =
    Limits { steps: 5_000_000, output: LONGEST, memory: 64 << 20, depth: 1000, calls: 1000, nesting: 200 };

/// Functions of sprig that its hermetic map leaves out: they answer differently by time, place or chance.
const NOT_HERMETIC: [&str; 15] = [
    "date",
    "date_in_zone",
    "date_modify",
    "now",
    "htmlDate",
    "htmlDateInZone",
    "dateInZone",
    "dateModify",
    "randAlphaNum",
    "randAlpha",
    "randAscii",
    "randNumeric",
    "randBytes",
    "uuidv4",
    "getHostByName",
];

/// What the template is about.
#[derive(Debug, Clone)]
pub struct MessageData {
    /// The automation's namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What changed.
    pub changes: Arc<Changes>,
    /// `.Values`.
    pub values: BTreeMap<String, String>,
}

/// The commit message that `template` makes of `data`. `now` is for the few functions that tell an age.
///
/// # Errors
/// Flux's text: the template cannot be parsed, or failed.
pub fn message(template: &str, data: &MessageData, now: Timestamp) -> Result<String, String> {
    let mut functions = FuncMap::new();
    functions.extend(sprig::functions());
    for name in NOT_HERMETIC {
        functions.remove(name);
    }
    let parsed = Parsed::parse(NAME, template.as_bytes(), &functions)
        .map_err(|error| format!("unable to create commit message template from spec: {error}"))?;
    let mut set = TemplateSet::new(NAME, MissingKey::Invalid);
    set.add(&parsed);
    let mut ctx = Ctx::new(LIMITS);
    let (seconds, nanoseconds) = (now.as_second(), u32::try_from(now.subsec_nanosecond()).unwrap_or(0));
    ctx.set_extension(Surroundings::new(
        move || Time::from_unix(seconds, nanoseconds, Zone::Utc),
        |buffer: &mut [u8]| getrandom::fill(buffer).expect("the system has a source of random bytes"),
    ));
    let root = Value::host(TemplateData(data.clone()));
    let text = Renderer::new(ctx)
        .execute(&Arc::new(set), NAME, root)
        .map_err(|error| format!("failed to run template from spec: {error}"))?;
    // A commit ends at a null byte.
    Ok(String::from_utf8_lossy(&text).replace('\0', ""))
}

type Fields = Vec<(&'static str, Value)>;
type Answer = Result<Value, Error>;

macro_rules! go_type {
    ($name:literal, $kind:ident, $elem:expr) => {{
        static DESC: TypeDesc =
            TypeDesc { name: $name, kind: Kind::$kind, elem: $elem, underlying: None, methods: &[] };
        GoType(&DESC)
    }};
    ($name:literal, $kind:ident, $elem:expr, $methods:expr) => {{
        static DESC: TypeDesc =
            TypeDesc { name: $name, kind: Kind::$kind, elem: $elem, underlying: None, methods: $methods };
        GoType(&DESC)
    }};
}

const CHANGE: GoType = go_type!("update.Change", Struct, None);
const CHANGE_LIST: GoType = go_type!("[]update.Change", Slice, Some(CHANGE));
const OBJECT_CHANGES: GoType = go_type!("update.ObjectChanges", Map, Some(CHANGE_LIST));
const FILE_CHANGES: GoType = go_type!("map[string]update.ObjectChanges", Map, Some(OBJECT_CHANGES));
const IMAGE_REF: GoType = go_type!("update.ImageRef", Interface, None);
const IMAGE_LIST: GoType = go_type!("[]update.ImageRef", Slice, Some(IMAGE_REF));
const OBJECT_IMAGES: GoType =
    go_type!("map[update.ObjectIdentifier][]update.ImageRef", Map, Some(IMAGE_LIST));
const FILE_RESULT: GoType = go_type!("update.FileResult", Struct, None);
const FILE_RESULTS: GoType = go_type!("map[string]update.FileResult", Map, Some(FILE_RESULT));

const fn method(name: &'static str, result: GoType, call: gotemplate::types::MethodFn) -> Method {
    Method { name, params: &[], variadic: false, result, call }
}

fn receiver<T: Host>(value: &Value) -> Result<&T, Error> {
    value.as_host().ok_or_else(|| Error::msg(format!("{} is not what its method expects", value.type_name())))
}

/// Go's `==` of two objects whose Rust values compare.
fn same<T: Host + PartialEq>(one: &T, other: &dyn Host) -> Option<bool> {
    let other: &dyn std::any::Any = other;
    other.downcast_ref::<T>().map(|other| one == other)
}

/// `source.TemplateData`.
struct TemplateData(MessageData);

impl Host for TemplateData {
    fn go_type(&self) -> GoType {
        go_type!("source.TemplateData", Struct, None)
    }

    fn field(&self, name: &[u8]) -> Option<Value> {
        if name == b"Updated" {
            return Some(Value::host(ImageResult(Arc::clone(&self.0.changes))));
        }
        self.fields().into_iter().find(|(field, _)| field.as_bytes() == name).map(|(_, value)| value)
    }

    fn fields(&self) -> Fields {
        let MessageData { namespace, name, changes, values } = &self.0;
        let values = values.iter().map(|(key, value)| (Str::from(key.as_str()), Value::str(value.as_str())));
        let values = match values.len() {
            0 => Map::nil(STRING_MAP),
            _ => Map::from_entries(STRING_MAP, values.collect()),
        };
        vec![
            ("AutomationObject", namespaced(namespace, name)),
            ("Changed", Value::host(ChangeResult(Arc::clone(changes)))),
            ("Values", Value::Map(values)),
        ]
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// `types.NamespacedName`.
#[derive(PartialEq)]
struct NamespacedName {
    namespace: String,
    name: String,
}

fn namespaced(namespace: &str, name: &str) -> Value {
    Value::host(NamespacedName { namespace: namespace.to_owned(), name: name.to_owned() })
}

fn namespaced_text(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    Ok(receiver::<NamespacedName>(value)?.string().map(Value::Str).unwrap_or_default())
}

impl Host for NamespacedName {
    fn go_type(&self) -> GoType {
        go_type!("types.NamespacedName", Struct, None, &[method("String", STRING, namespaced_text)])
    }

    fn fields(&self) -> Fields {
        vec![("Namespace", Value::str(&*self.namespace)), ("Name", Value::str(&*self.name))]
    }

    fn string(&self) -> Option<Str> {
        Some(format!("{}/{}", self.namespace, self.name).into())
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        same(self, other)
    }
}

/// `update.Result`: `.Changed`.
struct ChangeResult(Arc<Changes>);

fn all_changes(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    Ok(change_list(receiver::<ChangeResult>(value)?.0.all()))
}

fn changed_objects(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    Ok(Value::host(ChangesByObject(receiver::<ChangeResult>(value)?.0.objects())))
}

impl Host for ChangeResult {
    fn go_type(&self) -> GoType {
        go_type!(
            "update.Result",
            Struct,
            None,
            &[
                method("Changes", CHANGE_LIST, all_changes),
                method("Objects", OBJECT_CHANGES, changed_objects)
            ]
        )
    }

    fn field(&self, name: &[u8]) -> Option<Value> {
        match name {
            b"ImageResult" => Some(Value::host(ImageResult(Arc::clone(&self.0)))),
            b"FileChanges" => self.fields().pop().map(|(_, value)| value),
            _ => None,
        }
    }

    fn fields(&self) -> Fields {
        let files =
            self.0.files.iter().map(|(path, objects)| {
                (Str::from(path.as_str()), Value::host(ChangesByObject(objects.clone())))
            });
        vec![("FileChanges", Value::Map(Map::from_entries(FILE_CHANGES, files.collect())))]
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// `update.ObjectChanges`.
struct ChangesByObject(ObjectChanges);

impl Host for ChangesByObject {
    fn go_type(&self) -> GoType {
        OBJECT_CHANGES
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entry = |(object, changes): (&ObjectIdentifier, &Vec<Change>)| {
            (Value::host(Object(object.clone())), change_list(changes))
        };
        Some(self.0.iter().map(entry).collect())
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

fn change_list<'c>(changes: impl IntoIterator<Item = &'c Change>) -> Value {
    let items = changes.into_iter().map(|change| Value::host(OneChange(change.clone()))).collect();
    Value::List(List::new(CHANGE_LIST, items))
}

/// `update.Change`.
#[derive(PartialEq)]
struct OneChange(Change);

impl Host for OneChange {
    fn go_type(&self) -> GoType {
        CHANGE
    }

    fn fields(&self) -> Fields {
        let Change { old_value, new_value, setter } = &self.0;
        vec![
            ("OldValue", Value::str(old_value.as_str())),
            ("NewValue", Value::str(new_value.as_str())),
            ("Setter", Value::str(setter.as_str())),
        ]
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        same(self, other)
    }
}

/// `update.ObjectIdentifier`, with the structs that it embeds.
#[derive(PartialEq)]
struct Object(ObjectIdentifier);

impl Object {
    fn embedded(&self) -> Value {
        let ObjectIdentifier { api_version, kind, name, namespace } = &self.0;
        let text = |text: &String| Value::str(text.as_str());
        let type_meta = Part {
            ty: go_type!("yaml.TypeMeta", Struct, None),
            fields: vec![("APIVersion", text(api_version)), ("Kind", text(kind))],
        };
        let name_meta = Part {
            ty: go_type!("yaml.NameMeta", Struct, None),
            fields: vec![("Name", text(name)), ("Namespace", text(namespace))],
        };
        let fields = vec![("TypeMeta", Value::host(type_meta)), ("NameMeta", Value::host(name_meta))];
        Value::host(Part { ty: go_type!("yaml.ResourceIdentifier", Struct, None), fields })
    }
}

impl Host for Object {
    fn go_type(&self) -> GoType {
        go_type!("update.ObjectIdentifier", Struct, None)
    }

    fn field(&self, name: &[u8]) -> Option<Value> {
        let ObjectIdentifier { api_version, kind, name: object, namespace } = &self.0;
        let text = match name {
            b"APIVersion" => api_version,
            b"Kind" => kind,
            b"Name" => object,
            b"Namespace" => namespace,
            b"ResourceIdentifier" => return Some(self.embedded()),
            b"TypeMeta" | b"NameMeta" => {
                let embedded = self.embedded();
                return embedded.as_host::<Part>().and_then(|part| part.field(name));
            }
            _ => return None,
        };
        Some(Value::str(text.as_str()))
    }

    fn fields(&self) -> Fields {
        vec![("ResourceIdentifier", self.embedded())]
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        same(self, other)
    }
}

/// A struct that is known by its fields only.
struct Part {
    ty: GoType,
    fields: Fields,
}

impl Host for Part {
    fn go_type(&self) -> GoType {
        self.ty
    }

    fn fields(&self) -> Fields {
        self.fields.clone()
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// `update.Result` of 2022: `.Updated`.
struct ImageResult(Arc<Changes>);

fn all_images(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    let changes = &receiver::<ImageResult>(value)?.0;
    Ok(image_list(changes, changes.files.values().flat_map(BTreeMap::values).flatten()))
}

fn updated_objects(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    let changes = &receiver::<ImageResult>(value)?.0;
    Ok(images_by_object(changes, &changes.objects()))
}

fn image_list<'c>(all: &Changes, changes: impl IntoIterator<Item = &'c Change>) -> Value {
    let items = all.images_of(changes).into_iter().map(|image| Value::host(Image(image.clone()))).collect();
    Value::List(List::new(IMAGE_LIST, items))
}

fn images_by_object(all: &Changes, objects: &ObjectChanges) -> Value {
    let entries = objects.iter().map(|(object, changes)| (object.clone(), image_list(all, changes)));
    Value::host(ImagesByObject(entries.collect()))
}

impl Host for ImageResult {
    fn go_type(&self) -> GoType {
        go_type!(
            "update.Result",
            Struct,
            None,
            &[method("Images", IMAGE_LIST, all_images), method("Objects", OBJECT_IMAGES, updated_objects)]
        )
    }

    fn fields(&self) -> Fields {
        let files = self.0.files.iter().map(|(path, objects)| {
            let fields = vec![("Objects", images_by_object(&self.0, objects))];
            (Str::from(path.as_str()), Value::host(Part { ty: FILE_RESULT, fields }))
        });
        vec![("Files", Value::Map(Map::from_entries(FILE_RESULTS, files.collect())))]
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// `map[update.ObjectIdentifier][]update.ImageRef`.
struct ImagesByObject(Vec<(ObjectIdentifier, Value)>);

impl Host for ImagesByObject {
    fn go_type(&self) -> GoType {
        OBJECT_IMAGES
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        let entry = |(object, images): &(ObjectIdentifier, Value)| {
            (Value::host(Object(object.clone())), images.clone())
        };
        Some(self.0.iter().map(entry).collect())
    }

    fn equal(&self, _: &dyn Host) -> Option<bool> {
        None
    }
}

/// `update.ImageRef`: prints as the reference is written in the policy's status.
#[derive(PartialEq)]
struct Image(PolicyImage);

fn image_text(value: &Value, part: impl Fn(&PolicyImage) -> &str) -> Answer {
    Ok(Value::str(part(&receiver::<Image>(value)?.0)))
}

fn image_string(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    image_text(value, |image| &image.reference.original)
}

fn image_name(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    image_text(value, |image| &image.reference.name)
}

fn image_registry(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    image_text(value, |image| &image.reference.registry)
}

fn image_repository(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    image_text(value, |image| &image.reference.repository)
}

fn image_identifier(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    image_text(value, |image| &image.reference.identifier)
}

fn image_policy(_: &mut Ctx, value: &Value, _: &[Value]) -> Answer {
    let image = &receiver::<Image>(value)?.0;
    Ok(namespaced(&image.namespace, &image.policy))
}

impl Host for Image {
    fn go_type(&self) -> GoType {
        go_type!(
            "update.imageRef",
            Struct,
            None,
            &[
                method("String", STRING, image_string),
                method("Name", STRING, image_name),
                method("Registry", STRING, image_registry),
                method("Repository", STRING, image_repository),
                method("Identifier", STRING, image_identifier),
                method("Policy", go_type!("types.NamespacedName", Struct, None), image_policy),
            ]
        )
    }

    fn has_unexported(&self, name: &[u8]) -> bool {
        name == b"policy"
    }

    fn string(&self) -> Option<Str> {
        Some(self.0.reference.original.as_str().into())
    }

    fn equal(&self, other: &dyn Host) -> Option<bool> {
        same(self, other)
    }
}

#[cfg(test)]
#[path = "template_tests.rs"]
mod tests;
