//! The points of a repository, from their snapshots alone: no tree or blob is read.

use holdfast_model::Consistency;
use holdfast_model::id::{AppId, Epoch, PointId, RunId};
use holdfast_model::point::{Point, TAG, TAG_POINT, tag};
use holdfast_model::{Outcome, Problem};
use holdfast_vault::{BlobId, Repository, Snapshot, SnapshotId};
use jiff::Timestamp;
use serde::Serialize;

use crate::error::{ConsistencyName, Error, Result};

/// What is known of a point without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PointSummary {
    /// Its identity.
    pub id: PointId,
    /// The application it belongs to.
    pub application: AppId,
    /// Name of the application at the time.
    pub application_name: String,
    /// The run that made it.
    pub run: RunId,
    /// The activation it belongs to.
    pub epoch: Epoch,
    /// Start of capture.
    pub started: Timestamp,
    /// End of capture.
    pub finished: Timestamp,
    /// Completed or Partial.
    pub outcome: Outcome,
    /// How well its volumes fit together.
    pub consistency: Consistency,
    /// Name of the cluster it came from.
    pub cluster: String,
    /// How many volumes it holds.
    pub volumes: u64,
    /// How many objects it holds.
    pub objects: u64,
    /// Bytes of objects and volumes.
    pub bytes: u64,
    /// Bytes that it added to the vault.
    pub stored: u64,
    /// The point before whose restore it was taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<PointId>,
    /// The snapshot that holds its objects and `point.json`.
    pub snapshot: SnapshotId,
    /// Root directory of that snapshot.
    pub root: BlobId,
}

/// The points of a repository, and what could not be read while looking for them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points {
    /// The points, in the order of their start.
    pub points: Vec<PointSummary>,
    /// Snapshots that cannot be read: each may have been a point or a volume of one.
    pub unreadable: Vec<Problem>,
}

/// Lists all points of a repository.
///
/// # Errors
/// Only if the snapshots cannot be listed; damaged ones are named in the result.
pub async fn list(repository: &Repository) -> Result<Points> {
    let (snapshots, damaged) = repository.snapshots_tolerant().await?;
    let mut points: Vec<PointSummary> =
        snapshots.iter().filter_map(|(id, snapshot)| PointSummary::of(*id, snapshot)).collect();
    points.sort_by(|a, b| (a.started, &a.id).cmp(&(b.started, &b.id)));
    let unreadable = damaged
        .into_iter()
        .map(|(name, error)| {
            Problem::new("point.unreadable", format!("snapshot {name}"), error.to_string())
                .hint("run `holdfast vault check`; use another point or another copy")
        })
        .collect();
    Ok(Points { points, unreadable })
}

impl Points {
    /// The newest point: that of the highest epoch, and of those the one that started last. A
    /// returning old primary writes later dates, but its epoch is lower. What was taken before a restore is
    /// the state that the restore was made against.
    pub fn newest(&self) -> Option<&PointSummary> {
        let regular = self.points.iter().filter(|point| point.before.is_none());
        regular.max_by_key(|point| (point.epoch, point.started))
    }

    /// A point by its id or by the beginning of its id, if no other begins so; `latest` is the newest.
    ///
    /// # Errors
    /// [`Error::NoSuchPoint`], [`Error::AmbiguousPoint`]
    pub fn find(&self, text: &str) -> Result<&PointSummary> {
        let none = || Error::NoSuchPoint { id: text.to_owned() };
        if text == "latest" {
            return self.newest().ok_or_else(none);
        }
        let mut matching =
            self.points.iter().filter(|point| !text.is_empty() && point.id.as_str().starts_with(text));
        let first = matching.next().ok_or_else(none)?;
        match matching.next() {
            Some(second) if first.id.as_str() != text => Err(Error::AmbiguousPoint {
                prefix: text.to_owned(),
                first: first.id.clone(),
                second: second.id.clone(),
            }),
            _ => Ok(first),
        }
    }
}

impl PointSummary {
    /// What a snapshot says of the point it holds; `None` if it holds none.
    pub fn of(id: SnapshotId, snapshot: &Snapshot) -> Option<Self> {
        if !snapshot.tags.iter().any(|tag| tag == TAG_POINT) {
            return None;
        }
        let tags = Tags(&snapshot.tags);
        let summary = snapshot.summary.as_ref()?;
        Some(Self {
            id: tags.get("point")?.parse().ok()?,
            application: tags.get("app")?.parse().ok()?,
            application_name: tags.get("name").unwrap_or_default().to_owned(),
            run: tags.get("run")?.parse().ok()?,
            epoch: Epoch(tags.number("epoch")?),
            started: snapshot.time,
            finished: summary.backup_end,
            outcome: if tags.get("outcome")? == "Completed" { Outcome::Completed } else { Outcome::Partial },
            consistency: consistency(tags.get("consistency")?)?,
            cluster: snapshot.hostname.clone(),
            volumes: tags.number("volumes").unwrap_or_default(),
            objects: tags.number("objects").unwrap_or_default(),
            bytes: tags.number("bytes").unwrap_or_default(),
            stored: tags.number("stored").unwrap_or_default(),
            before: tags.get("before").map(str::parse).transpose().ok()?,
            snapshot: id,
            root: snapshot.tree,
        })
    }
}

