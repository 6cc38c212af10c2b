//! The few fields of objects that are read while they pass, and what they mean.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_cluster::Metadata;
use serde::Deserialize;
use serde_json::Value;

use super::peeked::{Need, Peeked, PodVolume, workload};

/// The fields that are of interest in any of the kinds looked into.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Peek {
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
    pub(super) fn needs(&self, peeked: &mut Peeked) {
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
    pub(super) fn images(&self, images: &mut BTreeMap<String, String>) {
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

    pub(super) fn volumes(&self, pod: &Metadata, volumes: &mut BTreeSet<PodVolume>) {
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
