//! What the threads of a capture share: they read, hash and store.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use crossbeam_channel::Receiver;
use holdfast_vault::{BlobId, BlobKind, Writer};

use super::CaptureOptions;
use super::segment::{Segment, Task};
use crate::blocks::device::{Buffer, Device};
use crate::blocks::form;
use crate::blocks::geometry::{Geometry, SEGMENT};
use crate::blocks::zeros::Zeros;
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::sparse;

/// A capture under way.
pub(super) struct Work<'a> {
    pub(super) device: &'a Device,
    pub(super) geometry: Geometry,
    pub(super) writer: &'a Writer,
    pub(super) progress: &'a Progress,
    pub(super) zeros: Zeros,
    pub(super) options: &'a CaptureOptions,
    /// The tree of a segment of nothing but zeros.
    zero_segment: OnceLock<BlobId>,
    done: Mutex<Done>,
    /// A thread has failed, so that the others need not go on.
    failed: AtomicBool,
}

/// What was stored.
pub(super) struct Done {
    /// The trees of all segments.
    pub(super) segments: Vec<BlobId>,
    /// Bytes of extents that are not zero, of segments that were not kept.
    pub(super) allocated: u64,
    /// Bytes of extents that are not zero in the parent's segments that these replace.
    pub(super) replaced: u64,
    /// Bytes of extents that differ from the parent's, or from zero without a parent.
    pub(super) changed: u64,
}

/// Why a capture did not come to its end.
pub(super) enum Setback {
    /// The parent cannot be built on. Without it the capture can be done.
    Parent(String),
    Fatal(Error),
}

impl<E: Into<Error>> From<E> for Setback {
    fn from(error: E) -> Self {
        Setback::Fatal(error.into())
    }
}

impl Setback {
    pub(super) fn into_error(self) -> Error {
        match self {
            Setback::Fatal(error) => error,
            // A capture of everything asks nothing of a parent.
            Setback::Parent(reason) => {
                Error::io("build on the parent snapshot", std::io::Error::other(reason))
            }
        }
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        device: &'a Device,
        geometry: Geometry,
        writer: &'a Writer,
        options: &'a CaptureOptions,
        progress: &'a Progress,
    ) -> Self {
        let segments = vec![BlobId::from_bytes([0; 32]); geometry.segments() as usize];
        let done = Done { segments, allocated: 0, replaced: 0, changed: 0 };
        Self {
            device,
            geometry,
            writer,
            progress,
            zeros: Zeros::of(&geometry),
            options,
            zero_segment: OnceLock::new(),
            done: Mutex::new(done),
            failed: AtomicBool::new(false),
        }
    }

    /// What one thread does.
    pub(super) fn thread(&self, waiting: Receiver<Task>) -> Result<()> {
        let mut buffer = Buffer::new(self.geometry.window_length());
        let done = waiting.iter().try_for_each(|task| self.perform(&task, &mut buffer));
        if done.is_err() {
            self.failed.store(true, Ordering::Relaxed);
        }
        done
    }

    fn perform(&self, task: &Task, buffer: &mut Buffer) -> Result<()> {
        let mut stored = Vec::new();
        for run in &task.runs {
            if self.is_stopped() {
                return Err(Error::Stopped);
            }
            let Range { start, end } = self.geometry.bytes(run);
            let bytes = buffer.first((end - start) as usize);
            self.device.read(bytes, start)?;
            self.progress.moved(end - start);
            for (extent, bytes) in run.clone().zip(bytes.chunks(self.geometry.extent_size() as usize)) {
                stored.push((extent, self.store(extent, bytes)?));
            }
            self.progress.content(end - start);
        }
        self.put(&task.segment, stored)
    }

    /// Whether the capture was told to end, or a thread has failed.
    pub(super) fn is_stopped(&self) -> bool {
        self.failed.load(Ordering::Relaxed) || self.options.stop.load(Ordering::Relaxed)
    }

    fn store(&self, extent: u64, bytes: &[u8]) -> Result<BlobId> {
        if sparse::is_zero(bytes) { self.zero(extent) } else { Ok(self.writer.data(bytes)?) }
    }

    /// The blob of an extent that is zero, stored if it was not.
    pub(super) fn zero(&self, extent: u64) -> Result<BlobId> {
        let id = self.zeros.name(extent);
        if !self.writer.has(BlobKind::Data, &id) {
            self.writer.data(&vec![0; self.geometry.extent_length(extent)])?;
        }
        Ok(id)
    }

    /// Takes the tree of a segment as it is.
    pub(super) fn keep(&self, number: u32, tree: BlobId) {
        let Range { start, end } = self.geometry.segment(number);
        self.progress.content(end - start);
        self.done().segments[number as usize] = tree;
    }

    /// Takes note that a segment of the parent with so many bytes that are not zero is replaced.
    pub(super) fn replace(&self, allocated: u64) {
        self.done().replaced += allocated;
    }

    /// Puts extents into a segment, and stores its tree if nothing is missing any more.
    pub(super) fn put(&self, segment: &Segment, stored: Vec<(u64, BlobId)>) -> Result<()> {
        let Some(extents) = segment.put(stored) else { return Ok(()) };
        let changed = segment.changed(&extents, &self.geometry, &self.zeros);
        let allocated = self.zeros.allocated(&self.geometry, segment.start(), &extents);
        let Range { start, end } = self.geometry.segment(segment.number);
        let is_common = allocated == 0 && end - start == SEGMENT;
        let tree = match self.zero_segment.get().filter(|_| is_common) {
            Some(tree) => *tree,
            None => self.writer.tree(&form::segment_tree(end - start, extents))?,
        };
        if is_common {
            self.zero_segment.get_or_init(|| tree);
        }
        let mut done = self.done();
        done.segments[segment.number as usize] = tree;
        done.allocated += allocated;
        done.changed += changed;
        Ok(())
    }

    /// What was stored, when all threads have ended.
    pub(super) fn into_done(self) -> Done {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
