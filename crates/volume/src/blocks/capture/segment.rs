//! One segment while its extents are captured.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_vault::BlobId;

use crate::blocks::geometry::Geometry;
use crate::blocks::zeros::Zeros;

/// A segment of which some extents are still to be read.
pub(super) struct Segment {
    pub(super) number: u32,
    /// Its extents.
    extents: Range<u64>,
    /// What the parent snapshot has in their place; shorter where the parent is.
    before: Vec<BlobId>,
    state: Mutex<State>,
}

struct State {
    extents: Vec<BlobId>,
    tasks_left: usize,
}

/// Runs of extents that one thread reads and stores: about as much as its buffer takes.
pub(super) struct Task {
    pub(super) segment: Arc<Segment>,
    pub(super) runs: Vec<Range<u64>>,
}

impl Segment {
    /// A segment that holds `extents` except for what `tasks` tasks are going to put.
    pub(super) fn new(
        number: u32,
        geometry: &Geometry,
        before: Vec<BlobId>,
        extents: Vec<BlobId>,
        tasks: usize,
    ) -> Self {
        let state = Mutex::new(State { extents, tasks_left: tasks });
        Self { number, extents: geometry.extents_in(number), before, state }
    }

    /// Puts what one task has stored, and returns all extents if that was the last task.
    pub(super) fn put(&self, stored: Vec<(u64, BlobId)>) -> Option<Vec<BlobId>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (extent, id) in stored {
            state.extents[(extent - self.extents.start) as usize] = id;
        }
        state.tasks_left = state.tasks_left.saturating_sub(1);
        (state.tasks_left == 0).then(|| std::mem::take(&mut state.extents))
    }

    /// Bytes of extents that are not as in the parent, or not zero where the parent has none.
    pub(super) fn changed(&self, extents: &[BlobId], geometry: &Geometry, zeros: &Zeros) -> u64 {
        let numbered = self.extents.clone().zip(extents).zip(0..);
        let differing = numbered.filter(|((number, id), at)| match self.before.get(*at) {
            Some(before) => before != *id,
            None => !zeros.is(*number, id),
        });
        differing.map(|((number, _), _)| geometry.extent_length(number) as u64).sum()
    }

    /// The number of its first extent.
    pub(super) fn start(&self) -> u64 {
        self.extents.start
    }
}

/// Puts runs together to tasks of about `window` extents.
pub(super) fn tasks(runs: impl Iterator<Item = Range<u64>>, window: u64) -> Vec<Vec<Range<u64>>> {
    let mut tasks: Vec<Vec<Range<u64>>> = Vec::new();
    let mut room = 0;
    for run in runs {
        let length = run.end - run.start;
        match tasks.last_mut() {
            Some(task) if length <= room => task.push(run),
            _ => {
                tasks.push(vec![run]);
                room = window;
            }
        }
        room = room.saturating_sub(length);
    }
    tasks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_runs_share_a_task_and_large_ones_do_not() {
        let made = tasks([0..1, 5..7, 9..40, 50..51].into_iter(), 32);
        assert_eq!(made, [vec![0..1, 5..7], vec![9..40, 50..51]]);
        assert!(tasks(std::iter::empty(), 32).is_empty());
    }

    #[test]
    fn the_last_task_ends_a_segment_and_changes_are_counted() {
        let geometry = Geometry::of(3 * 131_072 + 5).unwrap();
        let zeros = Zeros::of(&geometry);
        let (one, two) = (BlobId::of(b"1"), BlobId::of(b"2"));
        let before = vec![one, zeros.name(1), one];
        let base: Vec<BlobId> = (0..4).map(|extent| zeros.name(extent)).collect();
        let segment = Segment::new(0, &geometry, before.clone(), base, 2);
        assert_eq!(segment.put(vec![(0, one)]), None);
        let extents = segment.put(vec![(1, two), (3, two)]).unwrap();
        assert_eq!(extents, [one, two, zeros.name(2), two]);
        assert_eq!(segment.changed(&extents, &geometry, &zeros), 2 * 131_072 + 5);
        assert_eq!(zeros.allocated(&geometry, segment.start(), &extents), 2 * 131_072 + 5);
        assert_eq!(zeros.allocated(&geometry, segment.start(), &before), 2 * 131_072);
    }
}
