//! Drives the capture of one claim to its end, over again if the pod it reads from ends.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, Exec, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::point::{CaptureMethod, Cut, Exclusion, TAG, VolumeCapture};
use holdfast_model::volume::CaptureForm;
use holdfast_model::{Problem, quantity};
use holdfast_vault::{BlobKind, Snapshot, SnapshotId};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::holder::Holder;
use super::plan::Way;
use super::slots::Slot;
use super::source::{self, BoundClaim, Found, Source};
use super::{
    CaptureRequest, CapturedClaim, ClaimOutcome, ClaimProgress, ClaimState, Followed, Launch, Observed,
    Shared, end, follow, parents,
};
use crate::error::{Error, Result};
use crate::files::{Findings, REPORT_FILE};
use crate::manifest::{self, CONTAINER, GATE, MountedKind, MountedVolume, MoverJob, Placement, VOLUME_PATH};
use crate::mover::{
    BlockSource, CaptureMode, CaptureReport, CaptureWork, Event, MetadataAccess, MoverSpec, Phase,
    SPEC_VERSION, Work,
};
use crate::snapshots::{self, Names};

/// How often a claim is tried: the pod it is read from may be replaced meanwhile, by a rollout
/// for instance, and then by another.
pub(super) const ATTEMPTS: u32 = 3;

const AGAIN: &str = "run the backup again; what was stored is reused";

type Publish = watch::Sender<ClaimState>;

/// Captures one claim. Publishes its state; the last one says that it has ended.
pub(super) async fn drive(
    shared: Arc<Shared>,
    request: CaptureRequest,
    way: Result<Way, Problem>,
    parent: Option<SnapshotId>,
    publish: Publish,
) -> ClaimOutcome {
    let driver = Driver { shared: &shared, request: &request, parent, publish: &publish };
    let outcome = tokio::select! {
        outcome = driver.run(way) => outcome,
        () = shared.cancel.cancelled() => Err(driver.cancelled()),
    };
    if shared.cancel.is_cancelled() {
        driver.clear().await;
    }
    publish.send_modify(|state| (state.released, state.ended) = (true, true));
    match outcome {
        Ok(captured) => ClaimOutcome::Captured(Box::new(captured)),
        Err(problem) => ClaimOutcome::Failed(problem),
    }
}

pub(super) struct Driver<'a> {
    pub(super) shared: &'a Shared,
    pub(super) request: &'a CaptureRequest,
    pub(super) parent: Option<SnapshotId>,
    pub(super) publish: &'a Publish,
}

/// What came of one attempt.
pub(super) enum Attempt {
    Captured(SnapshotId),
    /// The pod it was read from ended; its successor may be read.
    SourceEnded,
    /// The mover's own pod ended before it was done, through no fault of the volume or the vault.
    MoverEnded {
        problem: Problem,
        /// Its node, where that may be why.
        node: Option<String>,
    },
    Failed(Problem),
}

/// A live volume that can be read, and room for the mover that will.
struct Placed {
    slot: Slot,
    holder: Option<Holder>,
    source: Source,
}

/// What a mover reads, and where.
pub(super) struct Reading<'a> {
    pub(super) volume: MountedVolume,
    pub(super) placement: Placement,
    /// The live volume that it is, if it is one.
    pub(super) source: Option<&'a Source>,
    /// Who can say which blocks of it changed.
    pub(super) told: Option<MetadataAccess>,
}

