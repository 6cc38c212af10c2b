//! Names of Kubernetes objects and where they lie in a recovery point.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// API group and kind, without a version: what an object is, whichever version it is served at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct GroupKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind, e.g. `Deployment`.
    pub kind: String,
}

impl GroupKind {
    /// A group and kind from their parts; `group` is empty for the core group.
    pub fn new(group: impl Into<String>, kind: impl Into<String>) -> Self {
        Self { group: group.into(), kind: kind.into() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.group.as_str() {
            "" => f.write_str(&self.kind),
            group => write!(f, "{}.{group}", self.kind),
        }
    }
}

/// One type of resource as a cluster serves it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourceType {
    /// API group; empty for the core group.
    pub group: String,
    /// Version, e.g. `v1`.
    pub version: String,
    /// Kind, e.g. `Deployment`.
    pub kind: String,
    /// Plural name used in paths, e.g. `deployments`.
    pub plural: String,
    /// Whether objects of it live in a namespace.
    pub namespaced: bool,
}

impl ResourceType {
    /// `apiVersion` as written in an object.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Group and kind without the version.
    pub fn group_kind(&self) -> GroupKind {
        GroupKind::new(&self.group, &self.kind)
    }

    /// `plural.group` (`deployments.apps`), or the bare plural in the core group: kubectl's long form.
    pub fn plural_group(&self) -> String {
        match self.group.as_str() {
            "" => self.plural.clone(),
            group => format!("{}.{group}", self.plural),
        }
    }
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.plural_group())
    }
}

/// One object of a cluster, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Its type.
    #[serde(flatten)]
    pub resource: ResourceType,
    /// Its namespace, unless it is cluster-scoped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

impl fmt::Display for ObjectRef {
    /// `deployments.apps shop/web`, or `customresourcedefinitions.apiextensions.k8s.io x` without a namespace.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.resource, self.name),
            None => write!(f, "{} {}", self.resource, self.name),
        }
    }
}

/// Where cluster-scoped objects stand in the place of a namespace; no namespace can have this name.
pub const CLUSTER_SCOPE: &str = "_cluster";
/// Directory of a point's snapshot that holds the objects.
pub const RESOURCES: &str = "resources";
/// The one file of a group that has the empty name.
pub const CORE_GROUP: &str = "core";

impl ObjectRef {
    /// Directory of the object below the root of a point's snapshot, as path components:
    /// `resources/<group>/<version>/<plural>/<namespace or _cluster>`.
    pub fn directory(&self) -> [String; 5] {
        let group = if self.resource.group.is_empty() { CORE_GROUP } else { &self.resource.group };
        [
            RESOURCES.to_owned(),
            group.to_owned(),
            self.resource.version.clone(),
            self.resource.plural.clone(),
            self.namespace.clone().unwrap_or_else(|| CLUSTER_SCOPE.to_owned()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_names_itself_as_kubectl_would() {
        let resource = ResourceType {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            plural: "deployments".into(),
            namespaced: true,
        };
        let object = ObjectRef { resource, namespace: Some("shop".into()), name: "web".into() };
        assert_eq!(object.to_string(), "deployments.apps shop/web");
        assert_eq!(object.directory().join("/"), "resources/apps/v1/deployments/shop");
    }
}
