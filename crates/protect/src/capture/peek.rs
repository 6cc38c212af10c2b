//! What is read of an object while it passes: what it needs of the cluster, images that run,
//! claims, and volumes that no claim stands for.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_cluster::{Metadata, RawObject};
use holdfast_model::point::Exclusion;
use holdfast_model::{GroupKind, Problem, ResourceType};
use serde::Deserialize;
use serde_json::Value;

use super::findings::Found;

/// A cluster-scoped object that a captured one refers to by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Need {
    pub(super) kind: GroupKind,
    pub(super) name: String,
}

impl Need {
    pub(super) fn new(group: &str, kind: &str, name: impl Into<String>) -> Self {
        Self { kind: GroupKind::new(group, kind), name: name.into() }
    }
}

/// What the objects of a point have told.
#[derive(Debug, Default)]
pub(super) struct Peeked {
    pub(super) needs: BTreeSet<Need>,
    /// Label selectors of ClusterRoles that an aggregated one is made of.
    pub(super) aggregated_roles: BTreeSet<String>,
    pub(super) images: BTreeMap<String, String>,
    pub(super) claims: BTreeSet<(String, String)>,
    pod_volumes: BTreeSet<PodVolume>,
}

/// A volume written into a pod's manifest: its data is not captured, and that is said.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct PodVolume {
    workload: String,
    source: String,
    volume: String,
}

impl Peeked {
    pub(super) fn absorb(&mut self, mut other: Peeked) {
        self.needs.append(&mut other.needs);
        self.aggregated_roles.append(&mut other.aggregated_roles);
        self.images.append(&mut other.images);
        self.claims.append(&mut other.claims);
        self.pod_volumes.append(&mut other.pod_volumes);
    }

    /// The volumes of pods that hold data and stand for themselves, once per workload.
    pub(super) fn pod_volumes(&self) -> Vec<Exclusion> {
        self.pod_volumes.iter().map(PodVolume::exclusion).collect()
    }
}

impl PodVolume {
    fn exclusion(&self) -> Exclusion {
        let reason = match self.source.as_str() {
            "emptyDir" => "it lives and dies with its pod",
            "hostPath" => "a directory of the node, not of the application",
            "csi" => "an inline volume, which lives and dies with its pod",
            _ => "written into the pod's manifest without a claim; the server behind it keeps the data",
        };
        let subject = format!("{} volume {} of {}", self.source, self.volume, self.workload);
        Exclusion { subject, reason: reason.to_owned() }
    }
}

/// Whether objects of a kind are looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peeking {
    /// Not at all: most kinds.
    Nothing,
    /// For what they need.
    Needs,
    /// For claims as well.
    Claim,
    /// For images and volumes as well.
    Pod,
}

impl Peeking {
    pub(super) fn of(resource: &ResourceType) -> Self {
        match (resource.group.as_str(), resource.kind.as_str()) {
            ("", "Pod") => Peeking::Pod,
            ("", "PersistentVolumeClaim") => Peeking::Claim,
            ("", "PersistentVolume" | "ReplicationController" | "PodTemplate")
            | ("apps", "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet")
            | ("batch", "Job" | "CronJob")
            | ("networking.k8s.io", "Ingress")
            | ("gateway.networking.k8s.io", "Gateway")
            | ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding" | "ClusterRole") => {
                Peeking::Needs
            }
            _ => Peeking::Nothing,
        }
    }

    /// Looks into an object that is being captured.
    pub(super) fn look(self, object: &RawObject, found: &mut Found) {
        if self == Peeking::Nothing {
            return;
        }
        let peek: Peek = match serde_json::from_slice(&object.json) {
            Ok(peek) => peek,
            Err(error) => {
                let message = format!("what it needs of the cluster could not be found out: {error}");
                found.problems.push(Problem::new(
                    "object.needs",
                    object.object_ref(&found.of).to_string(),
                    message,
                ));
                return;
            }
        };
        peek.needs(&mut found.peeked);
        let metadata = &object.metadata;
        if let (Peeking::Claim, Some(namespace)) = (self, &metadata.namespace) {
            found.peeked.claims.insert((namespace.clone(), metadata.name.clone()));
        }
        if self == Peeking::Pod {
            peek.images(&mut found.peeked.images);
            peek.volumes(metadata, &mut found.peeked.pod_volumes);
        }
    }
}