impl Driver<'_> {
    async fn run(&self, way: Result<Way, Problem>) -> Result<CapturedClaim, Problem> {
        match way? {
            Way::Snapshot(way) => self.by_snapshot(&way).await,
            Way::Live(bound) => self.live(bound).await,
        }
    }

    /// Reads the live volume, from its pod's mount or a holder's.
    fn live(&self, mut bound: BoundClaim) -> BoxFuture<'_, Result<CapturedClaim, Problem>> {
        Box::pin(async move {
            let mut last = None;
            for attempt in 0..ATTEMPTS {
                if attempt > 0 {
                    let CaptureRequest { namespace, claim, .. } = self.request;
                    bound = source::bound(&self.shared.cluster, namespace, claim).await?;
                }
                let Placed { slot, holder, source } = self.source(&bound).await?;
                self.publish.send_modify(|state| state.queued = false);
                let outcome = self.attempt(attempt, &bound, &live_reading(&source), Some(slot)).await;
                if let Some(holder) = holder {
                    holder.end(&self.shared.cluster).await;
                }
                match outcome {
                    Attempt::Captured(snapshot) => {
                        let captured = self.captured(&bound, source.method, None, snapshot).await;
                        return captured.map(|captured| captured.read_at(source.node));
                    }
                    Attempt::SourceEnded => {}
                    // Another node may have it too, and be the better one.
                    Attempt::MoverEnded { problem, .. } if bound.access_modes().is_for_many() => {
                        last = Some(problem)
                    }
                    Attempt::MoverEnded { problem, .. } | Attempt::Failed(problem) => return Err(problem),
                }
            }
            let message = format!("the pod it was read from ended {ATTEMPTS} times during capture");
            let ended = Problem::new("volume.source_ended", self.request.subject(), message);
            Err(last.unwrap_or_else(|| ended.hint("run the backup again when its pods are stable")))
        })
    }

    /// Where the claim can be read, with the holder that makes it so if no pod does, and room for a
    /// mover there.
    fn source<'a>(&'a self, bound: &'a BoundClaim) -> BoxFuture<'a, Result<Placed, Problem>> {
        Box::pin(async move {
            let Shared { cluster, settings, context, slots, .. } = self.shared;
            if let Found::Source(source) = source::find(cluster, bound, settings).await? {
                return Ok(Placed { slot: slots.take(Some(&source.node)).await, holder: None, source });
            }
            if let Some(path) = bound.volume["spec"]["hostPath"]["path"].as_str() {
                // No pod is made for a path that will not be read.
                source::allowed(path, settings, &self.request.subject())?;
            }
            if let Some(source) = source::of_only_pod(cluster, bound, settings).await? {
                return Ok(Placed { slot: slots.take(Some(&source.node)).await, holder: None, source });
            }
            let slot = slots.take(None).await;
            let holder = Holder::start(cluster, settings, &context.run, self.request).await?;
            match source::find(cluster, bound, settings).await {
                Ok(Found::Source(source)) => Ok(Placed { slot, holder: Some(holder), source }),
                other => {
                    holder.end(cluster).await;
                    let gone = || {
                        Problem::new("volume.holder", self.request.subject(), "the pod that held it ended")
                    };
                    Err(other.err().unwrap_or_else(gone))
                }
            }
        })
    }

    /// One mover, from its Job to its snapshot in the vault.
    pub(super) async fn attempt(
        &self,
        attempt: u32,
        bound: &BoundClaim,
        reading: &Reading<'_>,
        slot: Option<Slot>,
    ) -> Attempt {
        let Shared { cluster, settings, context, .. } = self.shared;
        let name = self.job_name(attempt);
        let job = MoverJob {
            name: &name,
            run: &context.run,
            subject: self.request.subject(),
            settings,
            placement: &reading.placement,
            volumes: vec![reading.volume.clone()],
            restores: false,
        };
        let spec = self.spec(bound, reading);
        let launch = tokio::select! {
            launch = Launch::start(cluster, &job, &spec, settings.start_timeout) => launch,
            () = self.source_ended(reading.source) => {
                self.clear().await;
                return Attempt::SourceEnded;
            }
        };
        let launch = match launch {
            Ok(launch) => launch,
            Err(error) => {
                self.clear().await;
                return Attempt::Failed(self.problem(&error));
            }
        };
        let mut watcher =
            Watcher { driver: self, launch: &launch, slot, said: None, signalled: Phase::Starting };
        let followed = tokio::select! {
            followed = follow(cluster, &launch, settings.deadline, &mut watcher) => followed,
            () = self.source_ended(reading.source) => {
                end(cluster, settings, &launch).await;
                return Attempt::SourceEnded;
            }
        };
        let said = watcher.said;
        let outcome = self.judge(&launch, followed, said).await;
        end(cluster, settings, &launch).await;
        outcome
    }

    /// Only a snapshot in the vault counts, whatever Job, pod and log say.
    async fn judge(&self, launch: &Launch, followed: Result<Followed>, said: Option<Event>) -> Attempt {
        let claimed = match &said {
            Some(Event::Captured { snapshot }) => snapshot.parse().ok(),
            _ => None,
        };
        match self.snapshot(claimed).await {
            Ok(Some(id)) => return Attempt::Captured(id),
            Ok(None) => {}
            Err(error) => return Attempt::Failed(self.problem(&error)),
        }
        match (said, followed) {
            (Some(Event::Failed { code, message }), _) => {
                Attempt::Failed(Problem::new(&code, self.request.subject(), message))
            }
            (_, Err(error @ Error::Mover { .. })) => Attempt::MoverEnded {
                problem: self.problem(&error),
                node: node_of(&self.shared.cluster, launch).await,
            },
            (_, Err(error)) => Attempt::Failed(self.problem(&error)),
            (_, Ok(Followed::Gone)) => self.mover_ended("its pod was deleted", None),
            (_, Ok(Followed::Lost { node })) => {
                self.mover_ended(&format!("its node {node} does not answer"), Some(node))
            }
            (_, Ok(Followed::Ended { code, message })) => {
                let reason = format!("it ended with exit code {code} ({message}) and left no snapshot");
                self.mover_ended(&reason, None)
            }
        }
    }

    fn mover_ended(&self, reason: &str, node: Option<String>) -> Attempt {
        let problem =
            Problem::new("volume.mover", self.request.subject(), format!("its mover failed: {reason}"));
        Attempt::MoverEnded { problem: problem.hint(AGAIN), node }
    }

    /// The snapshot of this run and claim, by the name the mover gave or by its tags.
    fn snapshot<'a>(&'a self, claimed: Option<SnapshotId>) -> BoxFuture<'a, Result<Option<SnapshotId>>> {
        Box::pin(async move {
            let context = &self.shared.context;
            let (run, subject) = (context.run.as_str(), self.request.subject());
            if let Some(id) = claimed {
                let snapshot = context.repository.snapshot(&id).await?;
                return Ok(parents::is_of(&snapshot, run, &subject).then_some(id));
            }
            let (snapshots, _) = context.repository.snapshots_tolerant().await?;
            let ours = |(id, snapshot): &(SnapshotId, Snapshot)| {
                parents::is_of(snapshot, run, &subject).then_some(*id)
            };
            Ok(snapshots.iter().rev().find_map(ours))
        })
    }

    /// Reads what the mover wrote of its capture from the vault.
    pub(super) fn captured<'a>(
        &'a self,
        bound: &'a BoundClaim,
        method: CaptureMethod,
        cut: Option<Cut>,
        id: SnapshotId,
    ) -> BoxFuture<'a, Result<CapturedClaim, Problem>> {
        Box::pin(async move {
            let report = self.report(&id).await.map_err(|error| self.problem(&error))?;
            let subject = self.request.subject();
            let within = |path: &str| format!("{subject}:{path}");
            let problems = report
                .findings
                .all_problems()
                .into_iter()
                .map(|problem| Problem { subject: within(&problem.subject), ..problem });
            let excluded = report.findings.excluded.iter().map(|exclusion| Exclusion {
                subject: within(&exclusion.subject),
                reason: exclusion.reason.clone(),
            });
            Ok(CapturedClaim {
                volume: VolumeCapture { cut, ..volume_capture(self.request, bound, method, &id, &report) },
                problems: problems.collect(),
                excluded: excluded.collect(),
                findings: report.findings.clone(),
                parent: self.parent,
            })
        })
    }

    async fn report(&self, id: &SnapshotId) -> Result<CaptureReport> {
        let repository = &self.shared.context.repository;
        let missing = |reason: &str| Error::NoVolume { snapshot: id.short(), reason: reason.to_owned() };
        let snapshot = repository.snapshot(id).await?;
        // The index has grown since this repository was opened.
        let reader = repository.reader().await?;
        let node = reader
            .lookup(&snapshot.tree, REPORT_FILE)
            .await?
            .ok_or_else(|| missing("it has no capture.json"))?;
        let mut text = Vec::new();
        for blob in node.blobs() {
            text.extend_from_slice(&reader.blob(BlobKind::Data, blob).await?);
        }
        serde_json::from_slice(&text)
            .map_err(|error| missing(&format!("its capture.json cannot be read: {error}")))
    }

    fn spec(&self, bound: &BoundClaim, reading: &Reading<'_>) -> MoverSpec {
        let Shared { cluster, context, .. } = self.shared;
        let subject = self.request.subject();
        let mut tags = vec![TAG.to_owned()];
        tags.extend(parents::tags(context.run.as_str(), &subject));
        tags.extend(context.tags.iter().cloned());
        let volume = bound.volume["metadata"]["name"].as_str().unwrap_or_default();
        tags.push(holdfast_model::point::tag("volume", volume));
        MoverSpec {
            version: SPEC_VERSION,
            run: context.run.clone(),
            repository: context.access.limited(&self.shared.settings),
            work: Work::Capture(CaptureWork {
                namespace: self.request.namespace.clone(),
                claim: self.request.claim.clone(),
                path: reading.volume.path.clone().into(),
                mode: match (reading.volume.kind, &reading.told) {
                    (MountedKind::Device, Some(told)) => {
                        CaptureMode::Blocks(BlockSource::Told(Box::new(told.clone())))
                    }
                    (MountedKind::Device, None) => CaptureMode::Blocks(BlockSource::Whole),
                    (MountedKind::Directory, _) => CaptureMode::Files,
                },
                cluster: cluster.name().to_owned(),
                tags,
                parent: self.parent,
                excludes: self.request.excludes.clone(),
                late: self.request.late.clone(),
                patience_seconds: context.patience_seconds,
            }),
        }
    }

    fn job_name(&self, attempt: u32) -> String {
        manifest::name(
            "mover",
            &[self.shared.context.run.as_str(), &self.request.subject(), &attempt.to_string()],
        )
    }

    /// Returns when the pod that has the volume mounted is to end: a mount that the mover holds
    /// would keep the volume from being detached.
    fn source_ended<'a>(&'a self, source: Option<&'a Source>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let Some(pod) = source.and_then(|source| source.pod.as_ref()) else {
                return std::future::pending().await;
            };
            source::ended(&self.shared.cluster, pod, self.shared.settings.deadline).await
        })
    }

    /// Removes the movers of all attempts, however far they came, and the holder.
    fn clear(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let Shared { cluster, context, .. } = self.shared;
            for attempt in 0..ATTEMPTS {
                let delete = holdfast_cluster::Delete {
                    propagation: Some(holdfast_cluster::Propagation::Foreground),
                    ..holdfast_cluster::Delete::default()
                };
                // What cannot be removed now ends by its deadline and is swept.
                let _ = cluster
                    .delete(&kinds::jobs(), Some(SYSTEM_NAMESPACE), &self.job_name(attempt), &delete)
                    .await;
            }
            if self.shared.cancel.is_cancelled() {
                Holder::of(&context.run, self.request).end(cluster).await;
                // What cannot be removed now is labelled, and swept.
                let _ = snapshots::clear_one(cluster, &self.names()).await;
            }
        })
    }

    pub(super) fn problem(&self, error: &Error) -> Problem {
        Problem::new(error.code(), self.request.subject(), error.to_string())
    }

    /// Names of what is made to read it from a snapshot.
    pub(super) fn names(&self) -> Names {
        Names::of(&self.shared.context.run, &self.request.namespace, &self.request.claim)
    }

    fn cancelled(&self) -> Problem {
        Problem::new("volume.stopped", self.request.subject(), "its capture was cancelled")
    }
}

