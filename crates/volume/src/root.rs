//! The root of a volume's snapshot: the volume, and beside it what its capture met.

use holdfast_vault::{BlobId, Mode, Node, NodeKind, Reader, Tree, Writer};

use crate::error::{Error, Result};

/// Directory in the root of a volume's snapshot that stands for the volume.
pub const VOLUME_DIR: &str = "volume";
/// File in the root of a volume's snapshot: the mover's report as JSON.
pub const REPORT_FILE: &str = "capture.json";

/// Stores the root with `volume`, a directory named [`VOLUME_DIR`], and `report` beside it.
pub(crate) fn store(writer: &Writer, volume: &Node, report: &[u8]) -> Result<BlobId> {
    let mut file = Node::new(REPORT_FILE, NodeKind::File);
    file.mode = Mode::from_unix(0o100_444);
    (file.mtime, file.atime, file.ctime) = (volume.mtime, volume.mtime, volume.mtime);
    file.size = report.len() as u64;
    file.links = 1;
    file.content = Some(if report.is_empty() { Vec::new() } else { vec![writer.data(report)?] });
    Ok(writer.tree(&Tree { nodes: vec![file, volume.clone()] })?)
}

/// The node of the volume in a snapshot's root, and the tree with its entries.
pub(crate) async fn volume(reader: &Reader, root: &BlobId) -> Result<(Node, BlobId)> {
    let entries = reader.tree(root).await?;
    let node = entries
        .get(VOLUME_DIR.as_bytes())
        .ok_or_else(|| no_volume(root, "its root has no directory `volume`"))?;
    let tree = node.subtree.ok_or_else(|| no_volume(root, "`volume` is not a directory"))?;
    Ok((node.clone(), tree))
}

/// The error of a snapshot with this root that does not hold what is wanted.
pub(crate) fn no_volume(root: &BlobId, reason: impl Into<String>) -> Error {
    Error::NoVolume { snapshot: root.short(), reason: reason.into() }
}
