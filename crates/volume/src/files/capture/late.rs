//! Paths that are captured last, and the directories that stay open for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use holdfast_model::hook::LatePath;
use holdfast_vault::{BlobId, Mode, Node, NodeKind, Tree, Writer};

use crate::error::Result;

/// Names from the root of the volume on.
pub(super) type Names = Vec<Vec<u8>>;

/// What the late paths mean to one directory and those below it.
#[derive(Debug, Default)]
pub(super) struct LatePlan {
    below: BTreeMap<Vec<u8>, LatePlan>,
    /// This entry itself is captured late.
    pub(super) is_late: bool,
    /// A late path is stored somewhere below, so the directory's tree waits for it.
    pub(super) stays_open: bool,
}

impl LatePlan {
    /// The plan of the volume's root; `None` if nothing is late.
    pub(super) fn new(paths: &[LatePath]) -> Option<Self> {
        let mut root = Self::default();
        for path in paths {
            root.reach(&names(&path.path)).is_late = true;
            root.open_above(&destination(path));
        }
        (!paths.is_empty()).then_some(root)
    }

    /// The plan of the entry `name`.
    pub(super) fn entry(&self, name: &[u8]) -> Option<&Self> {
        self.below.get(name)
    }

    fn reach(&mut self, names: &[Vec<u8>]) -> &mut Self {
        names.iter().fold(self, |plan, name| plan.below.entry(name.clone()).or_default())
    }

    fn open_above(&mut self, names: &[Vec<u8>]) {
        for depth in 0..names.len() {
            self.reach(&names[..depth]).stays_open = true;
        }
    }
}

/// Components of a path that the model has checked to be relative and without `..`.
pub(super) fn names(path: &str) -> Names {
    path.split('/').filter(|name| !name.is_empty()).map(|name| name.as_bytes().to_vec()).collect()
}

/// Where a late path is stored.
pub(super) fn destination(path: &LatePath) -> Names {
    names(path.store_as.as_deref().unwrap_or(&path.path))
}

/// Directories whose entries are known but whose trees wait for late paths.
#[derive(Default)]
pub(super) struct OpenDirs(Mutex<BTreeMap<Names, Vec<Node>>>);

impl OpenDirs {
    pub(super) fn keep(&self, at: Names, nodes: Vec<Node>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(at, nodes);
    }

    /// Puts `node` at `at`, in the place of whatever is there. Directories that lead there and do
    /// not exist are made up with the node's own times.
    pub(super) fn graft(&self, at: &Names, mut node: Node) {
        let Some((name, directory)) = at.split_last() else { return };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for depth in 0..directory.len() {
            let child = open.contains_key(&directory[..=depth]);
            if !child {
                open.insert(directory[..=depth].to_vec(), Vec::new());
                let nodes = open.entry(directory[..depth].to_vec()).or_default();
                replace(nodes, made_up(&directory[depth], &node));
            }
        }
        node.name.clone_from(name);
        replace(open.entry(directory.to_vec()).or_default(), node);
    }

    /// Stores all of them, the deepest first, and returns the root's tree.
    pub(super) fn close(self, writer: &Writer) -> Result<Option<BlobId>> {
        let mut open = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut order: Vec<Names> = open.keys().cloned().collect();
        order.sort_by_key(|at| std::cmp::Reverse(at.len()));
        let mut root = None;
        for at in order {
            let nodes = open.remove(&at).unwrap_or_default();
            let id = writer.tree(&Tree { nodes })?;
            match at.split_last() {
                None => root = Some(id),
                Some((name, above)) => {
                    let nodes = open.get_mut(above).into_iter().flatten();
                    nodes.filter(|node| node.name == *name).for_each(|node| node.subtree = Some(id));
                }
            }
        }
        Ok(root)
    }
}

fn replace(nodes: &mut Vec<Node>, node: Node) {
    match nodes.iter_mut().find(|known| known.name == node.name) {
        Some(known) => *known = node,
        None => nodes.push(node),
    }
}

fn made_up(name: &[u8], like: &Node) -> Node {
    let mut dir = Node::new(name, NodeKind::Dir);
    dir.mode = Mode::from_unix(0o040_755);
    (dir.mtime, dir.atime, dir.ctime) = (like.mtime, like.atime, like.ctime);
    (dir.uid, dir.gid) = (like.uid, like.gid);
    dir
}

#[cfg(test)]
mod tests {
    use super::*;

    fn late(path: &str, store_as: Option<&str>) -> LatePath {
        LatePath { claim: "c".into(), path: path.into(), store_as: store_as.map(str::to_owned) }
    }

    #[test]
    fn sources_are_late_and_the_way_to_destinations_stays_open() {
        let plan = LatePlan::new(&[late("pg/wal", None), late("label.tmp", Some("pg/base/label"))]).unwrap();
        let pg = plan.entry(b"pg").unwrap();
        assert!(plan.stays_open && pg.stays_open && !pg.is_late);
        assert!(pg.entry(b"wal").unwrap().is_late && !pg.entry(b"wal").unwrap().stays_open);
        assert!(plan.entry(b"label.tmp").unwrap().is_late);
        assert!(
            pg.entry(b"base").unwrap().stays_open && pg.entry(b"base").unwrap().entry(b"label").is_none()
        );
        assert!(LatePlan::new(&[]).is_none());
    }

    #[test]
    fn grafting_replaces_and_makes_up_what_leads_there() {
        let open = OpenDirs::default();
        let mut old = Node::new("label", NodeKind::File);
        old.size = 7;
        open.keep(Vec::new(), vec![old]);
        open.graft(&names("label"), Node::new("x", NodeKind::File));
        open.graft(&names("new/sub/f"), Node::new("y", NodeKind::File));
        let map = open.0.into_inner().unwrap();
        assert_eq!(map[&Vec::new()].iter().map(|node| node.size).sum::<u64>(), 0);
        assert_eq!(map[&Vec::new()].len(), 2);
        assert_eq!(map[&names("new")][0].name, b"sub");
        assert_eq!(map[&names("new/sub")][0].name, b"f");
    }
}
