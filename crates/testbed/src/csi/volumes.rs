//! The Controller service's volumes.

use std::path::PathBuf;

use tonic::Status;

use super::catalogue::{Kept, Mode, Origin, Snapshot, Volume};
use super::driver::Driver;
use super::page::page;
use super::request::{self, Size, required, signed};
use super::wire::{self, ById, Capacity, CreatedVolume, Empty, ServiceCapabilities};
use super::{DISK, TOPOLOGY, btrfs};
use crate::error::At;
use crate::kernel::{loops, mounts};

/// `ControllerServiceCapability.RPC` of the specification.
const VOLUMES: [i32; 5] = [1, 3, 4, 7, 9]; // create and delete, list, capacity, clone, expand
const SNAPSHOTS: [i32; 2] = [5, 6]; // create and delete, list

/// Where the content of a new volume comes from.
struct Source {
    path: PathBuf,
    size: u64,
    mode: Mode,
}

impl Driver {
    pub(super) fn controller_capabilities(&self, _: Empty) -> Result<ServiceCapabilities, Status> {
        let snapshots = if self.snapshots { &SNAPSHOTS[..] } else { &[] };
        Ok(ServiceCapabilities::of(&[&VOLUMES, snapshots].concat()))
    }

    pub(super) fn create_volume(&self, asked: wire::CreateVolume) -> Result<CreatedVolume, Status> {
        let id = Volume::id_of(required("name", &asked.name)?);
        let mode = request::mode(&asked.capabilities)?;
        let size = Size::of(asked.capacity.as_ref())?;
        let origin = request::origin(asked.source.as_ref())?;
        let _held = self.pool.lock()?;
        if let Some(volume) = self.catalogue.get::<Volume>(&id)? {
            if volume.mode != mode || volume.origin != origin || !size.allows(volume.size) {
                return Err(Status::already_exists(format!("{} is a different volume", asked.name)));
            }
            return Ok(self.created(&volume));
        }
        let source = origin.as_ref().map(|origin| self.source(origin)).transpose()?;
        if source.as_ref().is_some_and(|source| source.mode != mode) {
            return Err(Status::invalid_argument("the source is of the other volume mode"));
        }
        let size = size.chosen(source.as_ref().map_or(0, |source| source.size))?;
        let nodes = Vec::from_iter(request::node(&asked));
        let volume = Volume { id, size, mode, origin, nodes };
        self.fill(&volume, source)?;
        self.catalogue.put(&volume)?;
        Ok(self.created(&volume))
    }

    fn source(&self, origin: &Origin) -> Result<Source, Status> {
        match origin {
            Origin::Snapshot(id) => {
                let found = self.catalogue.get::<Snapshot>(id)?.ok_or_else(|| no_such("snapshot", id))?;
                Ok(Source { path: self.pool.snapshot(id), size: found.size, mode: found.mode })
            }
            Origin::Volume(id) => {
                let found = self.volume(id)?;
                self.flush(&found)?;
                Ok(Source { path: self.pool.volume(id), size: found.size, mode: found.mode })
            }
        }
    }

    /// Makes a volume's subvolume anew, whatever a call that was cut off left of it.
    fn fill(&self, volume: &Volume, source: Option<Source>) -> Result<(), Status> {
        let path = self.pool.volume(&volume.id);
        btrfs::delete(&path)?;
        match source {
            Some(source) => btrfs::copy(&source.path, &path)?,
            None => btrfs::create(&path)?,
        }
        self.set_size(volume)
    }

    fn set_size(&self, volume: &Volume) -> Result<(), Status> {
        match volume.mode {
            Mode::Filesystem => btrfs::limit(&self.pool.volume(&volume.id), volume.size)?,
            Mode::Block => {
                let disk = self.disk(&volume.id);
                let file = std::fs::File::options().append(true).create(true).open(&disk);
                file.and_then(|file| file.set_len(volume.size)).at("resize", &disk)?;
            }
        }
        Ok(())
    }

