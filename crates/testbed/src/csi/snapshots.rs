//! The Controller service's snapshots.

use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

use super::btrfs;
use super::catalogue::{Kept, Snapshot};
use super::driver::Driver;
use super::page::page;
use super::request::{required, signed};
use super::wire::{self, ById, CreatedSnapshot, Empty, Timestamp};

const SECOND: i64 = 1_000_000_000;

impl Driver {
    pub(super) fn create_snapshot(&self, asked: wire::CreateSnapshot) -> Result<CreatedSnapshot, Status> {
        let id = Snapshot::id_of(required("name", &asked.name)?);
        let source = required("source_volume_id", &asked.volume_id)?;
        // Kubernetes adds some of its own; of the class's there are none to know.
        if let Some(unknown) = asked.parameters.keys().find(|key| !key.starts_with("csi.storage.k8s.io/")) {
            return Err(Status::invalid_argument(format!("there is no parameter {unknown}")));
        }
        let _held = self.pool.lock()?;
        if let Some(snapshot) = self.catalogue.get::<Snapshot>(&id)? {
            if snapshot.volume != source {
                let text = format!("{} is a snapshot of volume {}", asked.name, snapshot.volume);
                return Err(Status::already_exists(text));
            }
            return Ok(taken(&snapshot));
        }
        let volume = self.volume(source)?;
        let path = self.pool.snapshot(&id);
        // What a call that was cut off left: it is newer than its caller knows.
        btrfs::delete(&path)?;
        self.flush(&volume)?;
        btrfs::freeze(&self.pool.volume(source), &path)?;
        let (size, mode) = (volume.size, volume.mode);
        let snapshot = Snapshot { id, volume: volume.id, size, mode, taken: now() };
        self.catalogue.put(&snapshot)?;
        Ok(taken(&snapshot))
    }

    pub(super) fn delete_snapshot(&self, asked: ById) -> Result<Empty, Status> {
        let id = required("snapshot_id", &asked.id)?;
        let _held = self.pool.lock()?;
        if self.catalogue.get::<Snapshot>(id)?.is_some() {
            btrfs::delete(&self.pool.snapshot(id))?;
            self.catalogue.remove(id)?;
        }
        Ok(Empty {})
    }

    pub(super) fn list_snapshots(&self, asked: wire::ListSnapshots) -> Result<wire::SnapshotList, Status> {
        let matches = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
        let mut all = self.catalogue.all::<Snapshot>()?;
        all.retain(|s| matches(&asked.snapshot_id, &s.id) && matches(&asked.volume_id, &s.volume));
        let (snapshots, next_token) = page(all, &asked.starting_token, asked.max_entries)?;
        Ok(wire::SnapshotList { entries: snapshots.iter().map(taken).collect(), next_token })
    }
}

fn taken(snapshot: &Snapshot) -> CreatedSnapshot {
    let nanos = i32::try_from(snapshot.taken % SECOND).unwrap_or(0);
    let snapshot = wire::Snapshot {
        size_bytes: signed(snapshot.size),
        snapshot_id: snapshot.id.clone(),
        volume_id: snapshot.volume.clone(),
        created: Some(Timestamp { seconds: snapshot.taken / SECOND, nanos }),
        ready: true,
    };
    CreatedSnapshot { snapshot: Some(snapshot) }
}

/// Nanoseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "the driver is the edge: a snapshot is taken now")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
