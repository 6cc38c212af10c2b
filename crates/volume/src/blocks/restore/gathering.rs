//! Reads the lists of extents and finds out which of them the target lacks.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use holdfast_vault::{BlobId, BlobKind, Reader};
use tokio::runtime::Handle;

use super::{Batch, Before, Comparison, Session};
use crate::blocks::form;
use crate::blocks::stored::StoredDevice;
use crate::error::{Error, Result};

/// Extents per batch, more or less: some megabytes to hold.
const BATCH: u64 = 16 * 1024;

/// The gathering side of a restore.
pub(super) struct Gathering<'a> {
    pub(super) reader: &'a Reader,
    pub(super) runtime: &'a Handle,
    pub(super) stored: &'a StoredDevice,
    pub(super) session: &'a Arc<Session>,
}

impl Gathering<'_> {
    /// Gathers everything, in batches.
    pub(super) fn run(&self, batches: SyncSender<Batch>) -> Result<()> {
        let comparison = match self.session.options.before {
            Before::Alike => Some(Comparison::new(self.session)?),
            Before::Zeros | Before::Unknown => None,
        };
        self.each_group(|segments| {
            let mut batch = Batch::default();
            for (number, extents) in segments {
                match extents {
                    Ok(ids) => self.segment(number, &ids, comparison.as_ref(), &mut batch)?,
                    Err(reason) => {
                        let reason = format!("segment {}: {reason}", form::segment_name(number));
                        self.session.lose(self.stored.geometry.extents_in(number), &reason)?;
                    }
                }
            }
            // The receiver is gone only if it failed, and its error is the one to tell.
            batches.send(batch).map_err(|_| Error::Stopped)
        })
    }

    /// Reads everything back and compares.
    pub(super) fn verify(&self) -> Result<()> {
        let comparison = Comparison::new(self.session)?;
        let (mut first, mut count) = (None, 0);
        self.each_group(|segments| {
            for (number, ids) in segments {
                // A list that could not be read was named.
                let differing = ids.map_or(Ok(Vec::new()), |ids| comparison.differing(number, &ids))?;
                for extent in differing.into_iter().filter(|extent| !self.session.is_lost(*extent)) {
                    first.get_or_insert(extent);
                    count += 1;
                }
            }
            Ok(())
        })?;
        let Some(first) = first else { return Ok(()) };
        let (path, offset) =
            (self.session.device.path().to_owned(), self.stored.geometry.extent(first).start);
        Err(Error::Differs { path, offset, count })
    }

    /// Calls `each` with the extents of some segments after the other.
    fn each_group(
        &self,
        mut each: impl FnMut(Vec<(u32, Result<Vec<BlobId>, String>)>) -> Result<()>,
    ) -> Result<()> {
        let geometry = &self.stored.geometry;
        let per_segment = geometry.extents_in(0);
        let size = (BATCH / (per_segment.end - per_segment.start).max(1)).max(1) as usize;
        let numbers: Vec<u32> = (0..geometry.segments()).collect();
        for group in numbers.chunks(size) {
            if self.session.stopped() {
                return Err(Error::Stopped);
            }
            let extents = self.runtime.block_on(self.stored.extents_of(self.reader, group));
            each(group.iter().copied().zip(extents).collect())?;
        }
        Ok(())
    }

    /// Makes zeros where they are missing, and adds what is to be fetched.
    fn segment(
        &self,
        number: u32,
        ids: &[BlobId],
        comparison: Option<&Comparison<'_>>,
        batch: &mut Batch,
    ) -> Result<()> {
        let session = self.session;
        let extents = session.geometry.extents_in(number);
        let missing = match (comparison, session.options.before) {
            (Some(comparison), _) => comparison.differing(number, ids)?,
            (None, _) => extents.clone().collect(),
        };
        let lacking: usize = missing.iter().map(|extent| session.geometry.extent_length(*extent)).sum();
        let Range { start, end } = session.geometry.segment(number);
        session.progress.content(end - start - lacking as u64);
        let mut zeros: Option<Range<u64>> = None;
        for extent in missing {
            let id = ids[(extent - extents.start) as usize];
            if session.zeros.is(extent, &id) {
                zeros = match zeros {
                    Some(run) if run.end == extent => Some(run.start..extent + 1),
                    other => {
                        self.clear(other)?;
                        Some(extent..extent + 1)
                    }
                };
            } else {
                self.want(extent, id, batch)?;
            }
        }
        self.clear(zeros)
    }

    fn clear(&self, extents: Option<Range<u64>>) -> Result<()> {
        let Some(extents) = extents else { return Ok(()) };
        let bytes = self.session.geometry.bytes(&extents);
        self.session.progress.content(bytes.end - bytes.start);
        match self.session.options.before {
            Before::Zeros => Ok(()),
            Before::Unknown | Before::Alike => self.session.clear(extents),
        }
    }

    fn want(&self, extent: u64, id: BlobId, batch: &mut Batch) -> Result<()> {
        let wanted = self.session.geometry.extent_length(extent) as u64;
        match self.reader.size_of(BlobKind::Data, &id) {
            Some(length) if length != wanted => {
                self.session.lose(extent..extent + 1, &format!("it has {length} bytes instead of {wanted}"))
            }
            // One that is not there is found missing when it is fetched.
            _ => {
                batch.add(id, extent);
                Ok(())
            }
        }
    }
}
