//! Which paths of which snapshots bad blobs hit.

use std::collections::HashSet;
use std::sync::Arc;

use super::Check;
use crate::error::Result;
use crate::id::{BlobId, BlobKind, SnapshotId};
use crate::read::Reader;
use crate::tree::Tree;

/// One directory on the way from a root to where the walk is.
struct Step {
    id: BlobId,
    tree: Arc<Tree>,
    /// The next node to look at.
    next: usize,
    /// Length of the path to this directory.
    path: usize,
    /// Whether anything below is hit.
    hit: bool,
}

impl Check<'_> {
    /// Walks all snapshots, and names each file and directory that is hit. Directories in which
    /// nothing is hit are walked once, however many snapshots share them.
    pub(super) async fn name_affected(&mut self, reader: &Reader) -> Result<()> {
        if !self.findings.has_bad_blobs() {
            return Ok(());
        }
        let mut clean = HashSet::new();
        let roots: Vec<_> = self.snapshots.iter().map(|(id, snapshot)| (*id, snapshot.tree)).collect();
        for (snapshot, root) in roots {
            self.walk(reader, snapshot, root, &mut clean).await;
        }
        Ok(())
    }

    async fn walk(
        &mut self,
        reader: &Reader,
        snapshot: SnapshotId,
        root: BlobId,
        clean: &mut HashSet<BlobId>,
    ) {
        let mut path = Vec::new();
        let mut way = Vec::new();
        // Without recursion: a hostile snapshot may be deeper than the stack.
        way.extend(self.enter(reader, snapshot, root, &path).await);
        while let Some(step) = way.last_mut() {
            path.truncate(step.path);
            let Some(node) = step.tree.nodes.get(step.next).cloned() else {
                let (id, hit) = (step.id, step.hit);
                way.pop();
                match way.last_mut() {
                    Some(parent) => parent.hit |= hit,
                    None => return,
                }
                if !hit {
                    clean.insert(id);
                }
                continue;
            };
            step.next += 1;
            path.push(b'/');
            path.extend_from_slice(&node.name);
            if let Some(finding) =
                node.blobs().iter().find_map(|id| self.findings.of_blob(BlobKind::Data, id))
            {
                step.hit = true;
                self.findings.affects(finding, snapshot, String::from_utf8_lossy(&path));
            }
            if let Some(subtree) = node.subtree.filter(|id| !clean.contains(id)) {
                match self.enter(reader, snapshot, subtree, &path).await {
                    Some(below) => way.push(below),
                    None => step.hit = true,
                }
            }
        }
    }

    /// Begins a directory; if it cannot be read, that is noted.
    async fn enter(
        &mut self,
        reader: &Reader,
        snapshot: SnapshotId,
        id: BlobId,
        path: &[u8],
    ) -> Option<Step> {
        if let Ok(tree) = reader.tree(&id).await {
            return Some(Step { id, tree, next: 0, path: path.len(), hit: false });
        }
        if let Some(finding) = self.findings.of_blob(BlobKind::Tree, &id) {
            let directory = format!("{}/", String::from_utf8_lossy(path));
            self.findings.affects(finding, snapshot, directory);
        }
        None
    }
}
