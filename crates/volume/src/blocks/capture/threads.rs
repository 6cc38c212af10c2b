//! The threads of a capture: the caller's plans, the others read, hash and store.

use std::thread::{Builder, ScopedJoinHandle};

use crossbeam_channel::bounded;

use super::parent::ParentDevice;
use super::plan::Plan;
use super::segment::Task;
use super::selection::Selection;
use super::work::{Done, Setback, Work};
use crate::error::{Error, Result};

/// Tasks that wait for a thread. Each may keep two lists of a segment's extents: 512 KiB.
const QUEUE: usize = 16;

/// Captures what is selected; all else is taken from the parent or is zero.
pub(super) fn run(
    work: Work<'_>,
    selection: &Selection,
    parent: Option<&ParentDevice>,
) -> Result<Done, Setback> {
    let (queue, waiting) = bounded::<Task>(QUEUE);
    let plan = Plan::new(&work, selection, parent);
    std::thread::scope(|scope| {
        let start = |number| {
            let waiting = waiting.clone();
            Builder::new().name(format!("blocks-{number}")).spawn_scoped(scope, || work.thread(waiting))
        };
        let threads = (0..work.options.workers.max(1)).map(start).collect::<std::io::Result<Vec<_>>>();
        drop(waiting);
        let threads = threads.map_err(|error| Error::io("start the threads of a capture", error))?;
        let planned = plan.run(&queue);
        drop(queue);
        // A thread that failed is why the plan could not be carried out, not the other way round.
        ended(threads).map_or(planned, |error| Err(Setback::Fatal(error)))
    })?;
    Ok(work.into_done())
}

/// Waits for all threads and gives the error that ended them, if one did.
fn ended(threads: Vec<ScopedJoinHandle<'_, Result<()>>>) -> Option<Error> {
    let join = |thread: ScopedJoinHandle<'_, Result<()>>| {
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)).err()
    };
    let errors: Vec<Error> = threads.into_iter().filter_map(join).collect();
    // All but the one that failed only know that they were stopped.
    errors.into_iter().min_by_key(|error| matches!(error, Error::Stopped))
}
