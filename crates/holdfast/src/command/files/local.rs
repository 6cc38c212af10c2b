//! Restores files to a directory of this machine, straight from the vault.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use holdfast_model::{Outcome, Problem};
use holdfast_protect::progress::{Event, Observer};
use holdfast_volume::files::{self, Progress, RestoreMode, RestoreOptions, Restored, Verified};
use holdfast_volume::mover::{FileRestore, Wanted};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::error::Error;
use crate::in_place::How;
use crate::output::amount::{count, size};
use crate::output::{Cell, Details, View};
use crate::progress::run::observer;
use crate::render;
use crate::session::Session;
use crate::volumes::{self, OpenVolume};

/// How often progress is told.
const EVERY: Duration = Duration::from_millis(500);

/// What a restore to this machine did.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Local {
    pub(super) outcome: Outcome,
    point: String,
    volume: String,
    directory: PathBuf,
    entries: u64,
    bytes: u64,
    bytes_written: u64,
    changed: u64,
    deleted: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<Verified>,
    problems: Vec<Problem>,
}

/// Restores what is selected below `directory`, which is made if it is not there.
pub(super) async fn restore(
    session: &Session,
    volume: &OpenVolume,
    directory: &Path,
    select: &[Wanted],
    how: &How,
    cancel: CancellationToken,
) -> anyhow::Result<Local> {
    std::fs::create_dir_all(directory).map_err(|error| Error::file("create", directory, error))?;
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        session.note("what is restored will belong to you: only root can give files their owners");
    }
    let select = FileRestore { select: select.to_vec(), ..FileRestore::default() };
    let options = RestoreOptions {
        mode: RestoreMode::Exact { extras: how.extras(), compare: how.compare() },
        select: select.selection()?.map(Arc::new),
        verify: how.verify(),
        devices: how.restore_devices,
        setuid: how.restore_setuid,
        owners: is_root,
        sync: false,
        ..RestoreOptions::default()
    };
    let (stop, done) = (Arc::clone(&options.stop), CancellationToken::new());
    let restoring = interruptible(volume, directory, options, observer(session));
    let stopping = AbortOnDropHandle::new(tokio::spawn({
        let done = done.clone();
        async move {
            cancel.cancelled().await;
            stop.store(true, Ordering::Relaxed);
            done.cancel();
        }
    }));
    let restored = restoring.await;
    drop(stopping);
    if done.is_cancelled() {
        return Err(Error::Interrupted.into());
    }
    Ok(report(volume, directory, restored?))
}

async fn interruptible(
    volume: &OpenVolume,
    directory: &Path,
    options: RestoreOptions,
    observer: Arc<dyn Observer>,
) -> holdfast_volume::Result<Restored> {
    let (reader, snapshot, tree) = (volume.open.reader.clone(), volume.snapshot.clone(), volume.stored.tree);
    let (target, runtime, progress) =
        (directory.to_owned(), Handle::current(), Arc::new(Progress::default()));
    let total = options.select.is_none().then_some(volume.capture.bytes);
    let telling = tell(Arc::clone(&progress), observer, volumes::name(&volume.capture), total);
    let _telling = AbortOnDropHandle::new(tokio::spawn(telling));
    let work = move || match options.select {
        // The directory itself is the user's own, whatever the volume's was.
        None => files::restore(&reader, &runtime, &tree, &target, &options, &progress),
        Some(_) => files::restore_volume(&reader, &runtime, &snapshot, &target, &options, &progress),
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(restored) => restored,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

async fn tell(progress: Arc<Progress>, observer: Arc<dyn Observer>, claim: String, total: Option<u64>) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        observer.event(Event::Volume {
            claim: claim.clone(),
            phase: "restoring".to_owned(),
            done_bytes: progress.bytes(),
            total_bytes: total,
            files: progress.entries(),
        });
    }
}

fn report(volume: &OpenVolume, directory: &Path, restored: Restored) -> Local {
    let problems = restored.findings.all_problems();
    Local {
        outcome: Outcome::of(&problems),
        point: volume.open.point.id.to_string(),
        volume: volumes::name(&volume.capture),
        directory: directory.to_owned(),
        entries: restored.entries,
        bytes: restored.bytes,
        bytes_written: restored.bytes_written,
        changed: restored.changed,
        deleted: restored.deleted,
        verified: restored.verified,
        problems,
    }
}

/// The report as people read it.
pub(super) fn render(report: &Local, view: &View) -> String {
    let mut details = Details::new();
    details
        .field("Outcome", Cell::outcome(report.outcome))
        .field("Point", &report.point)
        .field("Volume", &report.volume)
        .field("Restored to", report.directory.display())
        .field("Files", format!("{} entries, {}", count(report.entries), size(report.bytes)))
        .field("Written", format!("{} entries, {}", count(report.changed), size(report.bytes_written)));
    if report.deleted > 0 {
        details.field("Removed", format!("{} entries", count(report.deleted)));
    }
    if let Some(verified) = report.verified {
        details.field("Verified", render::verified(verified.bytes, verified.different));
    }
    render::problems(&report.problems, &mut details);
    details.render(view)
}