/// The tags of the snapshot that holds a point: what [`PointSummary::of`] reads.
pub(crate) fn tags(point: &Point) -> Vec<String> {
    let objects: u64 = point.kinds.iter().map(|kind| kind.objects).sum();
    let bytes: u64 = point.kinds.iter().map(|kind| kind.bytes).sum::<u64>()
        + point.volumes.iter().map(|volume| volume.bytes).sum::<u64>();
    let before = point.before.as_ref().map(|restored| tag("before", restored));
    let mut tags = vec![
        TAG.to_owned(),
        TAG_POINT.to_owned(),
        tag("point", &point.id),
        tag("app", &point.application),
        tag("name", &point.application_name),
        tag("run", &point.run),
        tag("epoch", point.epoch),
        tag("outcome", point.outcome),
        tag("consistency", ConsistencyName(point.consistency)),
        tag("volumes", point.volumes.len()),
        tag("objects", objects),
        tag("bytes", bytes),
        tag("stored", point.stored.bytes_stored),
    ];
    tags.extend(before);
    tags
}

/// Tags of the form that [`tag`] writes.
struct Tags<'a>(&'a [String]);

impl<'a> Tags<'a> {
    fn get(&self, key: &str) -> Option<&'a str> {
        let prefix = tag(key, "");
        self.0.iter().find_map(|tag| tag.strip_prefix(&prefix))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.parse().ok()
    }
}

fn consistency(name: &str) -> Option<Consistency> {
    [Consistency::Live, Consistency::Crash, Consistency::Group, Consistency::Application]
        .into_iter()
        .find(|consistency| ConsistencyName(*consistency).to_string() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(id: &str, epoch: u64, started: &str) -> PointSummary {
        PointSummary {
            id: id.parse().unwrap(),
            application: "a1".parse().unwrap(),
            application_name: "shop".into(),
            run: "r1".parse().unwrap(),
            epoch: Epoch(epoch),
            started: started.parse().unwrap(),
            finished: started.parse().unwrap(),
            outcome: Outcome::Completed,
            consistency: Consistency::Live,
            cluster: "a".into(),
            volumes: 0,
            objects: 1,
            bytes: 1,
            stored: 1,
            before: None,
            snapshot: SnapshotId::of(id.as_bytes()),
            root: BlobId::of(b""),
        }
    }

    fn points() -> Points {
        let old_primary_came_back = point("20261123t000000-aa0000", 1, "2026-11-23T00:00:00Z");
        let points = vec![
            point("20261122t000000-bb0000", 1, "2026-11-22T00:00:00Z"),
            point("20261122t000001-cc0000", 2, "2026-11-22T00:00:01Z"),
            old_primary_came_back,
        ];
        Points { points, unreadable: Vec::new() }
    }

    #[test]
    fn the_newest_point_is_that_of_the_highest_epoch() {
        assert_eq!(points().newest().unwrap().id.as_str(), "20261122t000001-cc0000");
        assert_eq!(points().find("latest").unwrap().epoch, Epoch(2));
        let mut with_safety = points();
        let latest = with_safety.newest().unwrap().clone();
        let safety = PointSummary {
            before: Some(latest.id.clone()),
            ..point("20261123t101500-000009", 2, "2026-12-23T10:15:00Z")
        };
        with_safety.points.push(safety);
        assert_eq!(with_safety.newest(), Some(&latest), "what was taken before a restore is not the latest");
        assert!(with_safety.find("20261123t101500-000009").is_ok());
    }

    #[test]
    fn a_prefix_names_a_point_only_if_it_is_the_only_one() {
        let points = points();
        assert_eq!(points.find("20261123").unwrap().epoch, Epoch(1));
        assert_eq!(points.find("20261122t000001-cc0000").unwrap().epoch, Epoch(2));
        assert_eq!(points.find("20261122").unwrap_err().code(), "protect.ambiguous_point");
        assert_eq!(points.find("").unwrap_err().code(), "protect.no_such_point");
        assert_eq!(points.find("x").unwrap_err().code(), "protect.no_such_point");
    }

    #[test]
    fn a_snapshot_of_somebody_else_is_no_point() {
        let mut snapshot = Snapshot::new(Timestamp::UNIX_EPOCH, BlobId::of(b""));
        assert_eq!(PointSummary::of(SnapshotId::of(b"x"), &snapshot), None);
        snapshot.tags = vec![TAG.into(), TAG_POINT.into(), tag("point", "p")];
        assert_eq!(PointSummary::of(SnapshotId::of(b"x"), &snapshot), None);
    }
}
