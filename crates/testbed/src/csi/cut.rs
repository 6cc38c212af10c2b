//! Taking snapshots: what volumes hold at one moment.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

use super::catalogue::{Form, Snapshot, Volume};
use super::content::remove;
use super::driver::Driver;
use super::pool::image_name;
use super::{btrfs, image};
use crate::error::Result;

/// A snapshot to be taken.
pub(super) struct Wanted {
    pub(super) volume: Volume,
    /// Its id.
    pub(super) id: String,
    /// The group that it is to be part of.
    pub(super) group: Option<String>,
}

impl Wanted {
    fn taken(&self, taken: i64) -> Snapshot {
        let Volume { id: volume, size, form, .. } = self.volume.clone();
        Snapshot { id: self.id.clone(), volume, size, form, taken, group: self.group.clone() }
    }
}

/// A copy of all images at one moment, gone when this is dropped.
struct Cut {
    path: PathBuf,
    /// Nanoseconds since 1970.
    taken: i64,
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = btrfs::delete(&self.path) {
            eprintln!("{error}");
        }
    }
}

impl Driver {
    /// Takes all snapshots that are wanted at one moment and writes them down; if that fails, there is none of them.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` for several volumes one of which is a tree: each has a subvolume of its own, and btrfs
    /// takes no two snapshots at once.
    pub(super) fn take_snapshots(&self, wanted: &[Wanted]) -> Result<Vec<Snapshot>, Status> {
        let images = wanted.iter().all(|wanted| wanted.volume.form == Form::Image);
        if !images && wanted.len() > 1 {
            let text = "only volumes that are images can be snapshotted together: use their StorageClass";
            return Err(Status::failed_precondition(text));
        }
        let taken = self.taken(wanted).and_then(|snapshots| {
            snapshots.iter().try_for_each(|snapshot| self.catalogue.put(snapshot))?;
            Ok(snapshots)
        });
        if taken.is_err() {
            // What is left if this fails too is replaced by the next try, which has the same ids.
            let _ = wanted.iter().try_for_each(|wanted| self.remove_snapshot(&wanted.taken(0)));
        }
        Ok(taken?)
    }

    fn taken(&self, wanted: &[Wanted]) -> Result<Vec<Snapshot>> {
        match wanted {
            [one] if one.volume.form == Form::Tree => Ok(vec![self.snapshot_of_tree(one)?]),
            wanted => self.snapshots_of_images(wanted),
        }
    }

    fn snapshot_of_tree(&self, wanted: &Wanted) -> Result<Snapshot> {
        let snapshot = wanted.taken(now());
        let path = self.pool.snapshot(&snapshot);
        // What a call that was cut off left: it is newer than its caller knows.
        remove(Form::Tree, &path)?;
        btrfs::freeze(&self.pool.volume(&wanted.volume), &path)?;
        Ok(snapshot)
    }

    fn snapshots_of_images(&self, wanted: &[Wanted]) -> Result<Vec<Snapshot>> {
        let cut = self.cut(wanted)?;
        let mut snapshots = Vec::new();
        for wanted in wanted {
            let snapshot = wanted.taken(cut.taken);
            let image = cut.path.join(image_name(&wanted.volume.id));
            image::copy(&image, &self.pool.snapshot(&snapshot))?;
            snapshots.push(snapshot);
        }
        Ok(snapshots)
    }

    /// Cuts through all images, while the file systems on those that are wanted are held still.
    ///
    /// Being in one subvolume, also those are cut at once that a pod writes to as raw devices and nothing holds still.
    fn cut(&self, wanted: &[Wanted]) -> Result<Cut> {
        let path = self.pool.cut(wanted.first().map_or("", |wanted| &wanted.id));
        // One that could not be removed would take the new one into itself.
        btrfs::delete(&path)?;
        let _still = self.hold_still(wanted.iter().map(|wanted| &wanted.volume))?;
        let cut = Cut { path, taken: now() };
        btrfs::freeze(&self.pool.images(), &cut.path)?;
        Ok(cut)
    }

    /// Removes a snapshot, if it is there.
    pub(super) fn remove_snapshot(&self, snapshot: &Snapshot) -> Result<()> {
        remove(snapshot.form, &self.pool.snapshot(snapshot))?;
        self.catalogue.remove(&snapshot.id)
    }
}

/// Nanoseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "the driver is the edge: a snapshot is taken now")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
