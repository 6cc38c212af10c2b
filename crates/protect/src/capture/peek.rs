//! What is read of an object while it passes: what it needs of the cluster, images that run,
//! claims, and volumes that no claim stands for.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Peek;
use super::findings::Found;
use holdfast_cluster::{Metadata, RawObject};
use holdfast_model::point::Exclusion;
use holdfast_model::{GroupKind, Problem, ResourceType};

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
pub(super) struct PodVolume {
    pub(super) workload: String,
    pub(super) source: String,
    pub(super) volume: String,
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

/// What a pod belongs to, as people call it: `Deployment shop/web`.
pub(super) fn workload(pod: &Metadata) -> String {
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
    use serde_json::{Value, json};

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
