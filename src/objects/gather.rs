//! Puts the files together: who is there, who is there twice, what is wrong with whom.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use super::problem::{ConfigError, ManifestProblem};
use super::read::{Config, Found, Item, Name, ParsedFile, What};
use super::state::{ConfigEntry, Reading};
use crate::model::ObjectKey;

/// All files as one reading; `problems` are those of the walk.
pub(super) fn gather(files: &BTreeMap<String, Arc<ParsedFile>>, problems: Vec<ManifestProblem>) -> Reading {
    let mut reading = Reading {
        unclear: problems.iter().map(|problem| problem.file.clone()).collect(),
        ..Reading::default()
    };
    reading.problems = problems;
    let mut places = Places::default();
    for (name, file) in files {
        if file.is_broken() {
            reading.unclear.push(name.clone());
            reading.problems.extend(file.problems.iter().map(|found| problem(name, found, None)));
        }
        reading.problems.extend(file.remarks.iter().map(|found| problem(name, found, None)));
        for item in &file.items {
            places.take(&mut reading, name, item);
        }
    }
    reading
}

fn problem(file: &str, found: &Found, key: Option<&ObjectKey>) -> ManifestProblem {
    ManifestProblem {
        file: file.to_owned(),
        line: found.line,
        key: key.cloned(),
        message: found.message.clone(),
    }
}

fn joined(file: &str, found: &[Found]) -> String {
    let lines: Vec<String> = found.iter().map(|found| problem(file, found, None).to_string()).collect();
    lines.join("; ")
}

/// Where each thing was seen first.
#[derive(Default)]
struct Places {
    objects: BTreeMap<ObjectKey, (String, u32)>,
    secrets: BTreeMap<Name, (String, u32)>,
    config_maps: BTreeMap<Name, (String, u32)>,
}

impl Places {
    fn take(&mut self, reading: &mut Reading, file: &str, item: &Item) {
        let line = item.line;
        match &item.what {
            What::Object(key, object) => {
                if first(&mut self.objects, key, key, Some(key), file, line, reading) {
                    reading.found.insert(key.clone());
                    reading.lines.insert(key.clone(), line);
                    reading.objects.insert(key.clone(), (file.to_owned(), Arc::clone(object)));
                }
            }
            What::Invalid(key, found) => {
                reading.problems.extend(found.iter().map(|found| problem(file, found, Some(key))));
                if first(&mut self.objects, key, key, Some(key), file, line, reading) {
                    reading.invalid.insert(key.clone(), (file.to_owned(), joined(file, found)));
                }
            }
            What::Secret(name, config) => {
                let object = format!("Secret/{}/{}", name.0, name.1);
                if first(&mut self.secrets, name, &object, None, file, line, reading) {
                    let entry = entry(file, object, config, reading);
                    reading.secrets.insert(name.clone(), entry);
                }
            }
            What::ConfigMap(name, config) => {
                let object = format!("ConfigMap/{}/{}", name.0, name.1);
                if first(&mut self.config_maps, name, &object, None, file, line, reading) {
                    let entry = entry(file, object, config, reading);
                    reading.config_maps.insert(name.clone(), entry);
                }
            }
            What::Namespace(name, labels) => {
                // Written several times it is still one, as `kubectl apply` has it.
                let (_, all) = reading
                    .namespaces
                    .entry(name.clone())
                    .or_insert_with(|| (file.to_owned(), BTreeMap::new()));
                all.extend(labels.clone());
            }
        }
    }
}

fn entry<T>(file: &str, object: String, config: &Config<T>, reading: &mut Reading) -> ConfigEntry<T> {
    let result = match config {
        Config::Usable(value) => Ok(Arc::clone(value)),
        Config::Encrypted => Err(ConfigError::Encrypted { object, file: file.to_owned() }),
        Config::Invalid(found) => {
            reading.problems.extend(found.iter().map(|found| ManifestProblem {
                file: file.to_owned(),
                line: found.line,
                key: None,
                message: format!("`{object}`: {}", found.message),
            }));
            Err(ConfigError::Invalid { object, message: joined(file, found) })
        }
    };
    (file.to_owned(), result)
}

/// Whether this is the first of its name. If not, both places are reported and the first one is used.
fn first<K: Ord + Clone>(
    seen: &mut BTreeMap<K, (String, u32)>,
    name: &K,
    shown: &impl Display,
    key: Option<&ObjectKey>,
    file: &str,
    line: u32,
    reading: &mut Reading,
) -> bool {
    let Some((first_file, first_line)) = seen.get(name) else {
        seen.insert(name.clone(), (file.to_owned(), line));
        return true;
    };
    let mut report = |file: &str, line: u32, message: String| {
        reading.problems.push(ManifestProblem { file: file.to_owned(), line, key: key.cloned(), message });
    };
    report(
        file,
        line,
        format!("`{shown}` is already defined in {first_file}:{first_line}; this one is ignored"),
    );
    report(first_file, *first_line, format!("`{shown}` is defined again in {file}:{line}; this one is used"));
    false
}
