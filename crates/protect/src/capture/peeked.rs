//! What the objects of a point have told while they passed: what they need of the cluster, images
//! that run, claims, and volumes that no claim stands for.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_cluster::Metadata;
use holdfast_model::GroupKind;
use holdfast_model::point::Exclusion;

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
    pub(super) pod_volumes: BTreeSet<PodVolume>,
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