/// Listens to one mover and signals to it.
struct Watcher<'a> {
    driver: &'a Driver<'a>,
    launch: &'a Launch,
    slot: Option<Slot>,
    said: Option<Event>,
    signalled: Phase,
}

impl Observed for Watcher<'_> {
    fn event(&mut self, event: Event) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            match event {
                Event::Phase { phase } => return self.reached(phase).await,
                Event::Progress { entries, bytes, bytes_moved, bytes_uploaded } => {
                    let progress = ClaimProgress { entries, bytes, bytes_read: bytes_moved, bytes_uploaded };
                    self.driver.publish.send_modify(|state| state.progress = progress);
                }
                Event::Captured { .. } | Event::Failed { .. } => self.said = Some(event),
                Event::Problem { .. } | Event::Restored { .. } => {}
            }
            Ok(())
        })
    }

    fn again(&mut self) {
        self.said = None;
    }
}

impl Watcher<'_> {
    async fn reached(&mut self, phase: Phase) -> Result<()> {
        self.driver.publish.send_modify(|state| state.phase = phase.max(state.phase));
        match phase {
            Phase::Ready => self.open(Phase::Begin).await,
            Phase::MainDone => {
                // It only waits now; another may read meanwhile.
                self.slot = None;
                self.open(Phase::Late).await
            }
            Phase::Starting | Phase::Begin | Phase::Late => Ok(()),
        }
    }

    /// Waits until the backup is at `phase`, then tells the mover.
    async fn open(&mut self, phase: Phase) -> Result<()> {
        if self.signalled >= phase {
            return Ok(());
        }
        let mut signal = self.driver.shared.signal.clone();
        if signal.wait_for(|reached| *reached >= phase).await.is_err() {
            return Err(Error::Stopped);
        }
        tell(&self.driver.shared.cluster, self.launch, self.driver.request, phase).await?;
        self.signalled = phase;
        Ok(())
    }
}

