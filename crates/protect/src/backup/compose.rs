//! The last act: `point.json` beside the objects, and the snapshot that commits both.

use holdfast_model::point::{POINT_FILE, Point};
use holdfast_vault::{BlobId, Snapshot, SnapshotId, SnapshotSummary, Tree, WriteStats, Writer};

use crate::error::{Error, Result};
use crate::point::{directory_node, file_node, tags};

/// A `point.json` up to this size is one blob.
const ONE_BLOB: usize = 8 << 20;

/// Stores `point.json` and commits the point. Once this returns, the point exists.
///
/// # Errors
/// [`Error::Vault`]: then it does not.
pub(super) async fn commit(
    writer: &Writer,
    point: &Point,
    resources: BlobId,
    parent: Option<SnapshotId>,
) -> Result<SnapshotId> {
    let json = serde_json::to_vec_pretty(point).map_err(|error| Error::Internal(error.to_string()))?;
    let (storing, finished) = (writer.clone(), point.finished);
    let stored = tokio::task::spawn_blocking(move || {
        let size = json.len() as u64;
        let content = store(&storing, &json)?;
        let nodes = vec![
            file_node(POINT_FILE, finished, size, content),
            directory_node(holdfast_model::object::RESOURCES, resources),
        ];
        Ok::<_, Error>(storing.tree(&Tree { nodes })?)
    });
    let root = stored.await.map_err(Error::joined)??;
    let mut snapshot = Snapshot::new(point.started, root);
    snapshot.parent = parent;
    snapshot.paths = vec![format!("/{}", point.application_name)];
    snapshot.hostname.clone_from(&point.cluster.name);
    snapshot.tags = tags(point);
    snapshot.summary = Some(summary(point, &writer.stats()));
    Ok(writer.commit(snapshot).await?)
}

fn store(writer: &Writer, json: &[u8]) -> Result<Vec<BlobId>> {
    if json.len() <= ONE_BLOB {
        return Ok(vec![writer.data(json)?]);
    }
    let mut file = writer.file();
    file.write(json)?;
    Ok(file.finish()?.ids)
}

fn summary(point: &Point, stats: &WriteStats) -> SnapshotSummary {
    let (objects, bytes) = point
        .kinds
        .iter()
        .fold((0, 0), |(objects, bytes), kind| (objects + kind.objects, bytes + kind.bytes));
    SnapshotSummary {
        backup_start: point.started,
        backup_end: point.finished,
        files_new: 0,
        files_changed: 0,
        files_unmodified: 0,
        dirs_new: 0,
        dirs_changed: 0,
        dirs_unmodified: 0,
        data_blobs: stats.data_blobs,
        tree_blobs: stats.tree_blobs,
        data_added: stats.bytes_added,
        data_added_packed: stats.bytes_stored,
        total_files_processed: objects,
        total_bytes_processed: bytes,
    }
}
