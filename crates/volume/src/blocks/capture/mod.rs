//! Captures a device: which extents to read is known before the first is read, threads read and
//! store them a few megabytes at a time, and a segment's tree is stored when all in it is.

mod parent;
mod plan;
mod segment;
mod selection;
mod threads;
mod work;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use holdfast_vault::{BlobId, Node, Writer};
use serde::{Deserialize, Serialize};

use super::device::Device;
use super::form;
use super::geometry::Geometry;
use super::ranges::Ranges;
use crate::error::{Error, Result};
use crate::findings::{Findings, Recorder};
use crate::progress::Progress;
use crate::root;
use selection::Selection;
use work::{Setback, Work};

pub use parent::ParentDevice;

/// How a capture goes about it.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// Threads that read, hash and compress; each holds a buffer of 4 MiB, or of one larger extent.
    pub workers: usize,
    /// Set to end the capture early.
    pub stop: Arc<AtomicBool>,
}

impl Default for CaptureOptions {
    fn default() -> Self {
        Self { workers: super::workers(), stop: Arc::default() }
    }
}

/// What is known of a device before it is read.
pub enum Source {
    /// Nothing. Holes are passed over where the system knows of them.
    Whole,
    /// Everything beside these ranges is zero.
    Allocated(Ranges),
    /// Everything beside these ranges is as it was when the parent snapshot was captured.
    Changed(Ranges),
}

/// What was read of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reading {
    /// All but the holes that the system knows of.
    Whole,
    /// What was named as allocated.
    Allocated,
    /// What was named as changed.
    Changed,
}

/// What a capture of a device says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockReport {
    /// Bytes of the device.
    pub size: u64,
    /// Bytes of an extent.
    pub extent_size: u32,
    /// What was read.
    pub reading: Reading,
    /// Bytes of extents that are not zero.
    pub allocated: u64,
    /// Bytes of extents that differ from the parent's; without a parent, from zero.
    pub changed: u64,
    /// Bytes read from the device.
    pub read: u64,
}

/// A device whose trees are in the repository (though not necessarily flushed).
#[derive(Debug, Clone)]
pub struct Captured {
    /// The volume's node in the snapshot's root.
    pub root: Node,
    /// What was done, in numbers.
    pub report: BlockReport,
    /// What was met on the way.
    pub findings: Findings,
}

impl Captured {
    /// Stores the root tree of the volume's snapshot, with `report` beside the volume.
    ///
    /// # Errors
    /// Whatever stops the writer.
    pub fn root_tree(&self, writer: &Writer, report: &[u8]) -> Result<BlobId> {
        root::store(writer, &self.root, report)
    }
}

/// Captures the device or regular file at `path`. Blocks; calls the writer from threads of its own.
///
/// A parent makes the extents have the same size, and is what [`Source::Changed`] refers to. Where
/// the changes or the parent cannot be used, all of the device is read, and the findings say why.
///
/// # Errors
/// [`Error::Device`]; [`Error::Read`], since a device of which a piece is unknown is none that
/// could be used; [`Error::Stopped`]; whatever stops the writer.
pub fn capture(
    path: &Path,
    writer: &Writer,
    parent: Option<&ParentDevice>,
    source: Source,
    options: &CaptureOptions,
    progress: &Progress,
) -> Result<Captured> {
    let device = Device::open(path)?;
    let geometry = match parent {
        Some(parent) => Geometry::with_extents(device.size(), parent.geometry().extent_size()),
        None => Geometry::of(device.size()),
    };
    let too_large =
        || Error::Device { path: device.path().to_owned(), source: std::io::ErrorKind::FileTooLarge.into() };
    let geometry = geometry.ok_or_else(too_large)?;
    let recorder = Recorder::default();
    let began = progress.bytes_moved();
    let run = |selection: &Selection| {
        threads::run(Work::new(&device, geometry, writer, options, progress), selection, parent)
    };
    let mut selection = Selection::of(source, &device, &geometry, parent, &recorder);
    let mut done = run(&selection);
    if let Err(Setback::Parent(reason)) = &done {
        recorder.note(format!("all of the volume was read: the parent snapshot is damaged: {reason}"));
        selection = Selection::whole(&device, &geometry);
        done = run(&selection);
    }
    let done = done.map_err(Setback::into_error)?;
    let allocated = match parent.filter(|_| selection.reading == Reading::Changed) {
        Some(parent) => parent.allocated().saturating_add(done.allocated).saturating_sub(done.replaced),
        None => done.allocated,
    };
    let json = form::description(&geometry, allocated);
    let description = writer.data(&json)?;
    let tree = writer.tree(&form::device_tree(&done.segments, description, json.len() as u64))?;
    progress.entry(0);
    let report = BlockReport {
        size: geometry.size(),
        extent_size: geometry.extent_size(),
        reading: selection.reading,
        allocated,
        changed: done.changed,
        read: progress.bytes_moved() - began,
    };
    Ok(Captured { root: form::volume_node(tree), report, findings: recorder.into_findings() })
}
