//! One directory as the repository keeps it: its nodes and their canonical JSON.

mod json;
mod name;
mod node;

pub use node::{ExtendedAttribute, Mode, Node, NodeKind};

use crate::error::{Error, Result};

/// One directory: nodes in ascending order of the bytes of their names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    /// The directory's entries. Writing sorts them and refuses duplicates.
    pub nodes: Vec<Node>,
}

impl Tree {
    /// The canonical JSON of this directory, byte for byte what stock restic writes for the same
    /// nodes, so that both find each other's directories unchanged.
    ///
    /// # Errors
    /// A name that is empty, `.`, `..`, holds `/` or NUL, or occurs twice.
    pub fn to_json(&self) -> Result<Vec<u8>> {
        let mut order: Vec<&Node> = self.nodes.iter().collect();
        if !order.is_sorted_by(|a, b| a.name < b.name) {
            order.sort_by(|a, b| a.name.cmp(&b.name));
        }
        let mut json = Vec::with_capacity(32 + 400 * order.len());
        json.extend_from_slice(b"{\"nodes\":[");
        let mut last: Option<&Node> = None;
        for node in order {
            node.check_name()?;
            if let Some(last) = last {
                if last.name == node.name {
                    let reason = format!("the name `{}` occurs twice", node.display_name());
                    return Err(Error::InvalidTree { reason });
                }
                json.push(b',');
            }
            json::write_node(node, &mut json);
            last = Some(node);
        }
        json.extend_from_slice(b"]}\n");
        Ok(json)
    }

    /// Reads a directory from its JSON; nodes come in the stored order.
    ///
    /// # Errors
    /// Text that is not a directory, or a name that could lead out of it.
    pub fn from_json(json: &[u8]) -> Result<Self> {
        let nodes =
            json::read_tree(json).map_err(|reason| Error::InvalidTree { reason: reason.to_string() })?;
        for node in &nodes {
            node.check_name()?;
        }
        Ok(Self { nodes })
    }

    /// The node of that name.
    pub fn get(&self, name: &[u8]) -> Option<&Node> {
        match self.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)) {
            Ok(at) => Some(&self.nodes[at]),
            // A foreign tree may be out of order; looking at every name costs little beside reading it.
            Err(_) => self.nodes.iter().find(|node| node.name == name),
        }
    }
}
