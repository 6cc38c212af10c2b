//! A mover that captures: opens the repository, waits for its turn, reads the volume, commits.

use std::sync::Arc;
use std::time::Duration;

use holdfast_vault::{Repository, Snapshot, SnapshotSummary, Writer, WriterOptions};
use jiff::Timestamp;
use tokio_util::task::AbortOnDropHandle;

use super::blocking::blocking;
use super::event::{self, Event, Phase};
use super::gate::Gate;
use super::report::CaptureReport;
use super::spec::{CaptureWork, MoverSpec};
use super::volume::{Captured, Volume};
use crate::error::{Error, Result};
use crate::progress::Progress;
use crate::root::{self, VOLUME_DIR};

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
    let volume = Volume::prepare(repository, work).await?;
    let parent = volume.parent();
    event::emit(&Event::Phase { phase: Phase::Ready });
    gate.wait(Phase::Begin, work.patience()).await?;
    let started = now();
    let progress = Arc::new(Progress::default());
    let saying = AbortOnDropHandle::new(tokio::spawn(say(Arc::clone(&progress), writer.clone())));
    let captured = volume.capture(writer, work, gate, progress).await?;
    drop(saying);
    let finished = now();
    writer.flush().await?;
    let report = report(work, &captured, writer, started, finished);
    let text = serde_json::to_vec_pretty(&report).map_err(|error| Error::io("write the report", error))?;
    let tree = blocking({
        let (writer, captured) = (writer.clone(), captured.clone());
        move || root::store(&writer, &captured.root, &text)
    })
    .await?;
    let mut snapshot = Snapshot::new(started, tree);
    snapshot.parent = parent;
    snapshot.paths = vec![format!("/{VOLUME_DIR}")];
    snapshot.hostname.clone_from(&work.cluster);
    snapshot.excludes.clone_from(&work.excludes);
    snapshot.tags.clone_from(&work.tags);
    snapshot.summary = Some(summary(&report, writer));
    Ok(writer.commit(snapshot).await?)
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
        blocks: captured.blocks,
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
