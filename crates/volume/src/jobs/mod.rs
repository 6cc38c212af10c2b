//! Captures the volumes of claims by movers: one Job per claim, beside the volume it reads.
//!
//! All claims of a backup are captured together: [`Captures::start`] makes the movers,
//! [`Captures::begin`] lets them read, [`Captures::main_done`] waits until only the late paths
//! are left, [`Captures::late`] lets those be read, [`Captures::released`] says when the application
//! may go on, and [`Captures::finish`] tells what came of each. A claim whose storage takes snapshots
//! is let go of when its snapshot is cut, and read afterwards.
//! Whether a volume was captured is read from the vault: a snapshot of this run and claim.

mod claim;
mod fillings;
mod follow;
pub(crate) mod holder;
mod launch;
mod parents;
mod plan;
mod slots;
mod snapshot;
pub(crate) mod source;

use std::sync::Arc;

use holdfast_cluster::Cluster;
use holdfast_model::hook::LatePath;
use holdfast_model::point::{Exclusion, VolumeCapture};
use holdfast_model::volume::{CaptureForm, CaptureFrom};
use holdfast_model::{AppId, Problem, RunId};
use holdfast_vault::{Repository, SnapshotId};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::error::{AS_BLOCKS, Result};
use crate::files::Findings;
use crate::mover::Phase;
use crate::settings::{MoverSettings, RepositoryAccess};
use crate::snapshots::{Choice, Group, SnapshotBy, SnapshotClasses};
use crate::system;

pub use crate::manifest::Placement;
pub use fillings::Filled;
pub(crate) use fillings::Fillings;
pub(crate) use follow::{Followed, Observed, follow};
pub(crate) use launch::{Launch, end, refused};
use slots::Slots;

/// What all captures of one backup share.
#[derive(Debug, Clone)]
pub struct CaptureContext {
    /// The run they belong to.
    pub run: RunId,
    /// The application.
    pub application: AppId,
    /// How many snapshots of each claim stay with the storage afterwards.
    pub keep: usize,
    /// The repository, opened here: what was captured is read from it.
    pub repository: Repository,
    /// The same as a mover reaches it.
    pub access: RepositoryAccess,
    /// The classes of snapshots that the cluster has.
    pub classes: SnapshotClasses,
    /// Tags of every snapshot, e.g. that of the point. Those of run and claim are added.
    pub tags: Vec<String>,
    /// Seconds a mover waits for [`Captures::begin`] and for [`Captures::late`]: the longest that
    /// the application is held.
    pub patience_seconds: u64,
}

/// One claim to capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRequest {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// What it is read from.
    pub from: CaptureFrom,
    /// As what it is captured.
    pub form: CaptureForm,
    /// VolumeSnapshotClass, where another than the usual one is wanted.
    pub snapshot_class: Option<String>,
    /// Globs that are left out.
    pub excludes: Vec<String>,
    /// Paths that are captured late.
    pub late: Vec<LatePath>,
}

impl CaptureRequest {
    /// All of a claim, from what is usual.
    pub fn new(namespace: impl Into<String>, claim: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            claim: claim.into(),
            from: CaptureFrom::Auto,
            form: CaptureForm::Files,
            snapshot_class: None,
            excludes: Vec::new(),
            late: Vec::new(),
        }
    }

    /// What the claim, bound to this PersistentVolume, is read from; `None` is the live volume.
    ///
    /// # Errors
    /// It is to be read from a snapshot, or would be, and it is not clear from which.
    pub fn snapshot_by(
        &self,
        classes: &SnapshotClasses,
        claim: &Value,
        volume: &Value,
    ) -> Result<Option<SnapshotBy>, Problem> {
        let required = match (self.form, self.from) {
            (CaptureForm::Blocks, from) => {
                self.check_blocks(from)?;
                true
            }
            (CaptureForm::Files, CaptureFrom::Live) => return Ok(None),
            // The paths are to be read at another moment than the rest.
            (CaptureForm::Files, CaptureFrom::Auto) if !self.late.is_empty() => return Ok(None),
            (CaptureForm::Files, CaptureFrom::Auto) => false,
            (CaptureForm::Files, CaptureFrom::Snapshot) => true,
        };
        let problem = |reason: String| Problem::new("volume.snapshot_class", self.subject(), reason);
        match classes.choose(claim, volume, self.snapshot_class.as_deref()) {
            Choice::Class(by) => Ok(Some(by)),
            Choice::None { .. } if !required => Ok(None),
            Choice::None { reason } if self.form == CaptureForm::Blocks => Err(self.no_blocks(&reason)),
            Choice::None { reason } => {
                Err(problem(format!("it is to be read from a snapshot, but {reason}"))
                    .hint("make a VolumeSnapshotClass for its driver, or let its rule say `from: live`"))
            }
            Choice::Unclear { reason, hint } => Err(problem(reason).hint(&hint)),
        }
    }

    /// Only a snapshot stays as it is while its blocks are read, and of blocks nothing is read at another moment.
    fn check_blocks(&self, from: CaptureFrom) -> Result<(), Problem> {
        if from == CaptureFrom::Live {
            return Err(self.no_blocks("its rule wants the live volume to be read"));
        }
        if let Some(late) = self.late.first() {
            return Err(self.no_blocks(&format!("a hold hook has its path {} captured late", late.path)));
        }
        if !self.excludes.is_empty() {
            return Err(self.no_blocks("its rule leaves files out"));
        }
        Ok(())
    }

    fn no_blocks(&self, reason: &str) -> Problem {
        Problem::new(AS_BLOCKS, self.subject(), format!("it is to be captured as blocks, but {reason}"))
            .hint("blocks are read of a snapshot of its storage, all of them at once; or let its rule say `as: files`")
    }

    /// `namespace/claim`.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.namespace, self.claim)
    }
}

