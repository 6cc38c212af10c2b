//! Which snapshot a capture is incremental to.

use std::collections::HashMap;

use holdfast_model::point::{TAG_VOLUME, tag};
use holdfast_vault::{Repository, Snapshot, SnapshotId};

use crate::error::Result;

const CLAIM: &str = "claim";
const RUN: &str = "run";

/// Tags by which the snapshot of a claim is found again.
pub(super) fn tags(run: &str, claim: &str) -> [String; 3] {
    [TAG_VOLUME.to_owned(), tag(RUN, run), tag(CLAIM, claim)]
}

/// Whether the snapshot is that of this run and claim.
pub(super) fn is_of(snapshot: &Snapshot, run: &str, claim: &str) -> bool {
    tags(run, claim).iter().all(|tag| snapshot.tags.contains(tag))
}

/// The newest snapshot of every claim, of whatever run, committed to a point or not: what it
/// holds is in the vault all the same. Snapshots that cannot be read are no parents.
pub(super) async fn newest(repository: &Repository) -> Result<HashMap<String, SnapshotId>> {
    let (snapshots, _) = repository.snapshots_tolerant().await?;
    let prefix = tag(CLAIM, "");
    let mut newest = HashMap::new();
    // They come oldest first.
    for (id, snapshot) in snapshots {
        if snapshot.tags.iter().any(|tag| tag == TAG_VOLUME)
            && let Some(claim) = snapshot.tags.iter().find_map(|tag| tag.strip_prefix(&prefix))
        {
            newest.insert(claim.to_owned(), id);
        }
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use holdfast_vault::BlobId;

    use super::*;

    #[test]
    fn a_snapshot_is_of_exactly_one_run_and_claim() {
        let mut snapshot = Snapshot::new("2026-01-01T00:00:00Z".parse().unwrap(), BlobId::of(b"t"));
        snapshot.tags = tags("r1", "shop/data").to_vec();
        assert!(is_of(&snapshot, "r1", "shop/data"));
        assert!(!is_of(&snapshot, "r1", "shop/dat") && !is_of(&snapshot, "r2", "shop/data"));
    }
}
