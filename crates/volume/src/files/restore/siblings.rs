//! Names of an inode that a walk by difference does not come by.
//!
//! Such a walk passes over what two snapshots have alike, and with it over names to which a new name
//! may have to be linked: when a directory is renamed, its files have new names, and their other names
//! are where they were. They are looked for in the trees alone, once, when the first file with several
//! names is met that differs.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_vault::{BlobId, Node, NodeKind, Reader, Tree};
use tokio::runtime::Handle;

use super::ground::is_same;
use super::inode::Inode;
use super::names::{LOOKAHEAD, Names};
use crate::files::MAX_DEPTH;

/// A name that the target has already and keeps.
pub(super) struct Sibling {
    /// Its path below the root of the tree.
    pub(super) path: Vec<u8>,
    pub(super) node: Node,
    /// Names of its inode that differ, so that the walk comes by them.
    pub(super) differing: u64,
}

/// What was looked for.
#[derive(Default)]
pub(super) struct Found {
    /// For every inode of which some names differ between the trees and some do not, one that does not.
    pub(super) siblings: Vec<Sibling>,
    /// A directory in which there may be more, had it been readable.
    pub(super) unread: Option<Vec<u8>>,
}

/// Two trees that are walked side by side.
pub(super) struct Siblings<'r> {
    pub(super) reader: &'r Reader,
    pub(super) runtime: &'r Handle,
    pub(super) stopped: &'r dyn Fn() -> bool,
}

/// A directory of the new tree, and what is at its place in the old one.
struct Pair {
    path: Vec<u8>,
    tree: BlobId,
    base: Option<BlobId>,
    depth: usize,
}

/// An entry of the new tree that is not a directory.
struct Entry<'a> {
    path: &'a [u8],
    node: &'a Node,
    is_same: bool,
}

impl Siblings<'_> {
    /// Looks for the names that stay. What cannot be read where the trees differ is told by whoever
    /// restores it.
    pub(super) fn find(&self, tree: BlobId, base: BlobId) -> Found {
        let root = || Pair { path: Vec::new(), tree, base: Some(base), depth: 0 };
        let mut differing: HashMap<Inode, (u64, u64)> = HashMap::new();
        self.walk(root(), Reach::Differing, |entry| {
            if let (false, Some(inode)) = (entry.is_same, Inode::shared(entry.node)) {
                let (met, of) = differing.entry(inode).or_default();
                (*met, *of) = (*met + 1, entry.node.links);
            }
            true
        });
        // Where the walk comes by all of them it needs no help.
        differing.retain(|_, (met, of)| met < of);
        let mut found = Found::default();
        if differing.is_empty() {
            return found;
        }
        let unread = self.walk(root(), Reach::Everything, |entry| {
            let inode = Inode::shared(entry.node).filter(|_| entry.is_same);
            if let Some((met, _)) = inode.and_then(|inode| differing.remove(&inode)) {
                let (path, node) = (entry.path.to_vec(), entry.node.clone());
                found.siblings.push(Sibling { path, node, differing: met });
            }
            !differing.is_empty()
        });
        found.unread = unread.filter(|_| !differing.is_empty());
        found
    }

    /// Shows every entry within reach, for as long as `seen` wants more, and gives the first directory
    /// that could not be read.
    fn walk(&self, root: Pair, reach: Reach, mut seen: impl FnMut(&Entry<'_>) -> bool) -> Option<Vec<u8>> {
        let mut unread = None;
        let mut open = vec![root];
        while !open.is_empty() && !(self.stopped)() {
            let group = open.split_off(open.len().saturating_sub(LOOKAHEAD));
            let trees = self.trees(group.iter().map(|pair| Some(pair.tree)));
            let bases = self.trees(group.iter().map(|pair| pair.base));
            for ((pair, tree), base) in group.iter().zip(trees).zip(bases) {
                let Some(tree) = tree else {
                    unread.get_or_insert_with(|| pair.path.clone());
                    continue;
                };
                let base = base.map(|base| Names::new(&base));
                for node in &tree.nodes {
                    let held = base.as_ref().and_then(|base| base.get(&node.name));
                    let is_same = held.is_some_and(|held| is_same(held, node));
                    let path = pair.path_of(node);
                    if node.kind != NodeKind::Dir {
                        if !seen(&Entry { path: &path, node, is_same }) {
                            return unread;
                        }
                        continue;
                    }
                    let base = held.filter(|held| held.kind == NodeKind::Dir).and_then(|held| held.subtree);
                    let depth = pair.depth + 1;
                    let enters = depth <= MAX_DEPTH && (reach == Reach::Everything || base != node.subtree);
                    if let Some(tree) = node.subtree.filter(|_| enters) {
                        open.push(Pair { path, tree, base, depth });
                    }
                }
            }
        }
        unread
    }

    /// The trees at the same places; `None` where there is none to be had.
    fn trees(&self, ids: impl Iterator<Item = Option<BlobId>> + Clone) -> Vec<Option<Arc<Tree>>> {
        let wanted: Vec<BlobId> = ids.clone().flatten().collect();
        let mut trees = self.runtime.block_on(self.reader.trees(&wanted)).into_iter();
        ids.map(|id| id.and_then(|_| trees.next()?.ok())).collect()
    }
}

/// How far two trees are walked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// Past what they have alike.
    Differing,
    Everything,
}

impl Pair {
    fn path_of(&self, node: &Node) -> Vec<u8> {
        match self.path.is_empty() {
            true => node.name.clone(),
            false => [&self.path, b"/".as_slice(), &node.name].concat(),
        }
    }
}
