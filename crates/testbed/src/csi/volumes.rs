//! The Controller service's volumes.

use tonic::Status;

use super::catalogue::{Form, Kept, Mode, Origin, Volume};
use super::content::Source;
use super::driver::Driver;
use super::page::page;
use super::request::{self, Size, no_such, required, signed};
use super::wire::{self, ById, Capacity, CreatedVolume, Empty, ServiceCapabilities};
use super::{FORM, SHARED, TOPOLOGY, image};

/// `ControllerServiceCapability.RPC` of the specification.
const VOLUMES: [i32; 5] = [1, 3, 4, 7, 9]; // create and delete, list, capacity, clone, expand
const SNAPSHOTS: [i32; 3] = [5, 6, 15]; // create and delete, list, get

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
        request::check_parameters(&asked.parameters, &[SHARED, FORM])?;
        let form = request::form(&asked.parameters)?;
        let _held = self.pool.lock()?;
        if let Some(volume) = self.catalogue.get::<Volume>(&id)? {
            let other_form = form.is_some_and(|form| form != volume.form);
            if volume.mode != mode || volume.origin != origin || other_form || !size.allows(volume.size) {
                return Err(Status::already_exists(format!("{} is a different volume", asked.name)));
            }
            return Ok(self.created(&volume));
        }
        let source = origin.as_ref().map(|origin| self.source(origin)).transpose()?;
        let form = chosen_form(form, mode, source.as_ref())?;
        request::check_access(asked.capabilities.iter(), form)?;
        if source.is_none() && asked.capabilities.iter().all(request::is_read_only) {
            return Err(Status::invalid_argument("an empty volume for readers only would stay empty"));
        }
        let size = size.chosen(source.as_ref().map_or(0, |source| source.size))?;
        let nodes = Vec::from_iter(request::node(&asked));
        let volume = Volume { id, size, mode, form, origin, nodes };
        self.fill(&volume, source.as_ref())?;
        self.catalogue.put(&volume)?;
        Ok(self.created(&volume))
    }

    /// Deletes a volume that no pod is shown.
    pub(super) fn delete_volume(&self, asked: ById) -> Result<Empty, Status> {
        let id = required("volume_id", &asked.id)?;
        let _held = self.pool.lock()?;
        let Some(volume) = self.catalogue.get::<Volume>(id)? else { return Ok(Empty {}) };
        self.put_away(&volume)?;
        if self.is_in_use(&volume) {
            return Err(Status::failed_precondition(format!("volume {id} is mounted or on a loop device")));
        }
        self.remove_content(&volume)?;
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
            if self.is_mounted(&volume) && !image::can_grow_mounted() {
                let text =
                    format!("volume {id} is mounted, and this machine enlarges no mounted file system");
                return Err(Status::failed_precondition(text));
            }
            let before = std::mem::replace(&mut volume.size, size.chosen(0)?);
            self.set_size(&volume, before)?;
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
        let borne = request::mode(&asked.capabilities).and_then(|mode| {
            request::check_access(asked.capabilities.iter(), volume.form)?;
            if mode == volume.mode {
                return Ok(());
            }
            Err(Status::invalid_argument("the volume is of the other mode"))
        });
        let (confirmed, message) = match borne {
            Ok(()) => (Some(wire::Confirmed { capabilities: asked.capabilities }), String::new()),
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

/// The form of a new volume. A copy has that of its source, whatever its StorageClass says, unless it says otherwise.
fn chosen_form(asked: Option<Form>, mode: Mode, source: Option<&Source>) -> Result<Form, Status> {
    let default = if mode == Mode::Block { Form::Image } else { Form::Tree };
    let form = source.map(|source| source.form).or(asked).unwrap_or(default);
    if mode == Mode::Block && form == Form::Tree {
        return Err(Status::invalid_argument("a directory cannot be shown as a block device"));
    }
    if asked.is_some_and(|asked| asked != form) {
        return Err(Status::invalid_argument("the source is of the other form"));
    }
    Ok(form)
}

/// The topology of one node.
pub(super) fn topology(node: &str) -> wire::Topology {
    wire::Topology { segments: [(TOPOLOGY.to_owned(), node.to_owned())].into() }
}
