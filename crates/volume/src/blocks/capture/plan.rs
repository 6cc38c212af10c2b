//! Decides segment by segment what is taken from the parent, what is zero, and what is read.

use std::ops::Range;
use std::sync::Arc;

use crossbeam_channel::Sender;
use holdfast_vault::{BlobId, BlobKind};

use super::Reading;
use super::parent::ParentDevice;
use super::segment::{Segment, Task, tasks};
use super::selection::Selection;
use super::work::{Setback, Work};
use crate::blocks::form;
use crate::error::{Error, Result};

/// Segments whose extents in the parent are asked for at a time.
const LOOKAHEAD: usize = 16;

/// The plan of one capture.
pub(super) struct Plan<'w> {
    work: &'w Work<'w>,
    selection: &'w Selection,
    /// What the result is compared with.
    parent: Option<&'w ParentDevice>,
    /// The same, if what is not selected is taken from it.
    base: Option<&'w ParentDevice>,
}

impl<'w> Plan<'w> {
    pub(super) fn new(
        work: &'w Work<'w>,
        selection: &'w Selection,
        parent: Option<&'w ParentDevice>,
    ) -> Self {
        let base = parent.filter(|_| selection.reading == Reading::Changed);
        Self { work, selection, parent, base }
    }

    /// Hands out everything that is to be read. Segments of which nothing is read are done at once.
    pub(super) fn run(&self, queue: &Sender<Task>) -> Result<(), Setback> {
        let all = 0..self.work.geometry.segments();
        let (open, same): (Vec<u32>, Vec<u32>) = all.partition(|number| self.is_open(*number));
        for number in same {
            self.keep(number)?;
        }
        for group in open.chunks(LOOKAHEAD) {
            if self.work.is_stopped() {
                return Err(Error::Stopped.into());
            }
            for (number, before) in group.iter().zip(self.before(group)?) {
                self.begin(*number, before, queue)?;
            }
        }
        Ok(())
    }

    /// Whether a segment may differ from the parent's.
    fn is_open(&self, number: u32) -> bool {
        let geometry = &self.work.geometry;
        self.base.is_none_or(|base| {
            base.geometry().segment(number) != geometry.segment(number)
                || self.selection.extents.meets(geometry.extents_in(number))
        })
    }

    /// Takes a whole segment over from the parent.
    fn keep(&self, number: u32) -> Result<(), Setback> {
        let tree = self.base.and_then(|base| base.segment(number));
        let kept = tree.filter(|tree| self.work.writer.has(BlobKind::Tree, tree));
        self.work.keep(number, kept.ok_or_else(|| lost(number, "its directory is not in the vault"))?);
        Ok(())
    }

    /// What the parent has in some segments.
    fn before(&self, group: &[u32]) -> Result<Vec<Vec<BlobId>>, Setback> {
        let Some(parent) = self.parent else { return Ok(vec![Vec::new(); group.len()]) };
        let found = group.iter().zip(parent.extents_of(group));
        let extents = found.map(|(number, extents)| match extents {
            Err(reason) if self.base.is_some() => Err(lost(*number, &reason)),
            // It was only to be compared with.
            other => Ok(other.unwrap_or_default()),
        });
        extents.collect()
    }

    /// Hands out what is to be read of a segment.
    fn begin(&self, number: u32, before: Vec<BlobId>, queue: &Sender<Task>) -> Result<(), Setback> {
        let Work { geometry, progress, .. } = self.work;
        let extents = geometry.extents_in(number);
        if let Some(base) = self.base {
            self.work.replace(base.allocated_in(extents.start, &before));
        }
        let known = extents.clone().zip(0..).map(|(extent, at)| self.known(extent, before.get(at)));
        let known = known.collect::<Result<Vec<BlobId>, Setback>>()?;
        let runs: Vec<Range<u64>> = self.selection.extents.runs(extents, geometry.window()).collect();
        let read: u64 = runs.iter().map(|run| geometry.bytes(run).end - geometry.bytes(run).start).sum();
        let Range { start, end } = geometry.segment(number);
        progress.content(end - start - read);
        let tasks = tasks(runs.into_iter(), geometry.window());
        let segment = Segment::new(number, geometry, before, known, tasks.len());
        if tasks.is_empty() {
            return Ok(self.work.put(&segment, Vec::new())?);
        }
        let segment = Arc::new(segment);
        for runs in tasks {
            // Nobody takes it once a thread has failed.
            queue.send(Task { segment: Arc::clone(&segment), runs }).map_err(|_| Error::Stopped)?;
        }
        Ok(())
    }

    /// What an extent is if it is not read; for one that is read, anything.
    fn known(&self, extent: u64, before: Option<&BlobId>) -> Result<BlobId, Setback> {
        let Work { geometry, writer, zeros, .. } = self.work;
        if self.selection.extents.contains(extent) {
            return Ok(zeros.name(extent));
        }
        match (self.base, before) {
            (None, _) => Ok(self.work.zero(extent)?),
            (Some(_), Some(id)) if writer.has(BlobKind::Data, id) => Ok(*id),
            (Some(_), _) => {
                let offset = geometry.extent(extent).start;
                Err(Setback::Parent(format!("the extent at byte {offset} is not in the vault")))
            }
        }
    }
}

fn lost(number: u32, reason: &str) -> Setback {
    Setback::Parent(format!("segment {}: {reason}", form::segment_name(number)))
}