    /// Deletes a volume that no mount and no loop device shows: btrfs itself would not mind.
    pub(super) fn delete_volume(&self, asked: ById) -> Result<Empty, Status> {
        let id = required("volume_id", &asked.id)?;
        let _held = self.pool.lock()?;
        if self.catalogue.get::<Volume>(id)?.is_none() {
            return Ok(Empty {});
        }
        let path = self.pool.volume(id);
        if mounts::is_shown_elsewhere(&path) || !loops::below(&path).is_empty() {
            return Err(Status::failed_precondition(format!("volume {id} is mounted or on a loop device")));
        }
        btrfs::delete(&path)?;
        self.catalogue.remove(id)?;
        Ok(Empty {})
    }

    pub(super) fn expand_volume(&self, asked: wire::ExpandVolume) -> Result<wire::ExpandedVolume, Status> {
        let id = required("volume_id", &asked.volume_id)?;
        if asked.capacity.is_none() {
            return Err(Status::invalid_argument("capacity_range is missing"));
        }
        let size = Size::of(asked.capacity.as_ref())?;
        let _held = self.pool.lock()?;
        let mut volume = self.volume(id)?;
        if size.least > volume.size {
            volume.size = size.chosen(0)?;
            self.set_size(&volume)?;
            for found in loops::of_file(&self.disk(id))? {
                loops::resize(&found.device)?;
            }
            self.catalogue.put(&volume)?;
        }
        let capacity_bytes = signed(volume.size);
        Ok(wire::ExpandedVolume { capacity_bytes, node_expansion_required: false })
    }

    pub(super) fn validate_capabilities(
        &self,
        asked: wire::ValidateCapabilities,
    ) -> Result<wire::ValidatedCapabilities, Status> {
        let volume = self.volume(required("volume_id", &asked.volume_id)?)?;
        if asked.capabilities.is_empty() {
            return Err(Status::invalid_argument("volume_capabilities is missing"));
        }
        let (confirmed, message) = match request::mode(&asked.capabilities) {
            Ok(mode) if mode == volume.mode => {
                (Some(wire::Confirmed { capabilities: asked.capabilities }), String::new())
            }
            Ok(_) => (None, "the volume is of the other mode".into()),
            Err(status) => (None, status.message().to_owned()),
        };
        Ok(wire::ValidatedCapabilities { confirmed, message })
    }

    pub(super) fn list_volumes(&self, asked: wire::ListVolumes) -> Result<wire::VolumeList, Status> {
        let (volumes, next_token) =
            page(self.catalogue.all::<Volume>()?, &asked.starting_token, asked.max_entries)?;
        let entries = volumes.iter().map(|volume| self.created(volume)).collect();
        Ok(wire::VolumeList { entries, next_token })
    }

    pub(super) fn capacity(&self, _: Empty) -> Result<Capacity, Status> {
        Ok(Capacity { available_bytes: signed(self.pool.free()?) })
    }

    pub(super) fn volume(&self, id: &str) -> Result<Volume, Status> {
        self.catalogue.get(id)?.ok_or_else(|| no_such("volume", id))
    }

    pub(super) fn disk(&self, id: &str) -> PathBuf {
        self.pool.volume(id).join(DISK)
    }

    /// Brings what a pod wrote to a block volume into its file; btrfs sees to files itself.
    pub(super) fn flush(&self, volume: &Volume) -> Result<(), Status> {
        for found in loops::of_file(&self.disk(&volume.id))? {
            loops::flush(&found.device)?;
        }
        Ok(())
    }

    fn created(&self, volume: &Volume) -> CreatedVolume {
        let id = |id: &str| Some(wire::SourceId { id: id.to_owned() });
        let source = volume.origin.as_ref().map(|origin| match origin {
            Origin::Snapshot(from) => wire::ContentSource { snapshot: id(from), volume: None },
            Origin::Volume(from) => wire::ContentSource { snapshot: None, volume: id(from) },
        });
        let volume = wire::Volume {
            capacity_bytes: signed(volume.size),
            volume_id: volume.id.clone(),
            source,
            topology: volume.nodes.iter().map(|node| topology(node)).collect(),
        };
        CreatedVolume { volume: Some(volume) }
    }
}

/// The topology of one node.
pub(super) fn topology(node: &str) -> wire::Topology {
    wire::Topology { segments: [(TOPOLOGY.to_owned(), node.to_owned())].into() }
}

fn no_such(what: &str, id: &str) -> Status {
    Status::not_found(format!("there is no {what} {id}"))
}
