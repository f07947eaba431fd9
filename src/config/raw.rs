//! Values as they were written, and which of flag, variable and file wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use super::ConfigError;
use super::table::{Form, Row, Scope, TABLE, find};

/// Largest settings file read; a full one has some twenty lines.
const MAX_FILE: u64 = 1 << 20;

/// The process's environment, or a test's.
pub trait Environment {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;
}

/// The environment of this process.
#[derive(Debug, Clone, Copy)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok().filter(|value| !value.is_empty())
    }
}

impl Environment for BTreeMap<&str, &str> {
    fn variable(&self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(|value| (*value).to_owned())
    }
}

/// Flags as given on the command line.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    values: BTreeMap<&'static str, String>,
    config: Option<PathBuf>,
}

impl Flags {
    fn read(matches: &ArgMatches, scope: Scope) -> Self {
        let values = rows(scope)
            .filter_map(|row| matches.get_one::<String>(row.name).map(|value| (row.name, value.clone())))
            .collect();
        let config =
            if scope == Scope::Client { matches.get_one::<PathBuf>("config").cloned() } else { None };
        Self { values, config }
    }

    /// Both together; what `self` says wins.
    pub fn over(&self, other: &Flags) -> Flags {
        let mut values = other.values.clone();
        values.extend(self.values.iter().map(|(name, value)| (*name, value.clone())));
        Flags { values, config: self.config.clone().or_else(|| other.config.clone()) }
    }

    /// Sets one as if it had been given.
    pub fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.values.insert(name, value.into());
    }
}

/// The rows whose flags stand with a command: those of clients stand with every command, so what both ask for does too.
fn rows(scope: Scope) -> impl Iterator<Item = &'static Row> {
    TABLE.iter().filter(move |row| row.scope == scope || (scope == Scope::Client && row.scope == Scope::Both))
}

fn augment(mut command: Command, scope: Scope) -> Command {
    for row in rows(scope) {
        let mut help = format!("{} [env: {}]", row.help, row.variable());
        if !row.default.is_empty() && row.form != Form::Switch {
            help.push_str(&format!(" [default: {}]", row.default));
        }
        let mut arg = Arg::new(row.name).long(row.name).help(help).help_heading("Settings");
        arg = match row.form {
            Form::Switch => arg
                .value_name("BOOL")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("true")
                .action(ArgAction::Set),
            Form::Text(word) => arg.value_name(word).action(ArgAction::Set),
        };
        if row.name == "namespace" {
            arg = arg.short('n');
        }
        if scope == Scope::Client {
            arg = arg.help_heading("Connection").global(true);
        }
        command = command.arg(arg);
    }
    if scope != Scope::Client {
        return command;
    }
    command.arg(
        Arg::new("config")
            .long("config")
            .value_name("FILE")
            .help("A TOML file with any of the settings [env: SLUICE_CONFIG]")
            .help_heading("Connection")
            .global(true)
            .value_parser(clap::value_parser!(PathBuf)),
    )
}

macro_rules! flags {
    ($(#[$doc:meta])* $name:ident, $scope:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default)]
        pub struct $name(pub Flags);

        impl clap::FromArgMatches for $name {
            fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
                Ok(Self(Flags::read(matches, $scope)))
            }

            fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
                self.0 = Flags::read(matches, $scope);
                Ok(())
            }
        }

        impl clap::Args for $name {
            fn augment_args(command: Command) -> Command {
                augment(command, $scope)
            }

            fn augment_args_for_update(command: Command) -> Command {
                augment(command, $scope)
            }
        }
    };
}

flags! {
    /// The flags of `sluice serve` alone.
    AgentFlags, Scope::Agent
}
flags! {
    /// The flags that every command takes.
    ClientFlags, Scope::Client
}

/// Where a value was written, as it is said in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Origin {
    Flag,
    Variable,
    File(PathBuf),
    Default,
}

/// Every value that counts, with its origin.
#[derive(Debug)]
pub(super) struct Raw {
    values: BTreeMap<&'static str, (String, Origin)>,
}

impl Raw {
    /// Flags over variables over the file over the defaults.
    pub(super) fn merge(flags: &Flags, environment: &dyn Environment) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        for row in TABLE {
            if !row.default.is_empty() {
                values.insert(row.name, (row.default.to_owned(), Origin::Default));
            }
        }
        let file = flags.config.clone().or_else(|| environment.variable("SLUICE_CONFIG").map(PathBuf::from));
        if let Some(path) = file {
            for (name, value) in read_file(&path)? {
                values.insert(name, (value, Origin::File(path.clone())));
            }
        }
        for row in TABLE {
            if let Some(value) = environment.variable(&row.variable()) {
                values.insert(row.name, (value, Origin::Variable));
            }
            if let Some(value) = flags.values.get(row.name) {
                values.insert(row.name, (value.clone(), Origin::Flag));
            }
        }
        Ok(Self { values })
    }

    /// The text of a setting; `None` when it is not set or set to nothing.
    pub(super) fn text(&self, name: &'static str) -> Option<&str> {
        debug_assert!(find(name).is_some(), "`{name}` is in the table");
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A setting read by `parse`, which says what is wrong with it.
    pub(super) fn parsed<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, ConfigError> {
        self.text(name).map(|text| parse(text).map_err(|reason| self.refuse(name, reason))).transpose()
    }

    /// As [`Raw::parsed`], for settings with a default.
    pub(super) fn required<T>(
        &self,
        name: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        self.parsed(name, parse)?.ok_or_else(|| self.refuse(name, "it must have a value".to_owned()))
    }

    /// The error that names a setting where its user wrote it.
    pub(super) fn refuse(&self, name: &'static str, reason: String) -> ConfigError {
        let setting = match self.values.get(name).map(|(_, origin)| origin) {
            Some(Origin::Variable) => format!("`{}`", find(name).map_or(name.to_owned(), Row::variable)),
            Some(Origin::File(path)) => format!("`{name}` in `{}`", path.display()),
            Some(Origin::Flag | Origin::Default) | None => format!("`--{name}`"),
        };
        let value = self.text(name).unwrap_or_default().to_owned();
        ConfigError::Invalid { setting, value, reason }
    }
}

fn read_file(path: &Path) -> Result<Vec<(&'static str, String)>, ConfigError> {
    let failed = |reason: String| ConfigError::File { path: path.to_owned(), reason };
    let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(failed(format!("it has {size} bytes, more than any settings file needs")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(error.to_string()))?;
    let mut values = Vec::with_capacity(table.len());
    for (key, value) in table {
        let Some(row) = find(&key) else {
            return Err(ConfigError::Unknown { path: path.to_owned(), key });
        };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(yes) => yes.to_string(),
            other => return Err(failed(format!("`{key}` must not be a {}", other.type_str()))),
        };
        values.push((row.name, text));
    }
    Ok(values)
}
