//! A raw volume of a driver by itself, asked for as a kubelet and the sidecars would: shown as a device, cut, and told
//! what a snapshot has or changed.

use std::ops::Range;
use std::path::{Path, PathBuf};

use http::uri::PathAndQuery;
use prost::Message;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use super::alone::Alone;
use super::request::signed;
use super::wire::{
    AccessMode, ById, CapacityRange, CreateSnapshot, CreateVolume, CreatedSnapshot, CreatedVolume, Empty,
    GetAllocated, GetDelta, Metadata, Publish, VolumeCapability,
};
use crate::error::{Error, Result};

/// A volume that is shown as a device; it goes with its driver.
#[derive(Debug, Clone)]
pub struct Disk {
    channel: Channel,
    volume: String,
    device: PathBuf,
}

impl Alone {
    /// Makes a volume of `size` bytes without content and shows it.
    ///
    /// # Errors
    /// [`Error::Csi`]
    pub async fn disk(&self, name: &str, size: u64) -> Result<Disk> {
        let channel = Endpoint::from_shared(format!("unix:{}", self.socket().display()))
            .map_err(|error| refused("its socket", &error.to_string()))?
            .connect()
            .await
            .map_err(|error| refused("a connection", &error.to_string()))?;
        let asked = CreateVolume {
            name: name.to_owned(),
            capacity: Some(CapacityRange { required_bytes: signed(size), limit_bytes: 0 }),
            capabilities: vec![raw()],
            ..CreateVolume::default()
        };
        let created: CreatedVolume = ask(&channel, "/csi.v1.Controller/CreateVolume", asked).await?;
        let volume = created.volume.unwrap_or_default().volume_id;
        let device = self.dir().join(name);
        let asked = Publish {
            volume_id: volume.clone(),
            target_path: device.to_string_lossy().into_owned(),
            capability: Some(raw()),
            readonly: false,
        };
        let _: Empty = ask(&channel, "/csi.v1.Node/NodePublishVolume", asked).await?;
        Ok(Disk { channel, volume, device })
    }
}

impl Disk {
    /// The device.
    #[must_use]
    pub fn device(&self) -> &Path {
        &self.device
    }

    /// Takes a snapshot and gives what the driver calls it.
    ///
    /// # Errors
    /// [`Error::Csi`]
    pub async fn cut(&self, name: &str) -> Result<String> {
        let asked = CreateSnapshot {
            volume_id: self.volume.clone(),
            name: name.to_owned(),
            ..CreateSnapshot::default()
        };
        let taken: CreatedSnapshot = ask(&self.channel, "/csi.v1.Controller/CreateSnapshot", asked).await?;
        Ok(taken.snapshot.unwrap_or_default().snapshot_id)
    }

    /// Deletes a snapshot.
    ///
    /// # Errors
    /// [`Error::Csi`]
    pub async fn forget(&self, snapshot: &str) -> Result<()> {
        let asked = ById { id: snapshot.to_owned() };
        let _: Empty = ask(&self.channel, "/csi.v1.Controller/DeleteSnapshot", asked).await?;
        Ok(())
    }

    /// The bytes of a snapshot that have data, as its SnapshotMetadata service says.
    ///
    /// # Errors
    /// [`Error::Csi`]
    pub async fn allocated(&self, snapshot: &str) -> Result<Vec<Range<u64>>> {
        let asked = GetAllocated { snapshot_id: snapshot.to_owned(), ..GetAllocated::default() };
        ranges(&self.channel, "/csi.v1.SnapshotMetadata/GetMetadataAllocated", asked).await
    }

    /// The bytes of a snapshot that changed since an earlier one, as its SnapshotMetadata service says.
    ///
    /// # Errors
    /// [`Error::Csi`]
    pub async fn changed(&self, base: &str, target: &str) -> Result<Vec<Range<u64>>> {
        let (base_id, target_id) = (base.to_owned(), target.to_owned());
        let asked = GetDelta { base_id, target_id, ..GetDelta::default() };
        ranges(&self.channel, "/csi.v1.SnapshotMetadata/GetMetadataDelta", asked).await
    }
}

/// A raw device that one node may write to.
fn raw() -> VolumeCapability {
    VolumeCapability { block: Some(Empty {}), mount: None, access_mode: Some(AccessMode { mode: 1 }) }
}

async fn ask<Q, A>(channel: &Channel, method: &'static str, asked: Q) -> Result<A>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut client = ready(channel, method).await?;
    let (path, codec) = (PathAndQuery::from_static(method), ProstCodec::<Q, A>::default());
    let answered = client.unary(Request::new(asked), path, codec).await;
    Ok(answered.map_err(|status| told(method, &status))?.into_inner())
}

async fn ranges<Q>(channel: &Channel, method: &'static str, asked: Q) -> Result<Vec<Range<u64>>>
where
    Q: Message + Default + 'static,
{
    let mut client = ready(channel, method).await?;
    let (path, codec) = (PathAndQuery::from_static(method), ProstCodec::<Q, Metadata>::default());
    let answered = client.server_streaming(Request::new(asked), path, codec).await;
    let mut answers = answered.map_err(|status| told(method, &status))?.into_inner();
    let mut ranges = Vec::new();
    while let Some(answer) = answers.message().await.map_err(|status| told(method, &status))? {
        for block in answer.blocks {
            let (start, length) = (block.offset.unsigned_abs(), block.size.unsigned_abs());
            ranges.push(start..start + length);
        }
    }
    Ok(ranges)
}

async fn ready(channel: &Channel, method: &str) -> Result<Grpc<Channel>> {
    let mut client = Grpc::new(channel.clone());
    client.ready().await.map_err(|error| refused(method, &error.to_string()))?;
    Ok(client)
}

fn told(method: &str, status: &Status) -> Error {
    refused(method, status.message())
}

fn refused(what: &str, answer: &str) -> Error {
    Error::Csi { request: what.to_owned(), answer: answer.to_owned() }
}