/// The directory of a node's kubelet where a pod has the volume mounted.
fn live_reading(source: &Source) -> Reading<'_> {
    let volume = MountedVolume {
        source: json!({"hostPath": {"path": source.directory, "type": "Directory"}}),
        kind: MountedKind::Directory,
        path: VOLUME_PATH.to_owned(),
        read_only: true,
    };
    let placement = Placement { node: Some(source.node.clone()), ..Placement::default() };
    Reading { volume, placement, source: Some(source), told: None }
}

/// Runs `holdfast mover signal` in the mover's container. Signalling twice is harmless.
async fn tell(cluster: &Cluster, launch: &Launch, request: &CaptureRequest, phase: Phase) -> Result<()> {
    let command = ["holdfast", "mover", "signal", GATE, phase.as_str()];
    let exec = Exec {
        namespace: SYSTEM_NAMESPACE.to_owned(),
        pod: launch.pod.clone(),
        container: Some(CONTAINER.to_owned()),
        command: command.map(str::to_owned).to_vec(),
        stdin: false,
    };
    let mut last = String::new();
    for attempt in 0..5u64 {
        tokio::time::sleep(Duration::from_millis(200 * attempt)).await;
        match cluster.run(exec.clone(), None, 4_096).await {
            Ok(result) if result.code == 0 => return Ok(()),
            Ok(result) => {
                last = String::from_utf8_lossy(&result.stderr).into_owned()
                    + &String::from_utf8_lossy(&result.stdout)
            }
            Err(error) if error.is_not_found() || error.is_forbidden() => return Err(error.into()),
            Err(error) => last = error.to_string(),
        }
    }
    // A node that has died is what the reader has to know of.
    let node = node_of(cluster, launch).await;
    let node = node.as_deref().unwrap_or("unknown");
    Err(Error::Mover {
        namespace: request.namespace.clone(),
        claim: request.claim.clone(),
        reason: format!("{} at node {node} cannot be told to {}: {last}", launch.pod, phase.as_str()),
        hint: AGAIN.to_owned(),
    })
}

