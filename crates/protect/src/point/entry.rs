//! One object of a point: where it lies, not what it holds.

use holdfast_model::object::{CLUSTER_SCOPE, CORE_GROUP};
use holdfast_model::point::Point;
use holdfast_model::{ObjectRef, Problem, ResourceType};
use holdfast_vault::{BlobId, Node, NodeKind};

use super::name::object_name;

/// One object of a point: where it lies, not what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Its type.
    pub resource: ResourceType,
    /// Its namespace, unless it is cluster-scoped.
    pub namespace: Option<String>,
    /// Its name; `None` if the file's name is a shortened one, then only the object knows it.
    pub name: Option<String>,
    /// Path of its file below the root of the point.
    pub path: String,
    /// The blobs of its JSON, in order.
    pub content: Vec<BlobId>,
    /// Length of its JSON in bytes, as the directory says.
    pub size: u64,
}

impl ObjectEntry {
    /// The object whose file lies at `path`, which ends in `<name>.json`.
    pub(crate) fn at(
        path: String,
        resource: ResourceType,
        namespace: Option<String>,
        content: Vec<BlobId>,
        size: u64,
    ) -> Self {
        let file = path.rsplit('/').next().unwrap_or_default();
        let name = object_name(file).map(str::to_owned);
        Self { resource, namespace, name, path, content, size }
    }

    /// The object that a node in this directory of a point stands for, or why it stands for none.
    pub(super) fn of_node(point: &Point, directory: &[String], node: &Node) -> Result<Self, Problem> {
        let file = node.display_name().into_owned();
        let path = directory.iter().chain([&file]).map(String::as_str).collect::<Vec<_>>().join("/");
        let problem = |message: &str| {
            Problem::new("point.foreign_file", format!("point {}, /{path}", point.id), message)
        };
        let ([_, group, version, plural, namespace] | [_, group, version, plural, namespace, _]) = directory
        else {
            return Err(problem("no object of a point lies here"));
        };
        if !file.ends_with(".json") || node.kind != NodeKind::File {
            return Err(problem("this is not the file of an object"));
        }
        let Some(resource) = type_of(point, group, version, plural) else {
            return Err(problem("point.json does not know this type of object"));
        };
        let namespace = (namespace != CLUSTER_SCOPE).then(|| namespace.clone());
        if resource.namespaced != namespace.is_some() {
            return Err(problem("the type of object and the directory disagree about a namespace"));
        }
        Ok(Self::at(path, resource.clone(), namespace, node.blobs().to_vec(), node.size))
    }

    /// Name of its file.
    pub fn file(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The object by name, if its file tells the name.
    pub fn object_ref(&self) -> Option<ObjectRef> {
        let name = self.name.clone()?;
        Some(ObjectRef { resource: self.resource.clone(), namespace: self.namespace.clone(), name })
    }
}

/// The type whose objects lie below `resources/<group>/<version>/<plural>`.
pub(super) fn type_of<'a>(
    point: &'a Point,
    group: &str,
    version: &str,
    plural: &str,
) -> Option<&'a ResourceType> {
    let group = if group == CORE_GROUP { "" } else { group };
    let mut types = point.kinds.iter().map(|kind| &kind.resource);
    types.find(|of| of.group == group && of.version == version && of.plural == plural)
}
