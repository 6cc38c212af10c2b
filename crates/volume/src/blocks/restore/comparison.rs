//! Compares what a target holds with what it should hold, by hash.

use std::ops::Range;

use holdfast_vault::BlobId;
use rayon::prelude::*;

use super::Session;
use crate::blocks::device::Buffer;
use crate::blocks::extents::ExtentSet;
use crate::error::{Error, Result};
use crate::sparse;

/// Reads and hashes with threads of its own.
pub(super) struct Comparison<'s> {
    session: &'s Session,
    /// Extents of the target that are not known to be holes.
    data: ExtentSet,
    pool: rayon::ThreadPool,
}

impl<'s> Comparison<'s> {
    /// Notes where the target has holes.
    pub(super) fn new(session: &'s Session) -> Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(crate::blocks::workers())
            .thread_name(|n| format!("blocks-compare-{n}"))
            .build()
            .map_err(|error| Error::io("start the threads of a restore", std::io::Error::other(error)))?;
        Ok(Self { session, data: session.device.data(&session.geometry), pool })
    }

    /// The extents of a segment that the target does not hold, in order.
    pub(super) fn differing(&self, number: u32, ids: &[BlobId]) -> Result<Vec<u64>> {
        let geometry = &self.session.geometry;
        let extents = geometry.extents_in(number);
        let id = |extent: u64| &ids[(extent - extents.start) as usize];
        let runs: Vec<Range<u64>> = self.data.runs(extents.clone(), geometry.window()).collect();
        let read = self.pool.install(|| {
            let buffer = || Buffer::new(geometry.window_length());
            let runs = runs.into_par_iter();
            runs.map_init(buffer, |buffer, run| self.run(run, id, buffer)).collect::<Result<Vec<_>>>()
        })?;
        let holes = extents.clone().filter(|extent| !self.data.contains(*extent));
        let filled = holes.filter(|extent| !self.session.zeros.is(*extent, id(*extent)));
        let mut differing: Vec<u64> = read.into_iter().flatten().chain(filled).collect();
        differing.sort_unstable();
        Ok(differing)
    }

    fn run<'i>(
        &self,
        run: Range<u64>,
        id: impl Fn(u64) -> &'i BlobId,
        buffer: &mut Buffer,
    ) -> Result<Vec<u64>> {
        if self.session.stopped() {
            return Err(Error::Stopped);
        }
        let geometry = &self.session.geometry;
        let Range { start, end } = geometry.bytes(&run);
        let content = buffer.first((end - start) as usize);
        self.session.device.read(content, start)?;
        let pieces = run.zip(content.chunks(geometry.extent_size() as usize));
        let differs = |(extent, bytes): &(u64, &[u8])| {
            if self.session.zeros.is(*extent, id(*extent)) {
                !sparse::is_zero(bytes)
            } else {
                BlobId::of(bytes) != *id(*extent)
            }
        };
        Ok(pieces.filter(differs).map(|(extent, _)| extent).collect())
    }
}
