//! The volumes' side of a backup: movers that wait, read when told, and leave snapshots.

use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::Cluster;
use holdfast_model::PointId;
use holdfast_model::Problem;
use holdfast_model::point::{Exclusion, VolumeCapture, tag};
use holdfast_volume::jobs::{
    CaptureContext, CaptureRequest, Captures, ClaimOutcome, ClaimResult, ClaimState,
};
use holdfast_volume::snapshots::SnapshotClasses;
use tokio_util::sync::CancellationToken;

use super::chosen::capture_request;
use super::survey::Surroundings;
use super::{BackupRequest, Movers};
use crate::capture::Claim;
use crate::error::{Error, Result};
use crate::progress::{Event, Observer};

/// How often progress is told.
const TICK: Duration = Duration::from_millis(500);
/// The shortest time that a mover waits for its signals, beside the time that hooks may take.
const PATIENCE: Duration = Duration::from_secs(600);

/// What became of the volumes.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) captured: Vec<VolumeCapture>,
    pub(super) problems: Vec<Problem>,
    pub(super) excluded: Vec<Exclusion>,
}

impl Volumes {
    fn add(&mut self, result: ClaimResult) {
        match result.outcome {
            ClaimOutcome::Captured(claim) => {
                self.captured.push(claim.volume);
                self.problems.extend(claim.problems);
                self.excluded.extend(claim.excluded);
            }
            ClaimOutcome::Failed(problem) => self.problems.push(problem),
        }
    }
}

/// The volumes being captured.
pub(super) struct Capturing {
    cluster: Cluster,
    observer: Arc<dyn Observer>,
    movers: Option<Movers>,
    context: Option<CaptureContext>,
    requests: Vec<CaptureRequest>,
    cancel: CancellationToken,
    running: Option<Captures>,
    done: Volumes,
}

impl Capturing {
    /// Nothing is started yet.
    pub(super) fn new(request: &BackupRequest, around: &Surroundings) -> Self {
        let (claims, hooks) = (&around.claims, &request.application.spec.hooks);
        let capture_request = |claim| capture_request(claim, &around.rules, hooks);
        let mut done = Volumes::default();
        let mut wanted: &[Claim] = &claims.capture;
        if let Some(restored) = &request.before {
            // No restore deletes data.
            done.excluded.extend(claims.capture.iter().map(|claim| not_touched(claim, restored)));
            wanted = &[];
        }
        if request.movers.is_none() {
            done.problems.extend(wanted.iter().map(without_movers));
        }
        Self {
            cluster: request.cluster.clone(),
            observer: request.observer.clone(),
            context: request.movers.as_ref().map(|movers| context(request, movers, &around.classes)),
            movers: request.movers.clone(),
            requests: wanted.iter().map(capture_request).collect(),
            cancel: CancellationToken::new(),
            running: None,
            done,
        }
    }

    /// Whether there is anything to start.
    pub(super) fn needs_movers(&self) -> bool {
        self.movers.is_some() && !self.requests.is_empty()
    }

    /// Whether movers have been started and not yet ended.
    pub(super) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Starts the movers and waits until they wait for us.
    ///
    /// # Errors
    /// [`Error::Volume`]
    pub(super) async fn ready(&mut self) -> Result<()> {
        let (Some(movers), Some(context)) = (&self.movers, &self.context) else { return Ok(()) };
        let (requests, cancel) = (std::mem::take(&mut self.requests), self.cancel.clone());
        let started = Captures::start(&self.cluster, &movers.settings, context.clone(), requests, cancel);
        let captures = self.running.insert(started.await?);
        captures.ready().await;
        Ok(())
    }

    /// Lets the movers read, and waits until only late paths are left.
    pub(super) async fn main(&mut self) {
        let Some(captures) = &mut self.running else { return };
        captures.begin();
        loop {
            let done = tokio::select! {
                () = captures.main_done() => true,
                () = tokio::time::sleep(TICK) => false,
            };
            tell(&self.observer, captures);
            if done {
                return;
            }
        }
    }

    /// Lets the movers read the late paths and waits until the application may go on.
    pub(super) async fn late(&mut self) {
        let Some(captures) = &mut self.running else { return };
        captures.late();
        captures.released().await;
    }

    /// Waits for the end of all captures. When `stop` comes before, they are ended, and this returns
    /// when they are gone.
    ///
    /// # Errors
    /// What `stop` gave.
    pub(super) async fn finish(&mut self, stop: impl Future<Output = Error>) -> Result<()> {
        let Some(captures) = self.running.take() else { return Ok(()) };
        let (mut finish, mut stop) = (std::pin::pin!(captures.finish()), std::pin::pin!(stop));
        let results = tokio::select! {
            results = &mut finish => results,
            error = &mut stop => {
                self.cancel.cancel();
                finish.await;
                return Err(error);
            }
        };
        for result in results {
            self.done.add(result);
        }
        Ok(())
    }

    /// Ends what still runs and removes it.
    pub(super) async fn abandon(&mut self) {
        self.cancel.cancel();
        if let Some(captures) = self.running.take() {
            captures.cancel().await;
        }
    }

    /// What became of the volumes, when all is over.
    pub(super) fn into_result(mut self) -> Volumes {
        std::mem::take(&mut self.done)
    }
}

impl Drop for Capturing {
    /// Drivers whose run was dropped end by themselves, and clean up as they can.
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

fn not_touched(claim: &Claim, restored: &PointId) -> Exclusion {
    let reason = format!("objects alone: taken before a restore of {restored}, which deletes no volume");
    Exclusion { subject: format!("claim {}/{}", claim.namespace, claim.name), reason }
}

fn without_movers(claim: &Claim) -> Problem {
    let subject = format!("data of claim {}/{}", claim.namespace, claim.name);
    Problem::new("volume.no_mover", subject, "this backup was made without movers")
        .hint("name an image that holds holdfast")
}

fn context(request: &BackupRequest, movers: &Movers, classes: &SnapshotClasses) -> CaptureContext {
    let hooks = &request.application.spec.hooks;
    let held = hooks.hold.iter().map(|hook| u64::from(hook.max_hold_seconds)).max().unwrap_or_default();
    let pre: u64 = hooks.pre.iter().map(|hook| u64::from(hook.timeout_seconds)).sum();
    let begin: u64 = hooks.hold.iter().map(|hook| u64::from(hook.timeout_seconds)).sum();
    CaptureContext {
        run: request.run.clone(),
        application: request.application.id.clone(),
        keep: request.keep_snapshots,
        repository: request.repository.clone(),
        access: movers.access.clone(),
        classes: classes.clone(),
        tags: vec![tag("point", &request.point), tag("app", &request.application.id)],
        patience_seconds: (PATIENCE.as_secs() + pre + begin).max(held),
    }
}

fn tell(observer: &Arc<dyn Observer>, captures: &Captures) {
    for (request, state) in captures.states() {
        observer.event(Event::Volume {
            claim: request.subject(),
            phase: phase(&state),
            done_bytes: state.progress.bytes,
            total_bytes: None,
            files: state.progress.entries,
        });
    }
}

fn phase(state: &ClaimState) -> String {
    use holdfast_volume::mover::Phase;
    let name = match state.phase {
        _ if state.ended => "done",
        _ if state.queued => "queued",
        Phase::Starting => "starting",
        Phase::Ready => "waiting",
        Phase::Begin => "reading",
        _ if state.released => "reading its snapshot",
        Phase::MainDone => "read",
        _ => "late paths",
    };
    name.to_owned()
}