/// The fields that are of interest in any of the kinds looked into.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Peek {
    spec: Option<Spec>,
    status: Option<Status>,
    /// Of a PodTemplate.
    template: Option<Template>,
    role_ref: Option<RoleRef>,
    aggregation_rule: Option<AggregationRule>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    volume_name: Option<String>,
    storage_class_name: Option<String>,
    volume_attributes_class_name: Option<String>,
    ingress_class_name: Option<String>,
    gateway_class_name: Option<String>,
    priority_class_name: Option<String>,
    runtime_class_name: Option<String>,
    template: Option<Template>,
    job_template: Option<Box<Template>>,
    volume_claim_templates: Option<Vec<Template>>,
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    volumes: Option<Vec<BTreeMap<String, Value>>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Template {
    spec: Option<Box<Spec>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    image: String,
    #[serde(rename = "imageID")]
    image_id: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    container_statuses: Option<Vec<Container>>,
    init_container_statuses: Option<Vec<Container>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RoleRef {
    kind: String,
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AggregationRule {
    cluster_role_selectors: Option<Vec<LabelSelector>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct LabelSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<Expression>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Expression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl Peek {
    fn needs(&self, peeked: &mut Peeked) {
        if let Some(spec) = &self.spec {
            spec.needs(&mut peeked.needs);
        }
        if let Some(spec) = self.template.as_ref().and_then(|template| template.spec.as_ref()) {
            spec.needs(&mut peeked.needs);
        }
        if let Some(role) = self.role_ref.as_ref().filter(|role| role.kind == "ClusterRole") {
            peeked.needs.insert(Need::new("rbac.authorization.k8s.io", "ClusterRole", &role.name));
        }
        let selectors =
            self.aggregation_rule.as_ref().and_then(|rule| rule.cluster_role_selectors.as_deref());
        peeked.aggregated_roles.extend(selectors.unwrap_or_default().iter().map(LabelSelector::text));
    }

    /// The digests that ran, by the reference that the container is written with.
    fn images(&self, images: &mut BTreeMap<String, String>) {
        let (Some(spec), Some(status)) = (&self.spec, &self.status) else { return };
        let written = [&spec.containers, &spec.init_containers].into_iter().flatten().flatten();
        for container in written {
            let mut ran =
                [&status.container_statuses, &status.init_container_statuses].into_iter().flatten().flatten();
            let digest = ran.find(|ran| ran.name == container.name).map(|ran| &ran.image_id);
            if let Some(digest) = digest.filter(|digest| !digest.is_empty()) {
                images.insert(container.image.clone(), digest.clone());
            }
        }
    }

    fn volumes(&self, pod: &Metadata, volumes: &mut BTreeSet<PodVolume>) {
        /// Sources that hold no data of their own, or whose claim is captured.
        const KNOWN: [&str; 7] = [
            "configMap",
            "secret",
            "downwardAPI",
            "projected",
            "persistentVolumeClaim",
            "ephemeral",
            "image",
        ];
        let all = self.spec.iter().filter_map(|spec| spec.volumes.as_ref()).flatten();
        for volume in all {
            let Some(name) = volume.get("name").and_then(Value::as_str) else { continue };
            for source in volume.keys().filter(|key| *key != "name" && !KNOWN.contains(&key.as_str())) {
                let (source, volume) = (source.clone(), name.to_owned());
                volumes.insert(PodVolume { workload: workload(pod), source, volume });
            }
        }
    }
}

impl Spec {
    fn needs(&self, needs: &mut BTreeSet<Need>) {
        let named = [
            ("", "PersistentVolume", &self.volume_name),
            ("storage.k8s.io", "StorageClass", &self.storage_class_name),
            ("storage.k8s.io", "VolumeAttributesClass", &self.volume_attributes_class_name),
            ("networking.k8s.io", "IngressClass", &self.ingress_class_name),
            ("gateway.networking.k8s.io", "GatewayClass", &self.gateway_class_name),
            ("scheduling.k8s.io", "PriorityClass", &self.priority_class_name),
            ("node.k8s.io", "RuntimeClass", &self.runtime_class_name),
        ];
        for (group, kind, name) in named {
            if let Some(name) = name.as_deref().filter(|name| !name.is_empty()) {
                needs.insert(Need::new(group, kind, name));
            }
        }
        let claims = self.volume_claim_templates.iter().flatten();
        let inner = self.template.iter().chain(self.job_template.as_deref()).chain(claims);
        inner.filter_map(|template| template.spec.as_ref()).for_each(|spec| spec.needs(needs));
    }
}

impl LabelSelector {
    /// In kubectl's syntax.
    fn text(&self) -> String {
        let labels = self.match_labels.iter().flatten().map(|(key, value)| format!("{key}={value}"));
        let expressions = self.match_expressions.iter().flatten().map(Expression::text);
        labels.chain(expressions).collect::<Vec<_>>().join(",")
    }
}

impl Expression {
    fn text(&self) -> String {
        let values = || self.values.as_deref().unwrap_or_default().join(",");
        match self.operator.as_str() {
            "In" => format!("{} in ({})", self.key, values()),
            "NotIn" => format!("{} notin ({})", self.key, values()),
            "DoesNotExist" => format!("!{}", self.key),
            _ => self.key.clone(),
        }
    }
}

/// What a pod belongs to, as people call it: `Deployment shop/web`.
fn workload(pod: &Metadata) -> String {
    let namespace = pod.namespace.as_deref().unwrap_or_default();
    let Some(owner) = pod.owner_references.iter().find(|owner| owner.controller) else {
        return format!("Pod {namespace}/{}", pod.name);
    };
    let hash = pod.labels.get("pod-template-hash");
    let deployment = hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match (owner.kind.as_str(), deployment) {
        ("ReplicaSet", Some(deployment)) => format!("Deployment {namespace}/{deployment}"),
        (kind, _) => format!("{kind} {namespace}/{}", owner.name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::{Owner, kinds};
    use serde_json::json;

    fn look(of: ResourceType, object: Value, metadata: Metadata) -> Found {
        let mut found = Found::new(&of);
        Peeking::of(&of).look(&RawObject { json: object.to_string().into(), metadata }, &mut found);
        found
    }

    fn needs(of: ResourceType, object: Value) -> Vec<String> {
        let found = look(of, object, Metadata::default());
        found.peeked.needs.iter().map(|need| format!("{} {}", need.kind, need.name)).collect()
    }

    #[test]
    fn objects_tell_what_they_need_of_the_cluster() {
        let claim = json!({"spec": {"volumeName": "pv-1", "storageClassName": "fast"}});
        assert_eq!(
            needs(kinds::persistent_volume_claims(), claim.clone()),
            ["PersistentVolume pv-1", "StorageClass.storage.k8s.io fast"]
        );
        let set = json!({"spec": {"template": {"spec": {"priorityClassName": "high"}}, "volumeClaimTemplates": [claim]}});
        assert_eq!(needs(kinds::stateful_sets(), set).len(), 3);
        let cron = json!({"spec": {"jobTemplate": {"spec": {"template": {"spec": {"runtimeClassName": "gvisor"}}}}}});
        assert_eq!(needs(kinds::cron_jobs(), cron), ["RuntimeClass.node.k8s.io gvisor"]);
        let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "view"}, "subjects": null});
        assert_eq!(needs(kinds::role_bindings(), binding), ["ClusterRole.rbac.authorization.k8s.io view"]);
        let local = json!({"roleRef": {"kind": "Role", "name": "view"}});
        assert!(needs(kinds::role_bindings(), local).is_empty());
        assert!(needs(kinds::config_maps(), json!({"spec": {"volumeName": "x"}})).is_empty());
    }

    #[test]
    fn an_aggregated_role_names_those_it_is_made_of() {
        let role = json!({"aggregationRule": {"clusterRoleSelectors": [
            {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "c", "operator": "In", "values": ["d", "e"]}]}]}});
        let found = look(kinds::cluster_roles(), role, Metadata::default());
        assert_eq!(found.peeked.aggregated_roles.first().unwrap(), "a=b,c in (d,e)");
    }

    #[test]
    fn a_pod_tells_its_images_and_the_volumes_without_a_claim() {
        let pod = json!({
            "spec": {
                "containers": [{"name": "web", "image": "shop/web:1"}, {"name": "new", "image": "shop/new:1"}],
                "volumes": [
                    {"name": "cache", "emptyDir": {}}, {"name": "cfg", "configMap": {"name": "x"}},
                    {"name": "data", "persistentVolumeClaim": {"claimName": "d"}}, {"name": "old", "nfs": {}},
                ],
            },
            "status": {"containerStatuses": [{"name": "web", "imageID": "shop/web@sha256:1"}, {"name": "new", "imageID": ""}]},
        });
        let owner =
            Owner { kind: "ReplicaSet".into(), name: "web-5d4".into(), controller: true, ..Owner::default() };
        let metadata = Metadata {
            name: "web-5d4-xyz".into(),
            namespace: Some("shop".into()),
            labels: [("pod-template-hash".to_owned(), "5d4".to_owned())].into(),
            owner_references: vec![owner],
            ..Metadata::default()
        };
        let found = look(kinds::pods(), pod, metadata);
        assert_eq!(found.peeked.images, [("shop/web:1".to_owned(), "shop/web@sha256:1".to_owned())].into());
        let volumes: Vec<String> =
            found.peeked.pod_volumes().into_iter().map(|volume| volume.subject).collect();
        assert_eq!(
            volumes,
            ["emptyDir volume cache of Deployment shop/web", "nfs volume old of Deployment shop/web"]
        );
    }

    #[test]
    fn an_object_that_cannot_be_looked_into_is_a_problem_not_a_crash() {
        let found = look(
            kinds::pods(),
            json!({"spec": {"volumes": 3}}),
            Metadata { name: "x".into(), ..Metadata::default() },
        );
        assert_eq!(found.problems.len(), 1);
    }
}
