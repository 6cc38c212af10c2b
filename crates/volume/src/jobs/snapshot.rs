//! The capture of one claim from a snapshot of its storage: cut while the application is held, read
//! when it has long gone on.

use futures::future::BoxFuture;
use holdfast_model::Problem;
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::point::CaptureMethod;
use holdfast_model::volume::CaptureForm;
use holdfast_vault::SnapshotId;
use serde_json::json;

use super::claim::{ATTEMPTS, Attempt, Driver, Reading};
use super::plan::BySnapshot;
use super::source::BoundClaim;
use super::{CapturedClaim, Shared};
use crate::error::{Error, Result};
use crate::manifest::{DEVICE_PATH, MountedKind, MountedVolume, Placement, VOLUME_PATH};
use crate::mover::{MetadataAccess, Phase};
use crate::snapshots::{Names, Taken, View, base_of, clear_one, cut, keep, metadata_access, thin};

impl Driver<'_> {
    /// Waits for the backup to begin, has a snapshot cut, and reads it.
    pub(super) fn by_snapshot<'a>(
        &'a self,
        way: &'a BySnapshot,
    ) -> BoxFuture<'a, Result<CapturedClaim, Problem>> {
        Box::pin(async move {
            let Shared { cluster, context, .. } = self.shared;
            self.publish.send_modify(|state| (state.queued, state.phase) = (false, Phase::Ready));
            let mut signal = self.shared.signal.clone();
            if signal.wait_for(|reached| *reached >= Phase::Begin).await.is_err() {
                return Err(self.problem(&Error::Stopped));
            }
            let names = self.names();
            let result = match self.cut(way, &names).await {
                Ok(taken) => {
                    self.publish.send_modify(|state| (state.released, state.phase) = (true, Phase::MainDone));
                    self.read_snapshot(way, &taken).await
                }
                Err(error) => Err(self.problem(&error)),
            };
            match &result {
                // What cannot be removed now is labelled, and swept.
                Err(_) => drop(clear_one(cluster, &names).await),
                // Older ones that cannot be removed now are removed by the next backup.
                Ok(_) => drop(thin(cluster, &context.application, &names.subject(), context.keep).await),
            }
            result
        })
    }

    /// Has the claim cut, together with others where that can be.
    async fn cut(&self, way: &BySnapshot, names: &Names) -> Result<Taken> {
        let Shared { cluster, settings, .. } = self.shared;
        if let Some(group) = &way.group {
            match group.taken(cluster, &names.claim, settings.snapshot_timeout).await {
                Ok(taken) => return Ok(taken),
                Err(reason) => {
                    tracing::warn!(claim = names.subject(), reason, "it is cut by itself, not with others");
                }
            }
        }
        cut(cluster, names, way.class(), settings.snapshot_timeout).await
    }

    async fn read_snapshot(&self, way: &BySnapshot, taken: &Taken) -> Result<CapturedClaim, Problem> {
        let Shared { cluster, settings, .. } = self.shared;
        let bound = &way.bound;
        if let Some(group) = &way.group {
            group.settle(cluster).await.map_err(|error| self.problem(&error))?;
        }
        let slot = self.shared.slots.take(None).await;
        let (names, patience) = (self.names(), settings.snapshot_timeout);
        let view = View::open(cluster, &names, taken, &bound.claim, self.is_device(bound), patience).await;
        let view = view.map_err(|error| self.problem(&error))?;
        let outcome = self.read_view(bound, taken, &view).await;
        match &outcome {
            Ok(captured) if self.shared.context.keep > 0 => {
                view.end(cluster).await;
                self.keep(captured, taken).await;
            }
            _ => view.close(cluster).await,
        }
        drop(slot);
        outcome
    }

    /// Leaves the snapshot with the storage, for restores here. What cannot be kept is removed with
    /// the run, and costs a restore nothing but time.
    async fn keep(&self, captured: &CapturedClaim, taken: &Taken) {
        let Shared { cluster, context, .. } = self.shared;
        let kept = match captured.volume.snapshot.parse() {
            Ok(id) => keep(cluster, &self.names(), &context.application, taken, &id).await,
            Err(_) => return,
        };
        if let Err(error) = kept {
            tracing::warn!(%error, claim = self.request.subject(), "its local snapshot is not kept");
            let _ = clear_one(cluster, &self.names()).await;
        }
    }

    /// The volume does not change, so a mover that ends before it is done is followed by another,
    /// which finds in the vault what the first has stored.
    async fn read_view(
        &self,
        bound: &BoundClaim,
        taken: &Taken,
        view: &View,
    ) -> Result<CapturedClaim, Problem> {
        let mut reading =
            Reading { told: self.told(bound, taken).await, ..reading(self.is_device(bound), view) };
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            match self.attempt(attempt, bound, &reading, None).await {
                Attempt::Captured(id) => {
                    return self.captured(bound, CaptureMethod::Snapshot, Some(taken.cut.clone()), id).await;
                }
                Attempt::Failed(problem) => return Err(self.located(problem, view)),
                Attempt::MoverEnded { problem, node } => {
                    last = Some(problem);
                    reading.placement.avoid.extend(node);
                }
                Attempt::SourceEnded => {}
            }
        }
        let message = format!("its mover ended {ATTEMPTS} times");
        Err(last.unwrap_or_else(|| Problem::new("volume.mover", self.request.subject(), message)))
    }

    /// How the driver says which blocks of a device changed, since the parent where the storage still has a snapshot
    /// of that, or are allocated. Without, all of it is read, and the point says so.
    async fn told(&self, bound: &BoundClaim, taken: &Taken) -> Option<MetadataAccess> {
        if !self.is_device(bound) {
            return None;
        }
        let Shared { cluster, context, .. } = self.shared;
        let names = self.names();
        let asked = async {
            let base = match &self.parent {
                Some(parent) if self.is_of_volume(parent, bound).await? => {
                    base_of(cluster, &context.application, &names.subject(), parent).await?
                }
                _ => None,
            };
            metadata_access(cluster, &taken.cut.driver, &names.snapshot, base).await
        };
        asked.await.unwrap_or_else(|error| {
            tracing::warn!(%error, claim = names.subject(), "its driver is not asked for changed blocks");
            None
        })
    }

    /// Whether it is read as a device: it is one, or its file system is to be captured as blocks.
    fn is_device(&self, bound: &BoundClaim) -> bool {
        bound.is_block() || self.request.form == CaptureForm::Blocks
    }

    /// Whether a snapshot in the vault was read from this very volume: a claim that was deleted and made again has
    /// another, which differs from it in more than what was written since.
    async fn is_of_volume(&self, parent: &SnapshotId, bound: &BoundClaim) -> Result<bool> {
        let snapshot = self.shared.context.repository.snapshot(parent).await?;
        let volume = bound.volume["metadata"]["name"].as_str().unwrap_or_default();
        Ok(snapshot.tags.contains(&holdfast_model::point::tag("volume", volume)))
    }

    /// Where to look when a mover of a view could not start.
    fn located(&self, problem: Problem, view: &View) -> Problem {
        if problem.code != "volume.mover" {
            return problem;
        }
        let hint = format!(
            "{}; `kubectl describe pvc -n {SYSTEM_NAMESPACE} {}` says what its storage has against the volume",
            problem.hint,
            view.name()
        );
        problem.hint(&hint)
    }
}

/// A mover beside a view goes where its storage can be reached.
fn reading(is_device: bool, view: &View) -> Reading<'static> {
    let (kind, path) = match is_device {
        true => (MountedKind::Device, DEVICE_PATH),
        false => (MountedKind::Directory, VOLUME_PATH),
    };
    let source = json!({"persistentVolumeClaim": {"claimName": view.name(), "readOnly": true}});
    let volume = MountedVolume { source, kind, path: path.to_owned(), read_only: true };
    // Whatever keeps other pods off the nodes that reach the storage does not keep a mover off.
    let tolerations = vec![json!({"operator": "Exists", "effect": "NoSchedule"})];
    Reading { volume, placement: Placement { tolerations, ..Placement::default() }, source: None, told: None }
}
