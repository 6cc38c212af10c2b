//! The nodes of a stored directory by their names, whatever order a foreign program left them in.

use std::sync::Arc;

use holdfast_vault::{Node, Tree};

/// Trees are asked for so many at a time.
pub(super) const LOOKAHEAD: usize = 64;

/// A tree whose nodes are found by name without looking at all of them.
pub(super) struct Names {
    tree: Arc<Tree>,
    /// Positions by name and then by position; `None` where the tree itself is in order, as it must be.
    order: Option<Vec<u32>>,
}

impl Names {
    pub(super) fn new(tree: &Arc<Tree>) -> Self {
        let in_order = tree.nodes.is_sorted_by(|a, b| a.name < b.name);
        let order = (!in_order).then(|| {
            let mut order: Vec<u32> = (0..u32::try_from(tree.nodes.len()).unwrap_or(u32::MAX)).collect();
            order.sort_by(|&a, &b| tree.nodes[a as usize].name.cmp(&tree.nodes[b as usize].name));
            order
        });
        Self { tree: Arc::clone(tree), order }
    }

    pub(super) fn tree(&self) -> &Arc<Tree> {
        &self.tree
    }

    pub(super) fn len(&self) -> usize {
        self.tree.nodes.len()
    }

    pub(super) fn node(&self, position: usize) -> &Node {
        &self.tree.nodes[position]
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.tree.nodes
    }

    /// The first node of that name.
    pub(super) fn get(&self, name: &[u8]) -> Option<&Node> {
        self.position(name).map(|position| self.node(position))
    }

    /// Whether no node before this one has the same name.
    pub(super) fn is_first(&self, position: usize) -> bool {
        self.order.is_none() || self.position(&self.node(position).name) == Some(position)
    }

    fn position(&self, name: &[u8]) -> Option<usize> {
        let Some(order) = &self.order else {
            return self.tree.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok();
        };
        let at = order.partition_point(|&at| self.tree.nodes[at as usize].name.as_slice() < name);
        order.get(at).map(|&at| at as usize).filter(|&at| self.node(at).name == name)
    }
}

#[cfg(test)]
mod tests {
    use holdfast_vault::NodeKind;

    use super::*;

    fn names(names: &[&str]) -> Names {
        let nodes = names.iter().map(|name| Node::new(*name, NodeKind::File)).collect();
        Names::new(&Arc::new(Tree { nodes }))
    }

    #[test]
    fn nodes_are_found_in_and_out_of_order_and_doubles_are_known() {
        for order in [&["a", "b", "c"][..], &["c", "a", "b", "a"]] {
            let names = names(order);
            for name in ["a", "b", "c"] {
                assert_eq!(names.get(name.as_bytes()).unwrap().name, name.as_bytes());
            }
            assert!(names.get(b"d").is_none() && names.get(b"").is_none());
        }
        let firsts: Vec<bool> = (0..4).map(|at| names(&["c", "a", "b", "a"]).is_first(at)).collect();
        assert_eq!(firsts, [true, true, true, false]);
    }
}
