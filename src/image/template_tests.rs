//! Messages beside Flux's own.

use serde::Deserialize;

use super::*;
use crate::image::Pinned;

#[derive(Deserialize)]
struct Vector {
    name: String,
    template: String,
    changes: Vec<VectorChange>,
    values: BTreeMap<String, String>,
    out: String,
    error: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VectorChange {
    file: String,
    #[serde(rename = "APIVersion")]
    api_version: String,
    kind: String,
    namespace: String,
    name: String,
    old: String,
    new: String,
    setter: String,
    image: String,
}

fn changes(vector: &[VectorChange]) -> Changes {
    let mut changes = Changes::default();
    for change in vector {
        let object = ObjectIdentifier {
            api_version: change.api_version.clone(),
            kind: change.kind.clone(),
            name: change.name.clone(),
            namespace: change.namespace.clone(),
        };
        let (namespace, policy) = change.setter.split_once(':').unwrap();
        let policy = policy.split(':').next().unwrap();
        let (base, digest) = change.image.split_once('@').unwrap_or((&change.image, ""));
        let (image, tag) = base.rsplit_once(':').unwrap();
        let pinned = Pinned {
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
            image: image.to_owned(),
            tag: tag.to_owned(),
            digest: digest.to_owned(),
        };
        let image = PolicyImage {
            reference: pinned.parts().unwrap(),
            namespace: namespace.to_owned(),
            policy: policy.to_owned(),
        };
        changes.images.insert(change.setter.clone(), image);
        changes.files.entry(change.file.clone()).or_default().entry(object).or_default().push(Change {
            old_value: change.old.clone(),
            new_value: change.new.clone(),
            setter: change.setter.clone(),
        });
    }
    changes
}

fn data(changes: Changes, values: BTreeMap<String, String>) -> MessageData {
    MessageData { namespace: "apps".into(), name: "auto".into(), changes: Arc::new(changes), values }
}

fn render(template: &str) -> Result<String, String> {
    message(template, &data(Changes::default(), BTreeMap::new()), Timestamp::UNIX_EPOCH)
}

#[test]
fn messages_are_flux_s() {
    let mut failed = Vec::new();
    let mut count = 0;
    for line in include_str!("testdata/messages.jsonl").lines() {
        let vector: Vector = serde_json::from_str(line).unwrap();
        count += 1;
        let template = match vector.template.as_str() {
            "" => flux_api::DEFAULT_MESSAGE_TEMPLATE,
            template => template,
        };
        let data = data(changes(&vector.changes), vector.values);
        let (out, error) = match message(template, &data, Timestamp::UNIX_EPOCH) {
            Ok(out) => (out, String::new()),
            Err(error) => (String::new(), error),
        };
        // Recorded while there were two types, for `.Changed` and for `.Updated`.
        let expected = vector.error.replace("update.ResultV2", "update.Result");
        if (&out, &error) != (&vector.out, &expected) {
            failed.push(format!("{}: {out:?} {error}\n  Flux {:?} {expected}", vector.name, vector.out));
        }
    }
    assert!(failed.is_empty() && count > 35, "{} of {count}:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn functions_are_those_of_sprig_s_hermetic_map() {
    let hermetic: Vec<&str> = include_str!("testdata/hermetic.txt").split_whitespace().collect();
    for function in sprig::functions() {
        let parsed = render(&format!("{{{{ if false }}}}{{{{ {} }}}}{{{{ end }}}}", function.name));
        let missing = parsed.is_err_and(|error| error.contains("not defined"));
        assert_eq!(!missing, hermetic.contains(&function.name), "{}", function.name);
    }
    let known: Vec<&str> = sprig::functions().map(|function| function.name).collect();
    // A joke of sprig's that takes no part in anything.
    let absent: Vec<&&str> =
        hermetic.iter().filter(|name| !known.contains(*name) && **name != "hello").collect();
    assert!(absent.is_empty(), "{absent:?}");
}

#[test]
fn hostile_templates_end() {
    for template in [
        "{{ range until 100000000 }}{{ range until 100000000 }}x{{ end }}{{ end }}",
        "{{ define \"a\" }}{{ template \"a\" . }}{{ end }}{{ template \"a\" . }}",
        "{{ repeat 1000000000 \"x\" }}",
        "{{ range until 3000000 }}{{ \"x\" }}{{ end }}",
    ] {
        let error = render(template).unwrap_err();
        assert!(error.starts_with("failed to run template from spec: "), "{template}: {error}");
    }
}

#[test]
fn h79_a_message_of_more_than_a_mebibyte_is_refused() {
    let error = render("{{ repeat 1048577 \"x\" }}").unwrap_err();
    assert!(error.contains("limit"), "{error}");
    assert_eq!(render("{{ repeat 1048000 \"x\" }}").unwrap().len(), 1_048_000);
}

#[test]
fn h79_null_bytes_do_not_cut_a_message() {
    assert_eq!(render("{{ \"a\\x00b\" }}\nc").unwrap(), "ab\nc");
}
