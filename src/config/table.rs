//! The one table of settings. Flags, `SLUICE_*` variables, the TOML file and the reference page all come from it.

/// Who asks for a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// `sluice serve`.
    Agent,
    /// The commands that talk to a running agent.
    Client,
    /// Both.
    Both,
}

/// What its value is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `true` or `false`; the flag alone means `true`.
    Switch,
    /// Anything else, with the word that stands for it in the help.
    Text(&'static str),
}

/// One setting.
#[derive(Debug)]
pub(super) struct Row {
    /// The flag without its dashes, and the key of the file.
    pub(super) name: &'static str,
    pub(super) scope: Scope,
    pub(super) form: Form,
    /// As the user would write it; empty when there is none, or when it depends on the machine.
    pub(super) default: &'static str,
    pub(super) help: &'static str,
}

impl Row {
    /// `SLUICE_API_LISTEN`.
    pub(super) fn variable(&self) -> String {
        format!("SLUICE_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}

const fn row(name: &'static str, scope: Scope, form: Form, default: &'static str, help: &'static str) -> Row {
    Row { name, scope, form, default, help }
}

use Form::{Switch, Text};
use Scope::{Agent, Both, Client};

/// Every setting, in the order of the help.
pub(super) const TABLE: &[Row] = &[
    row(
        "listen",
        Agent,
        Text("ADDR"),
        "0.0.0.0:9292",
        "Where webhooks arrive; nothing but /hook/ is served here. The port is Flux's",
    ),
    row(
        "api-listen",
        Agent,
        Text("ADDR"),
        "127.0.0.1:9280",
        "Where the API answers over TCP, or `off`; it always answers on a unix socket in the state directory. An address others can reach needs `api-token-file`",
    ),
    row(
        "metrics-listen",
        Agent,
        Text("ADDR"),
        "127.0.0.1:8080",
        "Where /metrics, /healthz and /readyz answer, or `off`",
    ),
    row(
        "public-url",
        Agent,
        Text("URL"),
        "",
        "The address under which forges reach `listen`, for `sluice hook url`",
    ),
    row(
        "trusted-proxies",
        Agent,
        Text("NETS"),
        "",
        "Proxies in front of `listen` whose X-Forwarded-For is believed: addresses or networks, separated by commas. Senders are counted by it when their proofs fail",
    ),
    row(
        "accept-sha1",
        Agent,
        Switch,
        "true",
        "Accept webhooks signed with SHA-1 alone, as Flux does; Nexus, which knows nothing else, is not concerned",
    ),
    row(
        "state",
        Both,
        Text("DIR"),
        "",
        "Where everything that must survive lives: store, repositories, artifacts, the API's socket. Default: `$STATE_DIRECTORY` (set by systemd), else `$XDG_STATE_HOME/sluice`, else `~/.local/state/sluice`. Made with mode 0700",
    ),
    row("api-token-file", Both, Text("FILE"), "", "A file with the token that API clients send over TCP"),
    row(
        "server",
        Client,
        Text("URL"),
        "",
        "The agent's API, for example http://127.0.0.1:9280; without it the socket in the state directory",
    ),
    row("namespace", Client, Text("NS"), "", "The namespace meant; without it the only one that has objects"),
    row("log-level", Agent, Text("LEVEL"), "info", "trace, debug, info, warn, error, or a filter per module"),
    row("log-format", Agent, Text("FORMAT"), "text", "text, or json in the shape of Flux's controllers"),
    row(
        "concurrent",
        Agent,
        Text("N"),
        "256",
        "How many objects are reconciled at once; most of that time is waiting",
    ),
    row("kube-in-flight", Agent, Text("N"), "16", "How many requests one member cluster gets at once"),
    row(
        "no-cross-namespace-refs",
        Agent,
        Switch,
        "false",
        "Refuse references to objects of other namespaces, as Flux's flag of this name",
    ),
    row(
        "no-local-addresses",
        Agent,
        Switch,
        "false",
        "Refuse loopback and link-local addresses, where clouds keep their metadata, in the URLs of sources, registries, forges and chats, and where their names lead; private networks stay reachable",
    ),
    row(
        "default-service-account",
        Agent,
        Text("NAME"),
        "",
        "The service account to act as where an object names none, as Flux's flag of this name",
    ),
    row(
        "insecure-kubeconfig-exec",
        Agent,
        Switch,
        "false",
        "Let kubeconfigs run the programs they name, as Flux's flag of this name",
    ),
    row(
        "insecure-kubeconfig-tls",
        Agent,
        Switch,
        "false",
        "Let kubeconfigs switch off the check of certificates, as Flux's flag of this name",
    ),
    row("keep-deliveries", Agent, Text("DURATION"), "336h", "How long deliveries are kept; at least 72h"),
    row("max-deliveries", Agent, Text("N"), "1000000", "How many deliveries are kept at most, however young"),
    row(
        "max-bodies",
        Agent,
        Text("N"),
        "20000",
        "How many bodies of deliveries are kept at most, for replay",
    ),
    row(
        "keep-jobs",
        Agent,
        Text("DURATION"),
        "336h",
        "How long finished jobs and their steps are kept; at least 72h",
    ),
    row("max-jobs", Agent, Text("N"), "500000", "How many finished jobs are kept at most"),
    row("keep-messages", Agent, Text("DURATION"), "168h", "How long sent and dead messages are kept"),
];

/// The row of that name.
pub(super) fn find(name: &str) -> Option<&'static Row> {
    TABLE.iter().find(|row| row.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent works on all the objects it has: there is no shard whose scope could be wider than it was told. A setting
    /// that cuts the objects up needs a test that each part keeps to its namespaces.
    #[test]
    fn s23_no_setting_cuts_the_objects_into_shards() {
        let cuts = |row: &&Row| {
            row.scope != Client
                && ["shard", "selector", "watch", "namespaces"].iter().any(|word| row.name.contains(word))
        };
        let names: Vec<_> = TABLE.iter().filter(cuts).map(|row| row.name).collect();
        assert_eq!(names, [""; 0]);
    }
}
