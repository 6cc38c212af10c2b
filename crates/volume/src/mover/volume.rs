//! The volume that a mover captures, be it files or blocks.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;

use holdfast_vault::{Node, Reader, Repository, Snapshot, SnapshotId, Writer};
use tokio::runtime::Handle;

use super::blocking::blocking;
use super::changes;
use super::gate::{CaptureGate, Gate};
use super::spec::{BlockSource, CaptureMode, CaptureWork};
use crate::blocks::{self, BlockReport, ParentDevice, Ranges};
use crate::error::{Error, Result};
use crate::files::{self, ParentTree};
use crate::findings::Findings;
use crate::progress::Progress;

/// A volume, with what its parent snapshot has of it.
pub(super) enum Volume {
    Files {
        parent: Option<(SnapshotId, ParentTree)>,
    },
    Blocks {
        source: BlockSource,
        parent: Option<(SnapshotId, ParentDevice)>,
        /// Why there is no parent, if there should be one.
        lost: Option<String>,
    },
}

/// A volume whose trees are in the repository.
#[derive(Clone)]
pub(super) struct Captured {
    pub(super) root: Node,
    pub(super) entries: u64,
    pub(super) bytes: u64,
    pub(super) bytes_read: u64,
    pub(super) blocks: Option<BlockReport>,
    pub(super) findings: Findings,
}

impl Volume {
    /// Reads what is needed of the parent. Without it everything is read, which is slow but right.
    ///
    /// # Errors
    /// Instructions that make no sense.
    pub(super) async fn prepare(repository: &Repository, work: &CaptureWork) -> Result<Self> {
        let CaptureMode::Blocks(source) = &work.mode else {
            let parent = match work.parent {
                Some(id) => parent_tree(repository, id).await,
                None => None,
            };
            return Ok(Volume::Files { parent });
        };
        if !work.excludes.is_empty() || !work.late.is_empty() {
            let reason = "nothing in a block device can be left out or captured late";
            return Err(Error::Spec { reason: reason.to_owned() });
        }
        let (mut parent, mut lost) = (None, None);
        if let Some(id) = work.parent {
            match parent_device(repository, id).await {
                Ok(device) => parent = Some((id, device)),
                Err(error) => lost = Some(format!("the parent snapshot {id} cannot be used: {error}")),
            }
        }
        Ok(Volume::Blocks { source: source.clone(), parent, lost })
    }

    /// The snapshot that it is incremental to.
    pub(super) fn parent(&self) -> Option<SnapshotId> {
        match self {
            Volume::Files { parent } => parent.as_ref().map(|(id, _)| *id),
            Volume::Blocks { parent, .. } => parent.as_ref().map(|(id, _)| *id),
        }
    }

    /// Stores it.
    pub(super) async fn capture(
        self,
        writer: &Writer,
        work: &CaptureWork,
        gate: Gate,
        progress: Arc<Progress>,
    ) -> Result<Captured> {
        let (writer, path) = (writer.clone(), work.path.clone());
        match self {
            Volume::Files { parent } => {
                let parent = parent.map(|(_, tree)| tree);
                let options = files::CaptureOptions {
                    excludes: work.excludes.clone(),
                    late: work.late.clone(),
                    ..Default::default()
                };
                let gate = CaptureGate { gate, runtime: Handle::current(), patience: work.patience() };
                let capture =
                    move || files::capture(&path, &writer, parent.as_ref(), &options, &gate, &progress);
                blocking(capture).await.map(Captured::from)
            }
            Volume::Blocks { source, parent, lost } => {
                let parent = parent.map(|(_, device)| device);
                let source = opened(source, parent.is_some());
                let options =
                    blocks::CaptureOptions { stop: Arc::clone(&gate.stop().flag), ..Default::default() };
                let capture =
                    move || blocks::capture(&path, &writer, parent.as_ref(), source, &options, &progress);
                let mut captured = Captured::from(blocking(capture).await?);
                captured.findings.notes.extend(lost);
                Ok(captured)
            }
        }
    }
}

async fn parent_tree(repository: &Repository, id: SnapshotId) -> Option<(SnapshotId, ParentTree)> {
    let (reader, snapshot) = parent(repository, id).await.ok()?;
    Some((id, ParentTree::of(&reader, &snapshot).await.ok().flatten()?))
}

async fn parent_device(repository: &Repository, id: SnapshotId) -> Result<ParentDevice> {
    let (reader, snapshot) = parent(repository, id).await?;
    ParentDevice::of(&reader, &snapshot).await
}

async fn parent(repository: &Repository, id: SnapshotId) -> Result<(Reader, Snapshot)> {
    let snapshot = repository.snapshot(&id).await?;
    Ok((repository.reader().await?, snapshot))
}

/// The source with its ranges; what cannot be opened is found out when it is read.
fn opened(source: BlockSource, has_parent: bool) -> blocks::Source {
    match source {
        BlockSource::Whole => blocks::Source::Whole,
        BlockSource::Allocated(path) => blocks::Source::Allocated(ranges(&path)),
        BlockSource::Changed(path) => blocks::Source::Changed(ranges(&path)),
        BlockSource::Told(access) => changes::source(*access, has_parent),
    }
}

fn ranges(path: &Path) -> Ranges {
    match File::open(path) {
        Ok(file) => blocks::ranges_from_lines(BufReader::new(file)),
        Err(error) => {
            let error = io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            Box::new(std::iter::once(Err(error)))
        }
    }
}

impl From<files::Captured> for Captured {
    fn from(captured: files::Captured) -> Self {
        let files::Captured { root, entries, bytes, bytes_read, findings } = captured;
        Self { root, entries, bytes, bytes_read, blocks: None, findings }
    }
}

impl From<blocks::Captured> for Captured {
    fn from(captured: blocks::Captured) -> Self {
        let blocks::Captured { root, report, findings } = captured;
        let (bytes, bytes_read) = (report.size, report.read);
        Self { root, entries: 1, bytes, bytes_read, blocks: Some(report), findings }
    }
}