/// The node that a mover's pod is at, if that can be found out.
fn node_of<'a>(cluster: &'a Cluster, launch: &'a Launch) -> BoxFuture<'a, Option<String>> {
    Box::pin(async move {
        let pod = cluster.get(&kinds::pods(), Some(SYSTEM_NAMESPACE), &launch.pod).await.ok()??;
        pod["spec"]["nodeName"].as_str().map(str::to_owned)
    })
}

fn volume_capture(
    request: &CaptureRequest,
    bound: &BoundClaim,
    method: CaptureMethod,
    snapshot: &SnapshotId,
    report: &CaptureReport,
) -> VolumeCapture {
    let BoundClaim { claim, volume } = bound;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let modes = claim["spec"]["accessModes"].as_array().into_iter().flatten();
    let Findings { changed_count, .. } = report.findings;
    VolumeCapture {
        namespace: request.namespace.clone(),
        claim: request.claim.clone(),
        volume: text(&volume["metadata"]["name"]),
        storage_class: text(&claim["spec"]["storageClassName"]),
        capacity: volume["spec"]["capacity"]["storage"]
            .as_str()
            .and_then(quantity::bytes)
            .unwrap_or_default(),
        access_modes: modes.map(text).collect(),
        method,
        node: None,
        form: if report.blocks.is_some() { CaptureForm::Blocks } else { CaptureForm::Files },
        cut: None,
        snapshot: snapshot.to_string(),
        started: report.started,
        finished: report.finished,
        entries: report.entries,
        bytes: report.bytes,
        bytes_read: report.bytes_read,
        bytes_stored: report.bytes_stored,
        changed_while_read: changed_count,
    }
}
