//! Facts about the cluster as a point records them.

use std::collections::BTreeMap;

use holdfast_cluster::Facts;
use holdfast_model::point::{ClusterFacts, Exclusion, NodeFacts, StorageClassFacts};

/// The facts in the point's words, with the images that ran.
pub(super) fn of_cluster(name: &str, facts: &Facts, images: BTreeMap<String, String>) -> ClusterFacts {
    ClusterFacts {
        name: name.to_owned(),
        uid: facts.uid.clone(),
        version: facts.version.git_version.clone(),
        api_versions: facts.api_versions.clone(),
        nodes: facts.nodes.iter().map(node).collect(),
        storage_classes: facts.storage_classes.iter().map(storage_class).collect(),
        images,
    }
}

/// What could not be found out. No object is missing for it, so it does not make a point Partial.
pub(super) fn unknown(facts: &Facts) -> Vec<Exclusion> {
    let all = facts.unknown.iter();
    all.map(|fact| Exclusion {
        subject: format!("fact about the cluster: {}", fact.what),
        reason: fact.reason.clone(),
    })
    .collect()
}

fn node(node: &holdfast_cluster::Node) -> NodeFacts {
    NodeFacts {
        name: node.name.clone(),
        architecture: node.architecture.clone(),
        kubelet: node.kubelet.clone(),
        allocatable: node.allocatable.clone(),
    }
}

fn storage_class(class: &holdfast_cluster::StorageClass) -> StorageClassFacts {
    StorageClassFacts {
        name: class.name.clone(),
        provisioner: class.provisioner.clone(),
        default: class.default,
    }
}
