use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

fn load(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let mut given = Flags::default();
    for (name, value) in flags {
        given.set(name, *value);
    }
    let mut environment: BTreeMap<&str, &str> = environment.iter().copied().collect();
    environment.entry("HOME").or_insert("/home/ada");
    Settings::load(&given, &environment)
}

fn refusal(flags: &[(&'static str, &str)], environment: &[(&str, &str)]) -> String {
    load(flags, environment).unwrap_err().to_string()
}

#[test]
fn defaults() {
    let settings = load(&[], &[]).unwrap();
    assert_eq!(settings.listen, "0.0.0.0:9292".parse().unwrap());
    assert_eq!(settings.api_listen, Some("127.0.0.1:9280".parse().unwrap()));
    assert_eq!(settings.metrics_listen, Some("127.0.0.1:8080".parse().unwrap()));
    assert_eq!(settings.state, Path::new("/home/ada/.local/state/sluice"));
    assert_eq!(settings.retention.keep_deliveries, Duration::from_secs(14 * 24 * 3600));
    assert_eq!(settings.socket(), Path::new("/home/ada/.local/state/sluice/api.sock"));
    assert!(!settings.no_cross_namespace_refs);
}

#[test]
fn a_flag_beats_a_variable_beats_the_file_beats_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sluice.toml");
    std::fs::write(
        &file,
        "concurrent = 3\nkube-in-flight = 4\nlog-level = \"debug\"\nno-cross-namespace-refs = true\n",
    )
    .unwrap();
    let file = file.display().to_string();
    let environment =
        [("SLUICE_CONFIG", file.as_str()), ("SLUICE_CONCURRENT", "5"), ("SLUICE_LOG_LEVEL", "warn")];
    let settings = load(&[("log-level", "error")], &environment).unwrap();
    assert_eq!((settings.concurrent, settings.kube_in_flight), (5, 4));
    assert_eq!(settings.log.level, "error");
    assert!(settings.no_cross_namespace_refs);
    assert_eq!(settings.api_listen, Some("127.0.0.1:9280".parse().unwrap()));
}

#[test]
fn an_empty_variable_is_none_and_foreign_ones_are_not_ours() {
    // A Kubernetes Service called `sluice` puts such variables into every pod.
    let settings = load(&[], &[("SLUICE_LISTEN", ""), ("SLUICE_PORT", "tcp://10.0.0.1:80")]).unwrap();
    assert_eq!(settings.listen.port(), 9292);
}

#[test]
fn state_goes_where_the_machine_keeps_state() {
    let state = |environment: &[(&str, &str)]| load(&[], environment).unwrap().state.display().to_string();
    assert_eq!(state(&[("XDG_STATE_HOME", "/x")]), "/x/sluice");
    assert_eq!(
        state(&[("XDG_STATE_HOME", "/x"), ("STATE_DIRECTORY", "/var/lib/sluice:/b")]),
        "/var/lib/sluice"
    );
    assert_eq!(state(&[("XDG_STATE_HOME", "/x"), ("SLUICE_STATE", "/mine")]), "/mine");
    let homeless = Settings::load(&Flags::default(), &BTreeMap::<&str, &str>::new());
    assert!(homeless.unwrap_err().to_string().contains("hint: give one with `--state DIR`"));
}

#[test]
fn an_api_others_can_reach_needs_a_token() {
    insta::assert_snapshot!(refusal(&[("api-listen", "0.0.0.0:9280")], &[]), @r"
    `--api-listen` cannot be `0.0.0.0:9280`: others can reach this address, and the API would answer anybody
    hint: give a token with `--api-token-file FILE`, or listen on 127.0.0.1
    ");
    assert!(
        refusal(&[], &[("SLUICE_API_LISTEN", "[::]:9280")])
            .starts_with("`SLUICE_API_LISTEN` cannot be `[::]:9280`")
    );
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "short\n").unwrap();
    let name = file.display().to_string();
    let with = |listen: &str| load(&[("api-listen", listen), ("api-token-file", &name)], &[]);
    assert!(with("0.0.0.0:9280").unwrap_err().to_string().contains("at least 16 printable ASCII characters"));
    std::fs::write(&file, "0123456789abcdef\n").unwrap();
    let settings = with("0.0.0.0:9280").unwrap();
    assert!(!format!("{settings:?}").contains("0123456789abcdef"));
    assert!(load(&[("api-listen", "[::1]:9280")], &[]).is_ok());
    assert_eq!(load(&[("api-listen", "off")], &[]).unwrap().api_listen, None);
}

#[test]
fn refusals_name_what_the_user_wrote() {
    insta::assert_snapshot!(refusal(&[], &[("SLUICE_CONCURRENT", "many")]), @"`SLUICE_CONCURRENT` cannot be `many`: it is a whole number from 1 to 10000");
    insta::assert_snapshot!(refusal(&[("keep-jobs", "1h")], &[]), @"`--keep-jobs` cannot be `1h`: it must be at least 72h: forges redeliver for three days");
    insta::assert_snapshot!(refusal(&[("public-url", "ftp://x")], &[]), @"`--public-url` cannot be `ftp://x`: it is an address that begins with `http://` or `https://`");
    insta::assert_snapshot!(refusal(&[("log-level", "loud")], &[]), @"`--log-level` cannot be `loud`: it is trace, debug, info, warn, error, or a filter such as `info,sluice::queue=debug`");
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sluice.toml");
    std::fs::write(&file, "concurent = 3\n").unwrap();
    let path = file.display().to_string();
    let unknown = refusal(&[], &[("SLUICE_CONFIG", &path)]);
    assert!(
        unknown.starts_with("`concurent` in `") && unknown.contains("is not a setting\nhint: "),
        "{unknown}"
    );
    std::fs::write(&file, "concurrent = 0\n").unwrap();
    assert!(
        refusal(&[], &[("SLUICE_CONFIG", &path)])
            .starts_with(&format!("`concurrent` in `{path}` cannot be `0`"))
    );
}

#[test]
fn proxies_are_networks_and_sha1_can_be_switched_off() {
    let settings = load(&[("trusted-proxies", "10.0.0.0/8, ::1"), ("accept-sha1", "false")], &[]).unwrap();
    assert_eq!(settings.trusted_proxies.len(), 2);
    assert!(settings.trusted_proxies[0].contains("10.1.2.3".parse().unwrap()));
    assert!(!settings.accept_sha1);
    let settings = load(&[], &[]).unwrap();
    assert!(settings.trusted_proxies.is_empty() && settings.accept_sha1);
    insta::assert_snapshot!(refusal(&[("trusted-proxies", "10.0.0.0/33")], &[]), @r"
    `--trusted-proxies` cannot be `10.0.0.0/33`: `10.0.0.0/33` is no network
    hint: write an address, or an address and a prefix length, for example `10.0.0.0/8`
    ");
}

#[test]
fn a_client_reads_the_same_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("sluice.toml");
    std::fs::write(&file, "state = \"/srv/sluice\"\nconcurrent = 3\nnamespace = \"apps\"\n").unwrap();
    let path = file.display().to_string();
    let environment: BTreeMap<&str, &str> = [("SLUICE_CONFIG", path.as_str())].into();
    let client = ClientSettings::load(&ClientFlags::default(), &environment).unwrap();
    assert_eq!(client.socket(), Path::new("/srv/sluice/api.sock"));
    assert_eq!(client.namespace.as_deref(), Some("apps"));
    assert!(client.server.is_none());
}

#[test]
fn every_row_has_a_name_of_its_own_and_the_page_lists_them_all() {
    let names: std::collections::BTreeSet<_> = table::TABLE.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), table::TABLE.len());
    let page = include_str!("../../docs/reference/settings.md");
    assert_eq!(page, reference(), "run `sluice reference settings > docs/reference/settings.md`");
}
