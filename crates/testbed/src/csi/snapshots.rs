//! The Controller service's snapshots.

use tonic::Status;

use super::catalogue::{Kept, Snapshot};
use super::cut::Wanted;
use super::driver::Driver;
use super::page::page;
use super::request::{check_parameters, no_such, required, signed};
use super::wire::{self, ById, CreatedSnapshot, Empty, Timestamp};

const SECOND: i64 = 1_000_000_000;

impl Driver {
    pub(super) fn create_snapshot(&self, asked: wire::CreateSnapshot) -> Result<CreatedSnapshot, Status> {
        let id = Snapshot::id_of(required("name", &asked.name)?);
        let source = required("source_volume_id", &asked.volume_id)?;
        check_parameters(&asked.parameters, &[])?;
        let _held = self.pool.lock()?;
        if let Some(snapshot) = self.catalogue.get::<Snapshot>(&id)? {
            if snapshot.volume != source {
                let text = format!("{} is a snapshot of volume {}", asked.name, snapshot.volume);
                return Err(Status::already_exists(text));
            }
            return Ok(CreatedSnapshot { snapshot: Some(described(&snapshot)) });
        }
        let snapshots = self.take_snapshots(&[Wanted { volume: self.volume(source)?, id, group: None }])?;
        Ok(CreatedSnapshot { snapshot: snapshots.first().map(described) })
    }

    pub(super) fn delete_snapshot(&self, asked: ById) -> Result<Empty, Status> {
        let id = required("snapshot_id", &asked.id)?;
        let _held = self.pool.lock()?;
        if let Some(snapshot) = self.catalogue.get::<Snapshot>(id)? {
            if let Some(group) = &snapshot.group {
                let text = format!("snapshot {id} is part of group snapshot {group} and goes with it");
                return Err(Status::invalid_argument(text));
            }
            self.remove_snapshot(&snapshot)?;
        }
        Ok(Empty {})
    }

    pub(super) fn get_snapshot(&self, asked: ById) -> Result<CreatedSnapshot, Status> {
        let id = required("snapshot_id", &asked.id)?;
        let found = self.catalogue.get::<Snapshot>(id)?.ok_or_else(|| no_such("snapshot", id))?;
        Ok(CreatedSnapshot { snapshot: Some(described(&found)) })
    }

    pub(super) fn list_snapshots(&self, asked: wire::ListSnapshots) -> Result<wire::SnapshotList, Status> {
        let matches = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let mut all = self.catalogue.all::<Snapshot>()?;
        all.retain(|s| matches(&asked.snapshot_id, &s.id) && matches(&asked.volume_id, &s.volume));
        let (snapshots, next_token) = page(all, &asked.starting_token, asked.max_entries)?;
        let entry = |snapshot: &Snapshot| CreatedSnapshot { snapshot: Some(described(snapshot)) };
        Ok(wire::SnapshotList { entries: snapshots.iter().map(entry).collect(), next_token })
    }
}

pub(super) fn described(snapshot: &Snapshot) -> wire::Snapshot {
    wire::Snapshot {
        size_bytes: signed(snapshot.size),
        snapshot_id: snapshot.id.clone(),
        volume_id: snapshot.volume.clone(),
        created: Some(timestamp(snapshot.taken)),
        ready: true,
        group_id: snapshot.group.clone().unwrap_or_default(),
    }
}

/// A moment in nanoseconds since 1970.
pub(super) fn timestamp(taken: i64) -> Timestamp {
    Timestamp { seconds: taken / SECOND, nanos: i32::try_from(taken % SECOND).unwrap_or(0) }
}
