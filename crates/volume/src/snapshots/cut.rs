//! Takes a snapshot of a claim and says when the storage has cut it.

use std::time::Duration;

use holdfast_cluster::{Cluster, Write, kinds};
use holdfast_model::point::Cut;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::Instant;

use super::{Names, manifest};
use crate::error::{Error, Result};

/// A snapshot that the storage has cut: what is written to the volume from now on is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// How the storage came to have it.
    pub(super) origin: Origin,
    /// When and by whom.
    pub(crate) cut: Cut,
}

/// Whether a snapshot is one of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// By the VolumeSnapshotContent that the snapshot controller made.
    Alone {
        /// Its name.
        content: String,
    },
    /// It is one of a group.
    Group {
        /// The VolumeGroupSnapshotContent of the group.
        group: String,
        /// What the storage calls the snapshot.
        handle: String,
    },
}

/// Asks for a snapshot and waits until it is cut, not until it can be read, which takes some
/// storage systems minutes.
pub(crate) async fn cut(cluster: &Cluster, names: &Names, class: &str, patience: Duration) -> Result<Taken> {
    let end = Instant::now() + patience;
    let snapshots = kinds::volume_snapshots();
    cluster.create(&snapshots, &manifest::first(names, class), &Write::default()).await?;
    let content = bound(cluster, names, patience).await?;
    let what = format!("the snapshot of {} to be cut", names.subject());
    let mut told = String::new();
    let contents = kinds::volume_snapshot_contents();
    let seen = cluster
        .wait(&contents, None, &content, &what, end.saturating_duration_since(Instant::now()), |content| {
            told = content.map(complaint).unwrap_or_default();
            content.is_none_or(|content| cut_at(content).is_some())
        })
        .await;
    match seen {
        Ok(Some(seen)) => taken(names, content, &seen),
        Ok(None) => Err(failed(names, "its VolumeSnapshotContent was deleted")),
        Err(error) => Err(explained(names, error, &told)),
    }
}

/// Name of the content, once the controller has made it.
async fn bound(cluster: &Cluster, names: &Names, patience: Duration) -> Result<String> {
    let content =
        |snapshot: &Value| snapshot["status"]["boundVolumeSnapshotContentName"].as_str().map(str::to_owned);
    let what = format!("a snapshot of {} to be begun", names.subject());
    let mut told = String::new();
    let snapshots = kinds::volume_snapshots();
    let seen = cluster
        .wait(&snapshots, Some(&names.namespace), &names.snapshot, &what, patience, |snapshot| {
            told = snapshot.map(complaint).unwrap_or_default();
            snapshot.is_none_or(|snapshot| content(snapshot).is_some())
        })
        .await;
    match seen {
        Ok(seen) => {
            seen.as_ref().and_then(content).ok_or_else(|| failed(names, "its VolumeSnapshot was deleted"))
        }
        Err(error) => Err(explained(names, error, &told)),
    }
}

fn taken(names: &Names, content: String, seen: &Value) -> Result<Taken> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let at = cut_at(seen).ok_or_else(|| failed(names, "it says no time"))?;
    let cut = Cut {
        at,
        driver: text(&seen["spec"]["driver"]),
        class: text(&seen["spec"]["volumeSnapshotClassName"]),
        group: None,
    };
    Ok(Taken { origin: Origin::Alone { content }, cut })
}

/// When the storage cut the snapshot: nanoseconds since 1970 in the content's status.
fn cut_at(content: &Value) -> Option<Timestamp> {
    let status = &content["status"];
    status["snapshotHandle"].as_str().filter(|handle| !handle.is_empty())?;
    Timestamp::from_nanosecond(status["creationTime"].as_i64()?.into()).ok()
}

/// What the storage or its controller complained of last.
pub(super) fn complaint(object: &Value) -> String {
    object["status"]["error"]["message"].as_str().unwrap_or_default().to_owned()
}

pub(super) fn failed(names: &Names, reason: &str) -> Error {
    Error::Snapshot {
        namespace: names.namespace.clone(),
        claim: names.claim.clone(),
        reason: reason.to_owned(),
    }
}

/// A wait that was in vain is told by what the storage said meanwhile.
pub(super) fn explained(names: &Names, error: holdfast_cluster::Error, told: &str) -> Error {
    match error {
        holdfast_cluster::Error::NotInTime { waited, .. } => {
            let said = if told.is_empty() { "the storage says nothing" } else { told };
            failed(names, &format!("not within {} s: {said}", waited.as_secs()))
        }
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_snapshot_is_cut_once_the_storage_has_named_it() {
        let content = |status| json!({"spec": {"driver": "d"}, "status": status});
        assert_eq!(cut_at(&content(json!({}))), None);
        assert_eq!(cut_at(&content(json!({"creationTime": 5}))), None);
        let cut =
            content(json!({"creationTime": 1_500_000_000_i64, "snapshotHandle": "h", "readyToUse": false}));
        assert_eq!(cut_at(&cut), Some("1970-01-01T00:00:01.5Z".parse().unwrap()));
    }
}
