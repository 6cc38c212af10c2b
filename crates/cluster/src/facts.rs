//! What a cluster is: identity, version, APIs, nodes and classes.

use std::collections::BTreeMap;

use holdfast_model::ResourceType;
use holdfast_model::label::KUBELET_ROOT;
use holdfast_model::point::{ClusterFacts, NodeFacts, StorageClassFacts};
use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::discovery::Discovery;
use crate::error::{Error, Result};
use crate::kinds;
use crate::list::ListOptions;

/// Facts about a cluster. What the credential may not see is named in `unknown`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    /// The uid of namespace `kube-system`, which stands for the cluster; empty if unknown.
    pub uid: String,
    /// Version of the API server.
    pub version: Version,
    /// All `group/version` pairs served.
    pub api_versions: Vec<String>,
    /// API group versions that did not answer, as `group/version`.
    pub stale_groups: Vec<String>,
    /// Nodes.
    pub nodes: Vec<Node>,
    /// Storage classes.
    pub storage_classes: Vec<StorageClass>,
    /// Names of the ingress classes.
    pub ingress_classes: Vec<String>,
    /// Names of the priority classes.
    pub priority_classes: Vec<String>,
    /// Names of the runtime classes.
    pub runtime_classes: Vec<String>,
    /// What could not be found out, and why.
    pub unknown: Vec<Unknown>,
}

/// Version of an API server, as `/version` tells it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Version {
    /// Major number.
    pub major: String,
    /// Minor number; some distributions add a `+`.
    pub minor: String,
    /// The full version, e.g. `v1.36.3`.
    pub git_version: String,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// Processor architecture, as in images: `amd64`, `arm64`.
    pub architecture: String,
    /// `linux` or `windows`.
    pub operating_system: String,
    /// Version of its kubelet.
    pub kubelet: String,
    /// Container runtime and its version.
    pub runtime: String,
    /// Root directory of its kubelet, if an annotation says that it is not the usual one.
    pub kubelet_root: Option<String>,
    /// What pods can be given: quantities by resource name, GPUs among them.
    pub allocatable: BTreeMap<String, String>,
    /// Whether it takes new pods: Ready and not cordoned.
    pub schedulable: bool,
}

/// A storage class.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StorageClass {
    /// Its name.
    pub name: String,
    /// The driver or provisioner behind it.
    pub provisioner: String,
    /// Whether claims that name no class get this one.
    pub default: bool,
    /// `Delete` or `Retain`.
    pub reclaim_policy: String,
    /// `Immediate` or `WaitForFirstConsumer`.
    pub binding_mode: String,
    /// Whether its volumes can grow.
    pub expandable: bool,
}

/// A fact that could not be found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Which.
    pub what: String,
    /// Stable code of the error.
    pub code: String,
    /// The error.
    pub reason: String,
}

impl Cluster {
    /// The uid of namespace `kube-system`: the identity of the cluster.
    pub async fn uid(&self) -> Result<String> {
        let namespace = self.get_raw(&kinds::namespaces(), None, "kube-system").await?;
        Ok(namespace.map(|namespace| namespace.metadata.uid).unwrap_or_default())
    }

    /// Everything about the cluster, including what it serves.
    pub async fn facts(&self) -> Result<Facts> {
        let discovery = self.discover().await?;
        self.facts_with(&discovery).await
    }