/// What came of one claim.
#[derive(Debug, Clone)]
pub struct ClaimResult {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// Captured or not.
    pub outcome: ClaimOutcome,
}

/// Captured or not.
#[derive(Debug, Clone)]
pub enum ClaimOutcome {
    /// Its snapshot is in the vault.
    Captured(Box<CapturedClaim>),
    /// It is not in the vault, and why.
    Failed(Problem),
}

/// A claim whose snapshot is in the vault.
#[derive(Debug, Clone)]
pub struct CapturedClaim {
    /// What the point says of it.
    pub volume: VolumeCapture,
    /// What could not be read, by path; subjects begin with `namespace/claim:`.
    pub problems: Vec<Problem>,
    /// What was left out.
    pub excluded: Vec<Exclusion>,
    /// All that the capture met, as the mover reported it.
    pub findings: Findings,
    /// The snapshot it was incremental to.
    pub parent: Option<SnapshotId>,
}

impl CapturedClaim {
    /// The same of a volume that was read from its mount at this node.
    fn read_at(mut self, node: String) -> Self {
        self.volume.node = Some(node);
        self
    }
}

/// How far the capture of one claim is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClaimProgress {
    /// Entries done.
    pub entries: u64,
    /// Bytes of content done.
    pub bytes: u64,
    /// Bytes read from the volume.
    pub bytes_read: u64,
    /// Bytes sent to the vault.
    pub bytes_uploaded: u64,
}

/// State of one claim's capture, as its driver publishes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimState {
    /// How far it is on its way.
    pub phase: Phase,
    /// It waits for another claim's mover to end.
    pub queued: bool,
    /// As far as this claim goes, the application may go on: it is captured, or its snapshot is cut.
    pub released: bool,
    /// Its result is there.
    pub ended: bool,
    /// What was read.
    pub progress: ClaimProgress,
}

impl Default for ClaimState {
    fn default() -> Self {
        Self {
            phase: Phase::Starting,
            queued: true,
            released: false,
            ended: false,
            progress: ClaimProgress::default(),
        }
    }
}

/// Captures under way.
pub struct Captures {
    cluster: Cluster,
    groups: Vec<Arc<Group>>,
    signal: watch::Sender<Phase>,
    claims: Vec<Driven>,
    cancel: CancellationToken,
}

struct Driven {
    request: CaptureRequest,
    state: watch::Receiver<ClaimState>,
    task: JoinHandle<ClaimOutcome>,
}

/// What the drivers of all claims share.
pub(crate) struct Shared {
    pub(crate) cluster: Cluster,
    pub(crate) settings: MoverSettings,
    pub(crate) context: CaptureContext,
    pub(crate) slots: Slots,
    pub(crate) signal: watch::Receiver<Phase>,
    pub(crate) cancel: CancellationToken,
}

