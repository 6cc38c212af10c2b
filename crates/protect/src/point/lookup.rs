//! Finding objects of a point by name, whichever way its directories are split.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_model::object::CLUSTER_SCOPE;
use holdfast_model::{ObjectRef, ResourceType};
use holdfast_vault::{Node, NodeKind, Tree};

use super::entry::ObjectEntry;
use super::name::{Begin, begin_of, file_name, hashed_part};
use super::open::OpenPoint;
use crate::error::Result;

impl OpenPoint {
    /// The object of this type, namespace and name.
    ///
    /// # Errors
    /// [`Error::Vault`](crate::Error::Vault)
    pub async fn object(&self, object: &ObjectRef) -> Result<Option<ObjectEntry>> {
        let path = object.directory();
        let directory = self.reader.lookup(&self.summary.root, path.join("/")).await?;
        let Some(directory) = self.entries(directory.as_ref()).await? else { return Ok(None) };
        self.find_in(&path, &directory, &object.name).await
    }

    /// The namespaces in which the point holds objects of this type, `None` standing for cluster scope.
    ///
    /// # Errors
    /// [`Error::Vault`](crate::Error::Vault)
    pub async fn namespaces(&self, of: &ResourceType) -> Result<Vec<Option<String>>> {
        let object = ObjectRef { resource: of.clone(), namespace: None, name: String::new() };
        let [resources, group, version, plural, _] = object.directory();
        let path = [resources, group, version, plural].join("/");
        let directory = self.reader.lookup(&self.summary.root, path).await?;
        let Some(directory) = self.entries(directory.as_ref()).await? else { return Ok(Vec::new()) };
        let names = directory.nodes.iter().map(|node| node.display_name().into_owned());
        Ok(names.map(|name| (name != CLUSTER_SCOPE).then_some(name)).collect())
    }

    /// The namespaces in which the point holds objects of any type.
    ///
    /// # Errors
    /// [`Error::Vault`](crate::Error::Vault)
    pub async fn all_namespaces(&self) -> Result<BTreeSet<String>> {
        let mut all = BTreeSet::new();
        for kind in self.point.kinds.iter().filter(|kind| kind.resource.namespaced) {
            all.extend(self.namespaces(&kind.resource).await?.into_iter().flatten());
        }
        Ok(all)
    }

    /// The object of this name in a directory of objects that lies at `path`.
    async fn find_in(&self, path: &[String], directory: &Tree, name: &str) -> Result<Option<ObjectEntry>> {
        let file = file_name(name);
        if let Some(node) = directory.get(file.as_bytes()) {
            return Ok(ObjectEntry::of_node(&self.point, path, node).ok());
        }
        for part in candidates(directory, name) {
            let Some(entries) = self.entries(Some(part)).await? else { continue };
            if let Some(node) = entries.get(file.as_bytes()) {
                let path = [path, &[part.display_name().into_owned()]].concat();
                return Ok(ObjectEntry::of_node(&self.point, &path, node).ok());
            }
        }
        Ok(None)
    }

    /// What is in a directory; `None` if the node is none.
    async fn entries(&self, node: Option<&Node>) -> Result<Option<Arc<Tree>>> {
        let directory = node.filter(|node| node.kind == NodeKind::Dir);
        match directory.and_then(|node| node.subtree) {
            Some(tree) => Ok(Some(self.reader.tree(&tree).await?)),
            None => Ok(None),
        }
    }
}

/// The parts of a directory that an object of this name may be in: of those whose first object is
/// known the last one that does not begin after it, and all others.
fn candidates<'t>(directory: &'t Tree, name: &str) -> Vec<&'t Node> {
    let mut nearest: Option<(String, &Node)> = None;
    let mut found: Vec<&Node> = directory.get(hashed_part(name).as_bytes()).into_iter().collect();
    for node in &directory.nodes {
        match begin_of(&node.display_name()) {
            Some(Begin::At(first))
                if first <= name && nearest.as_ref().is_none_or(|(known, _)| known.as_str() < first) =>
            {
                nearest = Some((first.to_owned(), node));
            }
            Some(Begin::Unknown) => found.push(node),
            _ => {}
        }
    }
    found.extend(nearest.map(|(_, node)| node));
    found
}

#[cfg(test)]
mod tests {
    use holdfast_vault::BlobId;

    use super::super::name::part_name;
    use super::super::node::directory_node;
    use super::*;

    fn directory(parts: &[String]) -> Tree {
        let node = |name: &String| directory_node(name, BlobId::of(name.as_bytes()));
        let mut nodes: Vec<Node> = parts.iter().map(node).collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Tree { nodes }
    }

    fn looked_at(directory: &Tree, name: &str) -> Vec<String> {
        candidates(directory, name).into_iter().map(|node| node.display_name().into_owned()).collect()
    }

    #[test]
    fn one_part_is_looked_at_where_names_tell() {
        let parts = directory(&["", "b", "d-1", "d"].map(|first| format!("@{first}")));
        for (name, part) in [("a", "@"), ("b", "@b"), ("c", "@b"), ("d", "@d"), ("d-0", "@d"), ("z", "@d-1")]
        {
            assert_eq!(looked_at(&parts, name), [part], "{name}");
        }
        let hashed = directory(&["00", "fc", "ff"].map(str::to_owned));
        assert_eq!(looked_at(&hashed, "c-17"), ["fc"]);
        assert!(looked_at(&directory(&["@m".to_owned()]), "a").is_empty());
    }

    #[test]
    fn a_part_that_does_not_tell_where_it_begins_is_looked_at_too() {
        let long = part_name(&"m".repeat(240));
        let parts = directory(&["@a".to_owned(), long.clone(), "@t".to_owned()]);
        assert_eq!(looked_at(&parts, "s"), [long.clone(), "@a".to_owned()]);
        assert_eq!(looked_at(&parts, "u"), [long, "@t".to_owned()]);
    }
}
