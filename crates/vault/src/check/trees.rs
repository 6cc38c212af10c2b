//! Whether every directory of every snapshot can be read, and every blob it names is known.

use std::collections::HashSet;

use super::{Check, reason};
use crate::error::{Error, Result};
use crate::id::{BlobId, BlobKind};
use crate::read::Reader;

/// Directories read at once.
const BATCH: usize = 2000;

impl Check<'_> {
    /// Reads all directories, each once, and returns how many blobs are in use.
    pub(super) async fn walk_trees(&mut self, reader: &Reader) -> Result<u64> {
        let mut used: HashSet<(BlobKind, BlobId)> = HashSet::new();
        let mut rest: Vec<BlobId> = Vec::new();
        for (_, snapshot) in &self.snapshots {
            if used.insert((BlobKind::Tree, snapshot.tree)) {
                rest.push(snapshot.tree);
            }
        }
        while !rest.is_empty() {
            let batch = rest.split_off(rest.len().saturating_sub(BATCH));
            for (id, tree) in batch.iter().zip(reader.trees(&batch).await) {
                match tree {
                    Ok(tree) => {
                        for node in &tree.nodes {
                            for blob in node.blobs() {
                                if used.insert((BlobKind::Data, *blob)) {
                                    self.expect_known(BlobKind::Data, blob);
                                }
                            }
                            let subtree = node.subtree.filter(|id| used.insert((BlobKind::Tree, *id)));
                            rest.extend(subtree);
                        }
                    }
                    Err(error) => self.note_unreadable(id, error)?,
                }
            }
        }
        Ok(used.len() as u64)
    }

    fn expect_known(&mut self, kind: BlobKind, id: &BlobId) {
        if !self.index.has(kind, id) {
            self.findings.blob_is_missing(kind, *id);
        }
    }

    fn note_unreadable(&mut self, id: &BlobId, error: Error) -> Result<()> {
        if self.findings.of_blob(BlobKind::Tree, id).is_some() {
            return Ok(());
        }
        match error {
            Error::MissingBlob { kind, id } => self.findings.blob_is_missing(kind, id),
            Error::Damaged { object, reason } => {
                let finding = self.findings.add(object, reason);
                self.findings.blob_is_bad(BlobKind::Tree, *id, finding);
            }
            error => {
                let problem = reason(error)?;
                let finding = self.findings.add(format!("tree blob {id}"), problem);
                self.findings.blob_is_bad(BlobKind::Tree, *id, finding);
            }
        }
        Ok(())
    }
}
