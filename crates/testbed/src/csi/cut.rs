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

/// A volume of which a snapshot is to be taken, and the snapshot's id.
pub(super) type Wanted = (Volume, String);

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
    /// Takes the snapshots of all of `wanted` at one moment and writes them down.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` for several volumes one of which is a tree: each has a subvolume of its own, and btrfs
    /// takes no two snapshots at once.
    pub(super) fn take_snapshots(&self, wanted: &[Wanted]) -> Result<Vec<Snapshot>, Status> {
        let snapshots = match wanted {
            [(volume, id)] if volume.form == Form::Tree => vec![self.snapshot_of_tree(volume, id)?],
            wanted if wanted.iter().all(|(volume, _)| volume.form == Form::Image) => {
                self.snapshots_of_images(wanted)?
            }
            _ => {
                let text = "only volumes that are images can be snapshotted together: use their StorageClass";
                return Err(Status::failed_precondition(text));
            }
        };
        snapshots.iter().try_for_each(|snapshot| self.catalogue.put(snapshot))?;
        Ok(snapshots)
    }

    fn snapshot_of_tree(&self, volume: &Volume, id: &str) -> Result<Snapshot> {
        let snapshot = snapshot(volume, id, now());
        let path = self.pool.snapshot(&snapshot);
        // What a call that was cut off left: it is newer than its caller knows.
        remove(Form::Tree, &path)?;
        btrfs::freeze(&self.pool.volume(volume), &path)?;
        Ok(snapshot)
    }

    fn snapshots_of_images(&self, wanted: &[Wanted]) -> Result<Vec<Snapshot>> {
        let cut = self.cut(wanted)?;
        let mut snapshots = Vec::new();
        for (volume, id) in wanted {
            let snapshot = snapshot(volume, id, cut.taken);
            image::copy(&cut.path.join(image_name(&volume.id)), &self.pool.snapshot(&snapshot))?;
            snapshots.push(snapshot);
        }
        Ok(snapshots)
    }

    /// Cuts through all images, while the file systems on those that are wanted are held still.
    ///
    /// Being in one subvolume, also those are cut at once that a pod writes to as raw devices and nothing holds still.
    fn cut(&self, wanted: &[Wanted]) -> Result<Cut> {
        let path = self.pool.cut(wanted.first().map_or("", |(_, id)| id));
        let _still = self.hold_still(wanted.iter().map(|(volume, _)| volume))?;
        let cut = Cut { path, taken: now() };
        btrfs::freeze(&self.pool.images(), &cut.path)?;
        Ok(cut)
    }
}

fn snapshot(volume: &Volume, id: &str, taken: i64) -> Snapshot {
    Snapshot { id: id.into(), volume: volume.id.clone(), size: volume.size, form: volume.form, taken }
}

/// Nanoseconds since 1970.
#[allow(clippy::disallowed_methods, reason = "the driver is the edge: a snapshot is taken now")]
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}
