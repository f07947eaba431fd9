//! Providers and Alerts: nothing reconciles them, so nothing would say that they can do nothing. This does, whenever
//! somebody looks. Writes no status.

use flux_api::{Alert, FluxObject, Provider};
use regex::Regex;

use super::context::Reconciler;
use super::outbox::{self, NotSendable};
use crate::objects::Objects;

impl Reconciler {
    /// Why nothing can come of a Provider or an Alert, if so. Other objects have a status that says it.
    pub fn passive_problem(&self, object: &FluxObject) -> Option<String> {
        passive_problem(&self.inner.objects, object)
    }
}

/// See [`Reconciler::passive_problem`].
pub fn passive_problem(objects: &Objects, object: &FluxObject) -> Option<String> {
    match object {
        FluxObject::Provider(provider) if !provider.spec.suspend => {
            outbox::target(objects, provider).err().map(NotSendable::into_message)
        }
        FluxObject::Alert(alert) if !alert.spec.suspend => alert_problem(objects, alert),
        _ => None,
    }
}

fn alert_problem(objects: &Objects, alert: &Alert) -> Option<String> {
    let lists =
        [("inclusionList", &alert.spec.inclusion_list), ("exclusionList", &alert.spec.exclusion_list)];
    for (list, patterns) in lists {
        for (at, pattern) in patterns.iter().enumerate() {
            if let Err(error) = Regex::new(pattern) {
                let why = error.to_string();
                // The last line says what is wrong; those before it draw an arrow.
                let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
                return Some(format!("`spec.{list}[{at}]` is not a regular expression: {why}"));
            }
        }
    }
    let (namespace, name) = (&alert.metadata.namespace, &alert.spec.provider_ref.name);
    let found = objects.get_as::<Provider>(namespace, name).is_some();
    (!found).then(|| format!("its provider `Provider/{namespace}/{name}` does not exist"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Clock, Kind, ObjectKey};

    async fn problem(manifest: &str, kind: Kind) -> Option<String> {
        let objects = Objects::memory(Clock::manual("2026-11-24T10:00:00Z".parse().unwrap()));
        assert_eq!(objects.put_manifests("all.yaml", manifest).await, []);
        let object = objects.get(&ObjectKey::new(kind, "apps", "it")).unwrap();
        passive_problem(&objects, &object)
    }

    fn provider(spec: &str) -> String {
        format!(
            "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Provider\nmetadata: {{name: it, namespace: apps}}\nspec: {{{spec}}}\n"
        )
    }

    fn alert(spec: &str, provider: &str) -> String {
        format!(
            "apiVersion: notification.toolkit.fluxcd.io/v1beta3\nkind: Alert\nmetadata: {{name: it, namespace: apps}}\nspec:\n  providerRef: {{name: {provider}}}\n  eventSources: [{{kind: HelmRelease, name: '*'}}]\n  {spec}\n"
        )
    }

    #[tokio::test]
    async fn a_provider_of_a_type_that_is_not_built_says_so() {
        let github = provider("type: github, address: https://github.com/a/b");
        assert_eq!(
            problem(&github, Kind::Provider).await.unwrap(),
            "providers of type `github` are not supported by this version"
        );
        let chat = "type: slack, address: https://hooks.slack.com/services/x";
        assert_eq!(problem(&provider(chat), Kind::Provider).await, None);
        let locked = format!("{chat}, secretRef: {{name: gone}}");
        assert_eq!(
            problem(&provider(&locked), Kind::Provider).await.unwrap(),
            "failed to get secret 'apps/gone': secrets \"gone\" not found"
        );
        let asleep = provider("type: github, address: https://github.com/a/b, suspend: true");
        assert_eq!(problem(&asleep, Kind::Provider).await, None);
    }

    #[tokio::test]
    async fn an_alert_that_can_match_nothing_or_tell_nobody_says_so() {
        let chat = provider("type: slack, address: https://hooks.slack.com/services/x");
        let both = |spec: &str| format!("{chat}---\n{}", alert(spec, "it"));
        assert_eq!(problem(&both("inclusionList: [ok]"), Kind::Alert).await, None);
        assert_eq!(
            problem(&both("inclusionList: [ok, '(']"), Kind::Alert).await.unwrap(),
            "`spec.inclusionList[1]` is not a regular expression: unclosed group"
        );
        assert_eq!(
            problem(&alert("", "nobody"), Kind::Alert).await.unwrap(),
            "its provider `Provider/apps/nobody` does not exist"
        );
    }
}
