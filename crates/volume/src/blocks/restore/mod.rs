//! Restores a device: one thread reads the lists of extents and finds out which of them the target
//! lacks, a batch at a time; each batch is fetched pack by pack and written from the vault's
//! threads, while the next is gathered.
//!
//! The trees are not trusted: what is not of the form is named, and nothing is written anywhere
//! but into the target.

mod batch;
mod comparison;
mod gathering;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use holdfast_model::Problem;
use holdfast_vault::{Reader, Snapshot};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::device::{Buffer, Device};
use super::extents::ExtentSet;
use super::geometry::Geometry;
use super::stored::StoredDevice;
use super::zeros::Zeros;
use crate::error::{Error, Result};
use crate::findings::Recorder;
use crate::progress::Progress;
use crate::restored::Restored;
use crate::sparse;
use batch::Batch;
use comparison::Comparison;
use gathering::Gathering;

/// What the target holds before it is restored into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Before {
    /// Nothing but zeros; they are not written again.
    Zeros,
    /// Anything. All of it is overwritten.
    #[default]
    Unknown,
    /// Much of the same: an earlier state of the volume, or a part of an earlier restore. All of it
    /// is read, and only what differs is written.
    Alike,
}

/// How a restore goes about it.
#[derive(Debug, Clone)]
pub struct RestoreOptions {
    /// What the target holds before.
    pub before: Before,
    /// Read all of it back from storage afterwards and compare.
    pub verify: bool,
    /// Wait until everything is on disk.
    pub sync: bool,
    /// Set to end the restore early.
    pub stop: Arc<AtomicBool>,
}

impl Default for RestoreOptions {
    fn default() -> Self {
        Self { before: Before::default(), verify: false, sync: true, stop: Arc::default() }
    }
}

/// What the threads of one restore share.
struct Session {
    device: Device,
    geometry: Geometry,
    zeros: Zeros,
    options: RestoreOptions,
    recorder: Recorder,
    progress: Arc<Progress>,
    /// Extents that could not be had.
    lost: Mutex<ExtentSet>,
}

/// Restores the device in `snapshot` into the device or regular file `target`, which must be at
/// least as large; what is beyond the volume's end stays. Blocks; must not be called on a thread
/// of the runtime.
///
/// # Errors
/// [`Error::NoVolume`] if the snapshot holds no device; [`Error::Device`] also for a target that is
/// in use; [`Error::TooSmall`], [`Error::Full`], [`Error::Read`], [`Error::Write`],
/// [`Error::Differs`], [`Error::Stopped`]. Extents that cannot be had are no error: they are named in
/// the findings, and keep what was there, or zeros if that is unknown.
pub fn restore_volume(
    reader: &Reader,
    runtime: &Handle,
    snapshot: &Snapshot,
    target: &Path,
    options: &RestoreOptions,
    progress: &Arc<Progress>,
) -> Result<Restored> {
    let stored = runtime.block_on(StoredDevice::of(reader, snapshot))?;
    let device = Device::open_for_writing(target)?;
    let (size, needed) = (device.size(), stored.geometry.size());
    if size < needed {
        return Err(Error::TooSmall { path: device.path().to_owned(), size, needed });
    }
    let session = Arc::new(Session {
        zeros: Zeros::of(&stored.geometry),
        lost: Mutex::new(ExtentSet::none(stored.geometry.extents())),
        geometry: stored.geometry,
        device,
        options: options.clone(),
        recorder: Recorder::default(),
        progress: Arc::clone(progress),
    });
    let written = progress.bytes_moved();
    fill(&Gathering { reader, runtime, stored: &stored, session: &session })?;
    progress.entry(0);
    let bytes_written = progress.bytes_moved() - written;
    let findings = session.recorder.snapshot();
    Ok(Restored { entries: 1, bytes: needed, bytes_written, findings, ..Restored::default() })
}

fn fill(gathering: &Gathering<'_>) -> Result<()> {
    let Gathering { reader, runtime, session, .. } = gathering;
    // One batch waits while one is fetched: enough to keep both sides busy.
    let (sender, batches) = mpsc::sync_channel::<Batch>(0);
    std::thread::scope(|scope| {
        let gatherer = std::thread::Builder::new()
            .name("blocks-gather".to_owned())
            .spawn_scoped(scope, || gathering.run(sender))
            .map_err(|error| Error::io("start the thread of a restore", error))?;
        let fetched = batches.iter().try_for_each(|batch| batch.run(reader, runtime, session));
        // Without a receiver the gatherer ends at its next batch.
        drop(batches);
        let gathered = gatherer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        fetched.and(gathered)
    })?;
    if session.options.sync || session.options.verify {
        session.device.sync()?;
    }
    if session.options.verify {
        session.device.forget();
        gathering.verify()?;
    }
    Ok(())
}

impl Session {
    fn stopped(&self) -> bool {
        self.options.stop.load(Ordering::Relaxed)
    }

    /// Writes one extent.
    fn write(&self, extent: u64, bytes: &[u8]) -> Result<()> {
        self.device.write(bytes, self.geometry.extent(extent).start)?;
        self.progress.moved(bytes.len() as u64);
        self.progress.content(bytes.len() as u64);
        Ok(())
    }

    /// Makes neighbouring extents zero, on a target that may hold anything there.
    fn clear(&self, extents: std::ops::Range<u64>) -> Result<()> {
        let bytes = self.geometry.bytes(&extents);
        if self.device.punch(bytes.start, bytes.end - bytes.start)? {
            return Ok(());
        }
        // Writing zeros takes room on thin storage, so it is not done where they are.
        let mut buffer = Buffer::new(self.geometry.extent_size() as usize);
        for extent in extents {
            let content = buffer.first(self.geometry.extent_length(extent));
            let at = self.geometry.extent(extent).start;
            self.device.read(content, at)?;
            if !sparse::is_zero(content) {
                content.fill(0);
                self.device.write(content, at)?;
                self.progress.moved(content.len() as u64);
            }
        }
        Ok(())
    }

    /// Names neighbouring extents that cannot be had.
    fn lose(&self, extents: std::ops::Range<u64>, reason: &str) -> Result<()> {
        let bytes = self.geometry.bytes(&extents);
        let (subject, kept) = (
            format!("bytes {} to {}", bytes.start, bytes.end - 1),
            match self.options.before {
                Before::Alike => "they are as they were before",
                Before::Zeros | Before::Unknown => "they are zero",
            },
        );
        let problem = Problem::new("volume.damaged", subject, format!("not restored, {kept}: {reason}"));
        self.recorder
            .problem(problem.hint(
                "`holdfast vault check --read-data` tells what is damaged; take another point or copy",
            ));
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).insert(extents.clone());
        if self.options.before == Before::Unknown { self.clear(extents) } else { Ok(()) }
    }

    fn is_lost(&self, extent: u64) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).contains(extent)
    }
}
