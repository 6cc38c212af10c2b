//! A driver on a pool of its own, called without a socket: what tests of the driver try things on.

use std::os::unix::fs::FileTypeExt;
use std::path::PathBuf;

use super::catalogue::{Catalogue, Mode};
use super::driver::Driver;
use super::pool::Pool;
use super::wire::{
    AccessMode, ById, CapacityRange, ContentSource, CreateGroup, CreateSnapshot, CreateVolume, Empty,
    ExpandVolume, ExpandedVolume, Publish, SourceId, Unpublish, VolumeCapability,
};
use super::{FORM, IMAGE};
use crate::dirs::Cache;
use crate::lease::Lease;

/// Size of a volume that is tried on.
pub(super) const SIZE: u64 = 64 << 20;

/// The driver; all it made goes with it, also if the test fails or is killed.
pub(super) struct Trial {
    pub(super) driver: Driver,
    lease: Lease,
    _home: tempfile::TempDir,
}

impl Trial {
    pub(super) fn start(name: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let lease = Lease::take(name, &Cache::at(home.path()).unwrap()).unwrap();
        let pool = Pool::open(&lease.record().dir.join("csi")).unwrap();
        let catalogue = Catalogue::at(pool.records());
        let socket = PathBuf::new();
        let driver =
            Driver { name: "trial".into(), node: "here".into(), socket, snapshots: true, pool, catalogue };
        Self { driver, lease, _home: home }
    }

    /// Opens the pool once more, as the driver does that follows a dead one.
    pub(super) fn reopen(&self) {
        Pool::open(&self.lease.record().dir.join("csi")).unwrap();
    }

    /// Makes a volume that is an image, of a snapshot if one is named.
    pub(super) fn volume(&self, name: &str, mode: Mode, snapshot: Option<&str>) -> String {
        let asked = CreateVolume {
            name: name.into(),
            capacity: Some(size(SIZE)),
            capabilities: vec![capability(mode)],
            parameters: [(FORM.to_owned(), IMAGE.to_owned())].into(),
            source: snapshot
                .map(|id| ContentSource { snapshot: Some(SourceId { id: id.into() }), volume: None }),
            accessibility: None,
        };
        self.driver.create_volume(asked).unwrap().volume.unwrap().volume_id
    }

    /// Shows a volume as pods see it, and gives where.
    pub(super) fn publish(&self, volume: &str, mode: Mode, readonly: bool) -> PathBuf {
        let target = self.target(volume);
        let asked = Publish {
            volume_id: volume.into(),
            target_path: target.to_string_lossy().into_owned(),
            capability: Some(capability(mode)),
            readonly,
        };
        self.driver.publish(asked).unwrap();
        let is_device = target.metadata().unwrap().file_type().is_block_device();
        assert_eq!(is_device, mode == Mode::Block);
        target
    }

    /// Asks for as long as the kubelet would: a process that another test starts at this moment may
    /// have copied our mounts.
    pub(super) fn unpublish(&self, volume: &str) {
        let target_path = self.target(volume).to_string_lossy().into_owned();
        let asked = || {
            self.driver.unpublish(Unpublish { volume_id: volume.into(), target_path: target_path.clone() })
        };
        let mut last: Result<Empty, _> = asked();
        for _ in 0..50 {
            if last.is_ok() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
            last = asked();
        }
        last.unwrap();
    }

    /// Takes a snapshot and gives its id.
    pub(super) fn snapshot(&self, name: &str, volume: &str) -> String {
        let asked =
            CreateSnapshot { volume_id: volume.into(), name: name.into(), ..CreateSnapshot::default() };
        self.driver.create_snapshot(asked).unwrap().snapshot.unwrap().snapshot_id
    }

    /// Takes a group snapshot and gives the ids of its snapshots, in the order of `volumes`.
    pub(super) fn group(&self, name: &str, volumes: &[String]) -> Vec<String> {
        let asked = CreateGroup { name: name.into(), volume_ids: volumes.to_vec(), ..CreateGroup::default() };
        let taken = self.driver.create_group(asked).unwrap().group.unwrap().snapshots;
        let of = |volume: &String| taken.iter().find(|snapshot| snapshot.volume_id == *volume).unwrap();
        volumes.iter().map(|volume| of(volume).snapshot_id.clone()).collect()
    }

    pub(super) fn expand(&self, volume: &str, to: u64) -> Result<ExpandedVolume, tonic::Status> {
        let asked = ExpandVolume { volume_id: volume.into(), capacity: Some(size(to)) };
        self.driver.expand_volume(asked)
    }

    pub(super) fn delete_volume(&self, volume: &str) -> Result<Empty, tonic::Status> {
        self.driver.delete_volume(ById { id: volume.into() })
    }

    fn target(&self, volume: &str) -> PathBuf {
        self.lease.record().dir.join("pods").join(volume)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.lease.end().unwrap();
    }
}

fn size(bytes: u64) -> CapacityRange {
    CapacityRange { required_bytes: i64::try_from(bytes).unwrap(), limit_bytes: 0 }
}

fn capability(mode: Mode) -> VolumeCapability {
    let (block, mount) = match mode {
        Mode::Block => (Some(Empty {}), None),
        Mode::Filesystem => (None, Some(Empty {})),
    };
    VolumeCapability { block, mount, access_mode: Some(AccessMode { mode: 1 }) }
}