    /// The same for a caller who has discovered already. Only an unreachable server is an error.
    pub async fn facts_with(&self, discovery: &Discovery) -> Result<Facts> {
        let kinds = [
            kinds::nodes(),
            kinds::storage_classes(),
            kinds::ingress_classes(),
            kinds::priority_classes(),
            kinds::runtime_classes(),
        ];
        let lists = futures::future::join_all(kinds.iter().map(|kind| self.values(kind)));
        let (version, uid, lists) = futures::join!(self.version(), self.uid(), lists);
        let mut facts = Facts {
            api_versions: discovery.api_versions(),
            stale_groups: discovery
                .stale
                .iter()
                .map(|stale| format!("{}/{}", stale.group, stale.version))
                .collect(),
            ..Facts::default()
        };
        facts.version = facts.or_unknown("version", version)?;
        facts.uid = facts.or_unknown("cluster uid (namespace kube-system)", uid)?;
        let mut found = Vec::with_capacity(kinds.len());
        for (kind, list) in kinds.iter().zip(lists) {
            found.push(facts.or_unknown(&kind.plural, list)?);
        }
        if let [nodes, storage, ingress, priority, runtime] = found.as_slice() {
            facts.nodes = nodes.iter().map(Node::of).collect();
            facts.storage_classes = storage.iter().map(StorageClass::of).collect();
            facts.ingress_classes = names(ingress);
            facts.priority_classes = names(priority);
            facts.runtime_classes = names(runtime);
        }
        Ok(facts)
    }

    async fn values(&self, of: &ResourceType) -> Result<Vec<Value>> {
        let objects = self.list_all(of, ListOptions::default()).await?;
        // What the list was cut from was valid JSON; an object that is not cannot occur.
        Ok(objects.iter().filter_map(|object| object.parse().ok()).collect())
    }
}

impl Facts {
    /// The part that a recovery point records; `name` is what the cluster was reached by. Images
    /// are known only to who captures pods.
    pub fn record(&self, name: &str) -> ClusterFacts {
        let node = |node: &Node| NodeFacts {
            name: node.name.clone(),
            architecture: node.architecture.clone(),
            kubelet: node.kubelet.clone(),
            allocatable: node.allocatable.clone(),
        };
        let class = |class: &StorageClass| StorageClassFacts {
            name: class.name.clone(),
            provisioner: class.provisioner.clone(),
            default: class.default,
        };
        ClusterFacts {
            name: name.to_owned(),
            uid: self.uid.clone(),
            version: self.version.git_version.clone(),
            api_versions: self.api_versions.clone(),
            nodes: self.nodes.iter().map(node).collect(),
            storage_classes: self.storage_classes.iter().map(class).collect(),
            ..ClusterFacts::default()
        }
    }

    fn or_unknown<T: Default>(&mut self, what: &str, outcome: Result<T>) -> Result<T, Error> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error) if error.reason().is_some() => {
                let (code, reason) = (error.code().to_owned(), error.to_string());
                self.unknown.push(Unknown { what: what.to_owned(), code, reason });
                Ok(T::default())
            }
            Err(error) => Err(error),
        }
    }
}

impl Node {
    fn of(node: &Value) -> Self {
        let info = &node["status"]["nodeInfo"];
        Self {
            name: text(&node["metadata"]["name"]),
            architecture: text(&info["architecture"]),
            operating_system: text(&info["operatingSystem"]),
            kubelet: text(&info["kubeletVersion"]),
            runtime: text(&info["containerRuntimeVersion"]),
            kubelet_root: node["metadata"]["annotations"][KUBELET_ROOT].as_str().map(str::to_owned),
            allocatable: strings(&node["status"]["allocatable"]),
            schedulable: node["spec"]["unschedulable"] != true && is_ready(node),
        }
    }
}

impl StorageClass {
    fn of(class: &Value) -> Self {
        const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
        Self {
            name: text(&class["metadata"]["name"]),
            provisioner: text(&class["provisioner"]),
            default: class["metadata"]["annotations"][DEFAULT] == "true",
            reclaim_policy: text(&class["reclaimPolicy"]),
            binding_mode: text(&class["volumeBindingMode"]),
            expandable: class["allowVolumeExpansion"] == true,
        }
    }
}

fn is_ready(node: &Value) -> bool {
    let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

fn names(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| text(&object["metadata"]["name"])).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn strings(map: &Value) -> BTreeMap<String, String> {
    map.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}
