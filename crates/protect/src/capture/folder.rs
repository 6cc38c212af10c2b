//! The directories between `resources` and the objects.

use std::collections::BTreeMap;

use holdfast_model::ResourceType;
use holdfast_model::object::CORE_GROUP;
use holdfast_vault::{BlobId, Tree, Writer};

use crate::error::Result;
use crate::point::directory_node;

/// A directory of directories, or at the bottom one of objects, which is stored.
#[derive(Debug, Default)]
pub(super) struct Folder {
    folders: BTreeMap<String, Folder>,
    objects: Option<BlobId>,
}

impl Folder {
    /// Puts the tree of the objects of one type and namespace where `ObjectRef::directory` says,
    /// this folder being `resources`.
    pub(super) fn place(&mut self, of: &ResourceType, namespace: String, objects: BlobId) {
        let group = if of.group.is_empty() { CORE_GROUP } else { &of.group };
        let path = [group.to_owned(), of.version.clone(), of.plural.clone(), namespace];
        let bottom = path.into_iter().fold(self, |folder, name| folder.folders.entry(name).or_default());
        bottom.objects = Some(objects);
    }

    /// Stores everything and gives the tree of `resources`. Blocks.
    pub(super) fn write(self, writer: &Writer) -> Result<BlobId> {
        if let Some(objects) = self.objects {
            return Ok(objects);
        }
        let mut tree = Tree::default();
        for (name, folder) in self.folders {
            tree.nodes.push(directory_node(&name, folder.write(writer)?));
        }
        Ok(writer.tree(&tree)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::kinds;
    use holdfast_model::ObjectRef;

    #[test]
    fn objects_lie_where_the_model_says() {
        for (of, namespace) in
            [(kinds::deployments(), Some("shop")), (kinds::secrets(), Some("a")), (kinds::nodes(), None)]
        {
            let namespace = namespace.map(str::to_owned);
            let object = ObjectRef { resource: of.clone(), namespace: namespace.clone(), name: "x".into() };
            let [_, path @ ..] = object.directory();
            let mut root = Folder::default();
            root.place(&of, path[3].clone(), BlobId::of(b"x"));
            let bottom = path.iter().try_fold(&root, |folder, name| folder.folders.get(name));
            assert!(bottom.is_some_and(|bottom| bottom.objects.is_some()), "{path:?}");
        }
    }
}
