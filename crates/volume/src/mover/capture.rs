//! A mover that captures: opens the repository, waits for its turn, walks, commits.

use std::sync::Arc;
use std::time::Duration;

use holdfast_vault::{Reader, Repository, Snapshot, SnapshotSummary, Writer, WriterOptions};
use jiff::Timestamp;
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;

use super::event::{self, Event, Phase};
use super::gate::{CaptureGate, Gate};
use super::report::CaptureReport;
use super::spec::{CaptureWork, MoverSpec};
use crate::error::{Error, Result};
use crate::files::{self, CaptureOptions, Captured, ParentTree, Progress, VOLUME_DIR};

/// How often progress is said.
const EVERY: Duration = Duration::from_secs(1);

pub(super) async fn run(spec: &MoverSpec, work: CaptureWork, gate: Gate) -> Result<()> {
    let stop = Arc::clone(gate.stop());
    let repository = spec.repository.open().await?;
    // Everything that takes time and needs no volume is done before the application is held.
    let owned = WriterOptions { owner: spec.run.to_string(), ..WriterOptions::default() };
    let writer = repository.writer(owned).await?;
    let captured = tokio::select! {
        captured = capture(&repository, &writer, &work, gate) => captured,
        () = stop.wait() => Err(Error::Stopped),
    };
    if captured.is_err() {
        // Removes the lock; what was stored stays for the next attempt.
        let closed = tokio::time::timeout(Duration::from_secs(8), writer.close()).await;
        drop(closed);
    } else {
        writer.close().await?;
    }
    event::emit(&Event::Captured { snapshot: captured?.to_string() });
    Ok(())
}

async fn capture(
    repository: &Repository,
    writer: &Writer,
    work: &CaptureWork,
    gate: Gate,
) -> Result<holdfast_vault::SnapshotId> {
    let parent = match work.parent {
        Some(id) => parent(repository, id).await,
        None => None,
    };
    event::emit(&Event::Phase { phase: Phase::Ready });
    gate.wait(Phase::Begin, work.patience()).await?;
    let started = now();
    let progress = Arc::new(Progress::default());
    let saying = AbortOnDropHandle::new(tokio::spawn(say(Arc::clone(&progress), writer.clone())));
    let captured = walk(writer, work, parent.as_ref().map(|(_, tree)| tree.clone()), gate, progress).await?;
    drop(saying);
    let finished = now();
    writer.flush().await?;
    let report = report(work, &captured, writer, started, finished);
    let text = serde_json::to_vec_pretty(&report).map_err(|error| Error::io("write the report", error))?;
    let tree = blocking({
        let (writer, captured) = (writer.clone(), captured.clone());
        move || captured.root_tree(&writer, &text)
    })
    .await?;
    let mut snapshot = Snapshot::new(started, tree);
    snapshot.parent = parent.map(|(id, _)| id);
    snapshot.paths = vec![format!("/{VOLUME_DIR}")];
    snapshot.hostname.clone_from(&work.cluster);
    snapshot.excludes.clone_from(&work.excludes);
    snapshot.tags.clone_from(&work.tags);
    snapshot.summary = Some(summary(&report, writer));
    Ok(writer.commit(snapshot).await?)
}

/// The volume in the parent snapshot. Without it everything is read, which is slow but right.
async fn parent(
    repository: &Repository,
    id: holdfast_vault::SnapshotId,
) -> Option<(holdfast_vault::SnapshotId, ParentTree)> {
    let snapshot = repository.snapshot(&id).await.ok()?;
    let reader: Reader = repository.reader().await.ok()?;
    Some((id, ParentTree::of(&reader, &snapshot).await.ok().flatten()?))
}

async fn walk(
    writer: &Writer,
    work: &CaptureWork,
    parent: Option<ParentTree>,
    gate: Gate,
    progress: Arc<Progress>,
) -> Result<Captured> {
    let options = CaptureOptions {
        excludes: work.excludes.clone(),
        late: work.late.clone(),
        ..CaptureOptions::default()
    };
    let gate = CaptureGate { gate, runtime: Handle::current(), patience: work.patience() };
    let (writer, path) = (writer.clone(), work.path.clone());
    blocking(move || files::capture(&path, &writer, parent.as_ref(), &options, &gate, &progress)).await
}

/// Runs work that blocks off the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(Error::Stopped),
        },
    }
}

fn report(
    work: &CaptureWork,
    captured: &Captured,
    writer: &Writer,
    started: Timestamp,
    finished: Timestamp,
) -> CaptureReport {
    let stats = writer.stats();
    CaptureReport {
        program: format!("holdfast {}", env!("CARGO_PKG_VERSION")),
        namespace: work.namespace.clone(),
        claim: work.claim.clone(),
        started,
        finished,
        entries: captured.entries,
        bytes: captured.bytes,
        bytes_read: captured.bytes_read,
        bytes_stored: stats.bytes_stored,
        bytes_new: stats.bytes_added,
        findings: captured.findings.clone(),
    }
}

fn summary(report: &CaptureReport, writer: &Writer) -> SnapshotSummary {
    let stats = writer.stats();
    SnapshotSummary {
        backup_start: report.started,
        backup_end: report.finished,
        files_new: 0,
        files_changed: 0,
        files_unmodified: 0,
        dirs_new: 0,
        dirs_changed: 0,
        dirs_unmodified: 0,
        data_blobs: stats.data_blobs,
        tree_blobs: stats.tree_blobs,
        data_added: stats.bytes_added,
        data_added_packed: stats.bytes_stored,
        total_files_processed: report.entries,
        total_bytes_processed: report.bytes,
    }
}

async fn say(progress: Arc<Progress>, writer: Writer) {
    let mut ticks = tokio::time::interval(EVERY);
    loop {
        ticks.tick().await;
        event::emit(&Event::Progress {
            entries: progress.entries(),
            bytes: progress.bytes(),
            bytes_moved: progress.bytes_moved(),
            bytes_uploaded: writer.stats().bytes_uploaded,
        });
    }
}

#[allow(clippy::disallowed_methods, reason = "the mover is a process of its own, and this its edge")]
fn now() -> Timestamp {
    Timestamp::now()
}
