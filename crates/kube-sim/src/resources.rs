//! The kinds every cluster serves, and those that CustomResourceDefinitions add.

use serde_json::Value;

/// One served resource: what discovery says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) kind: String,
    pub(crate) plural: String,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) namespaced: bool,
    pub(crate) subresources: Vec<String>,
}

impl Resource {
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// How error texts name the resource: `deployments.apps`, `secrets`.
    pub(crate) fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }
}

/// `group version Kind plural short,names scope subresources`, in discovery's order.
const BUILT_IN: &str = "\
- v1 ConfigMap configmaps cm N -
- v1 Endpoints endpoints ep N -
- v1 Event events ev N -
- v1 LimitRange limitranges limits N -
- v1 Namespace namespaces ns C status,finalize
- v1 Node nodes no C status
- v1 PersistentVolumeClaim persistentvolumeclaims pvc N status
- v1 PersistentVolume persistentvolumes pv C status
- v1 Pod pods po N status,log
- v1 PodTemplate podtemplates - N -
- v1 ReplicationController replicationcontrollers rc N status,scale
- v1 ResourceQuota resourcequotas quota N status
- v1 Secret secrets - N -
- v1 ServiceAccount serviceaccounts sa N -
- v1 Service services svc N status
apps v1 ControllerRevision controllerrevisions - N -
apps v1 DaemonSet daemonsets ds N status
apps v1 Deployment deployments deploy N status,scale
apps v1 ReplicaSet replicasets rs N status,scale
apps v1 StatefulSet statefulsets sts N status,scale
autoscaling v2 HorizontalPodAutoscaler horizontalpodautoscalers hpa N status
batch v1 CronJob cronjobs cj N status
batch v1 Job jobs - N status
networking.k8s.io v1 IngressClass ingressclasses - C -
networking.k8s.io v1 Ingress ingresses ing N status
networking.k8s.io v1 NetworkPolicy networkpolicies netpol N -
policy v1 PodDisruptionBudget poddisruptionbudgets pdb N status
rbac.authorization.k8s.io v1 ClusterRoleBinding clusterrolebindings - C -
rbac.authorization.k8s.io v1 ClusterRole clusterroles - C -
rbac.authorization.k8s.io v1 RoleBinding rolebindings - N -
rbac.authorization.k8s.io v1 Role roles - N -
storage.k8s.io v1 StorageClass storageclasses sc C -
scheduling.k8s.io v1 PriorityClass priorityclasses pc C -
coordination.k8s.io v1 Lease leases - N -
discovery.k8s.io v1 EndpointSlice endpointslices - N -
admissionregistration.k8s.io v1 MutatingWebhookConfiguration mutatingwebhookconfigurations - C -
admissionregistration.k8s.io v1 ValidatingWebhookConfiguration validatingwebhookconfigurations - C -
apiextensions.k8s.io v1 CustomResourceDefinition customresourcedefinitions crd,crds C status
apiregistration.k8s.io v1 APIService apiservices - C status
";

pub(crate) fn built_in() -> Vec<Resource> {
    BUILT_IN
        .lines()
        .map(|line| {
            let word: Vec<&str> = line.split(' ').collect();
            let list = |text: &str| -> Vec<String> {
                text.split(',').filter(|item| *item != "-").map(str::to_owned).collect()
            };
            Resource {
                group: if word[0] == "-" { String::new() } else { word[0].to_owned() },
                version: word[1].to_owned(),
                kind: word[2].to_owned(),
                plural: word[3].to_owned(),
                singular: word[2].to_ascii_lowercase(),
                short_names: list(word[4]),
                namespaced: word[5] == "N",
                subresources: list(word[6]),
            }
        })
        .collect()
}

/// The resources a CustomResourceDefinition serves, one per served version.
pub(crate) fn of_definition(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let names = &spec["names"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let versions = spec["versions"].as_array().cloned().unwrap_or_default();
    versions
        .iter()
        .filter(|version| version["served"].as_bool().unwrap_or(false))
        .map(|version| Resource {
            group: text(&spec["group"]),
            version: text(&version["name"]),
            kind: text(&names["kind"]),
            plural: text(&names["plural"]),
            singular: names["singular"]
                .as_str()
                .map(str::to_owned)
                .unwrap_or_else(|| text(&names["kind"]).to_ascii_lowercase()),
            short_names: names["shortNames"]
                .as_array()
                .map(|list| list.iter().map(&text).collect())
                .unwrap_or_default(),
            namespaced: spec["scope"].as_str() == Some("Namespaced"),
            subresources: if version["subresources"]["status"].is_object() {
                vec!["status".to_owned()]
            } else {
                Vec::new()
            },
        })
        .collect()
}