impl Captures {
    /// Makes a mover for each claim, as many at once as the settings allow. Returns when the
    /// parents of the captures are known; movers start meanwhile.
    ///
    /// # Errors
    /// The system namespace cannot be made, or the repository's snapshots cannot be listed. What
    /// concerns one claim is in its result.
    pub async fn start(
        cluster: &Cluster,
        settings: &MoverSettings,
        context: CaptureContext,
        requests: Vec<CaptureRequest>,
        cancel: CancellationToken,
    ) -> Result<Captures> {
        system::ensure(cluster, &context.access).await?;
        let parents = parents::newest(&context.repository).await?;
        let plan::Plan { ways, groups } = plan::plan(cluster, &context, &requests).await;
        let (signal, signalled) = watch::channel(Phase::Starting);
        let shared = Arc::new(Shared {
            cluster: cluster.clone(),
            settings: settings.clone(),
            slots: Slots::new(settings.concurrency, settings.per_node),
            context,
            signal: signalled,
            cancel: cancel.clone(),
        });
        let drive = |(request, way): (CaptureRequest, _)| {
            let (publish, state) = watch::channel(ClaimState::default());
            let parent = parents.get(&request.subject()).copied();
            let task = tokio::spawn(claim::drive(Arc::clone(&shared), request.clone(), way, parent, publish));
            Driven { request, state, task }
        };
        let claims = requests.into_iter().zip(ways).map(drive).collect();
        Ok(Captures { cluster: cluster.clone(), groups, signal, claims, cancel })
    }

    /// Waits until every mover that can run now is ready to read.
    pub async fn ready(&mut self) {
        self.all(|state| state.queued || state.phase >= Phase::Ready).await;
    }

    /// Lets the movers read.
    pub fn begin(&self) {
        self.signal.send_modify(|phase| *phase = Phase::Begin.max(*phase));
    }

    /// Waits until everything but the late paths is captured.
    pub async fn main_done(&mut self) {
        self.all(|state| state.phase >= Phase::MainDone).await;
    }

    /// Lets the movers read the late paths.
    pub fn late(&self) {
        self.signal.send_modify(|phase| *phase = Phase::Late.max(*phase));
    }

    /// Waits until no claim needs the application to be held any more.
    pub async fn released(&mut self) {
        self.all(|state| state.released).await;
    }

    /// State of each claim, in the order of the requests.
    pub fn states(&self) -> Vec<(&CaptureRequest, ClaimState)> {
        self.claims.iter().map(|claim| (&claim.request, *claim.state.borrow())).collect()
    }

    /// Returns when any claim's state has changed since the last call.
    pub async fn changed(&mut self) {
        if self.claims.is_empty() {
            return std::future::pending().await;
        }
        let changes = self.claims.iter_mut().map(|claim| Box::pin(claim.state.changed()));
        // A driver that ended says nothing more; its last state stands.
        let _ = futures::future::select_all(changes).await;
    }

    /// Waits for the end of all captures. Whoever has not called [`Captures::begin`] and
    /// [`Captures::late`] waits for ever; to give up, cancel.
    pub async fn finish(self) -> Vec<ClaimResult> {
        let mut results = Vec::new();
        for Driven { request, task, .. } in self.claims {
            let outcome = task.await.unwrap_or_else(|error| {
                let message = format!("its driver ended: {error}");
                ClaimOutcome::Failed(Problem::new("volume.internal", request.subject(), message))
            });
            results.push(ClaimResult { namespace: request.namespace, claim: request.claim, outcome });
        }
        futures::future::join_all(self.groups.iter().map(|group| group.end(&self.cluster))).await;
        results
    }

    /// Ends all captures and removes what they left in the cluster.
    pub async fn cancel(self) -> Vec<ClaimResult> {
        self.cancel.cancel();
        self.finish().await
    }

    async fn all(&mut self, reached: impl Fn(&ClaimState) -> bool) {
        for claim in &mut self.claims {
            // A driver that is gone has ended, and its last state says so.
            let _ = claim.state.wait_for(|state| state.ended || reached(state)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_volume_that_is_to_be_blocks_is_never_silently_something_else() {
        let (claim, volume) = (json!({}), json!({"spec": {"csi": {"driver": "d"}}}));
        let classes = SnapshotClasses::default();
        let refused = |request: &CaptureRequest| {
            let problem = request.snapshot_by(&classes, &claim, &volume).unwrap_err();
            assert_eq!((problem.code.as_str(), problem.subject.as_str()), (AS_BLOCKS, "shop/data"));
            problem.message
        };
        let mut request = CaptureRequest::new("shop", "data");
        assert_eq!(request.snapshot_by(&classes, &claim, &volume), Ok(None), "its files can be read live");
        request.form = CaptureForm::Blocks;
        assert!(refused(&request).contains("no VolumeSnapshotClass of driver d"));
        let late = LatePath { claim: "data".into(), path: "pg_wal".into(), store_as: None };
        assert!(refused(&CaptureRequest { late: vec![late], ..request.clone() }).contains("pg_wal"));
        assert!(refused(&CaptureRequest { excludes: vec!["x".into()], ..request.clone() }).contains("out"));
        assert!(refused(&CaptureRequest { from: CaptureFrom::Live, ..request }).contains("live"));
    }
}
