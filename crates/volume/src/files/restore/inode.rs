//! What several names of one file have in common in a snapshot.

use holdfast_vault::{Node, NodeKind};

/// An inode of the captured file system that has several names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Inode {
    device: u64,
    number: u64,
}

impl Inode {
    /// The node's, if it has further names.
    pub(super) fn shared(node: &Node) -> Option<Self> {
        let is_shared = node.kind == NodeKind::File && node.links > 1 && node.inode != 0;
        is_shared.then_some(Self { device: node.device_id, number: node.inode })
    }
}
