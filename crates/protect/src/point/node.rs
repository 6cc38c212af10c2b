//! Files and directories of a point as nodes of trees.

use holdfast_vault::{BlobId, Mode, Node, NodeKind};
use jiff::Timestamp;

/// Node of a file in a point. Only its owner may read it once it is restored by stock restic: it
/// may hold a Secret.
pub(crate) fn file_node(name: &str, mtime: Timestamp, size: u64, content: Vec<BlobId>) -> Node {
    let mut node = Node::new(name, NodeKind::File);
    node.mode = Mode::from_unix(0o100_600);
    (node.mtime, node.atime, node.ctime) = (mtime, mtime, mtime);
    node.size = size;
    node.links = 1;
    node.content = Some(content);
    node
}

/// Node of a directory in a point. Its time is fixed, so that what is unchanged is found again.
pub(crate) fn directory_node(name: &str, subtree: BlobId) -> Node {
    let mut node = Node::new(name, NodeKind::Dir);
    node.mode = Mode::from_unix(0o040_700);
    node.links = 1;
    node.subtree = Some(subtree);
    node
}
