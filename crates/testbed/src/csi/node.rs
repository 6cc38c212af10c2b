//! The Node service: volumes of the pool appear where the kubelet wants them, and disappear.

use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount_bind, mount_remount, unmount};
use tonic::Status;

use super::catalogue::{Mode, Volume};
use super::driver::Driver;
use super::image;
use super::request::{self, required, signed};
use super::volumes::topology;
use super::wire::{Empty, GetStats, NodeInfo, Publish, ServiceCapabilities, Stats, Unpublish, Usage};
use crate::error::At;
use crate::kernel::mounts;

/// `NodeServiceCapability.RPC` and `VolumeUsage.Unit` of the specification.
const GET_VOLUME_STATS: i32 = 2;
const BYTES: i32 = 1;

impl Driver {
    pub(super) fn node_info(&self, _: Empty) -> Result<NodeInfo, Status> {
        Ok(NodeInfo { node_id: self.node.clone(), topology: Some(topology(&self.node)) })
    }

    pub(super) fn node_capabilities(&self, _: Empty) -> Result<ServiceCapabilities, Status> {
        Ok(ServiceCapabilities::of(&[GET_VOLUME_STATS]))
    }

    pub(super) fn publish(&self, asked: Publish) -> Result<Empty, Status> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let capability = asked.capability.as_ref();
        let mode = capability
            .ok_or_else(|| Status::invalid_argument("volume_capability is missing"))
            .and_then(request::mode_of)?;
        let _held = self.pool.lock()?;
        let volume = self.volume(id)?;
        request::check_access(capability.into_iter(), volume.form)?;
        if volume.mode != mode {
            return Err(Status::invalid_argument(format!("volume {id} is of the other mode")));
        }
        if !volume.nodes.is_empty() && !volume.nodes.contains(&self.node) {
            let text = format!("volume {id} is at {}, not at {}", volume.nodes.join(", "), self.node);
            return Err(Status::failed_precondition(text));
        }
        if !mounts::is_mounted(target) {
            let readonly = asked.readonly || capability.is_some_and(request::is_read_only);
            self.show(&volume, target, readonly)?;
        }
        Ok(Empty {})
    }

    fn show(&self, volume: &Volume, target: &Path, readonly: bool) -> Result<(), Status> {
        if let Some(parent) = target.parent() {
            std::fs::create_dir_all(parent).at("create", parent)?;
        }
        match volume.mode {
            Mode::Filesystem => {
                std::fs::create_dir_all(target).at("create", target)?;
                mount_bind(self.root(volume)?, target).at("mount", target)?;
                if readonly {
                    mount_remount(target, MountFlags::BIND | MountFlags::RDONLY, c"")
                        .at("make read-only", target)?;
                }
            }
            Mode::Block => {
                let device = image::device(&self.pool.volume(volume), readonly)?;
                std::fs::File::options().append(true).create(true).open(target).at("create", target)?;
                mount_bind(&device, target).at("mount", target)?;
            }
        }
        Ok(())
    }

    /// Unmounts also what belongs to a volume that is not known: the kubelet would ask for ever.
    pub(super) fn unpublish(&self, asked: Unpublish) -> Result<Empty, Status> {
        let id = required("volume_id", &asked.volume_id)?;
        let target = Path::new(required("target_path", &asked.target_path)?);
        let _held = self.pool.lock()?;
        while mounts::is_mounted(target) {
            unmount(target, UnmountFlags::NOFOLLOW).at("unmount", target)?;
        }
        let removed =
            if target.is_dir() { std::fs::remove_dir(target) } else { std::fs::remove_file(target) };
        match removed {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error).at("remove", target)?,
            _ => {}
        }
        if let Some(volume) = self.catalogue.get::<Volume>(id)? {
            self.put_away(&volume)?;
        }
        Ok(Empty {})
    }

    pub(super) fn stats(&self, asked: GetStats) -> Result<Stats, Status> {
        let id = required("volume_id", &asked.volume_id)?;
        let path = Path::new(required("volume_path", &asked.volume_path)?);
        let volume = self.volume(id)?;
        if !path.exists() {
            return Err(Status::not_found(format!("volume {id} is not at {}", path.display())));
        }
        let (used, total) = self.usage(&volume, path)?;
        let available = total.saturating_sub(used).min(self.pool.free()?);
        let usage =
            Usage { available: signed(available), total: signed(total), used: signed(used), unit: BYTES };
        Ok(Stats { usage: vec![usage] })
    }
}
