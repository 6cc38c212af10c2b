//! Restores into the volumes of claims that exist, where they are.
//!
//! A mover in `holdfast-system` is given the directory where the kubelet has the volume mounted, for
//! a pod of the application's or, if there is none, for a holder of ours, which has neither key nor
//! token. While a pod that may write to the volume is there it is refused, unless the caller says
//! that it is to be done all the same.
//!
//! Nothing is recorded: what a run that was cut short leaves is a volume between two states, which
//! the same restore completes.

mod mount;

use std::sync::Arc;

use futures::StreamExt;
use futures::future::BoxFuture;
use holdfast_cluster::{Cluster, Delete, Propagation, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::{Problem, RunId};
use holdfast_vault::SnapshotId;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::jobs::source::{self, BoundClaim};
use crate::jobs::{Filled, Fillings, Launch, Placement, end, follow};
use crate::manifest::{self, MountedKind, MountedVolume, MoverJob, VOLUME_PATH};
use crate::mover::{
    FileRestore, MoverSpec, RestoreMode, RestoreWork, SPEC_VERSION, VolumeRestore, Work, proof,
};
use crate::settings::{MoverSettings, RepositoryAccess};
use crate::system;
use mount::Mount;

/// What all claims of one restore share.
#[derive(Clone)]
pub struct RefillContext {
    /// The run they belong to.
    pub run: RunId,
    /// The repository as a mover reaches it.
    pub access: RepositoryAccess,
    /// Told how far the movers are.
    pub progress: Arc<dyn Fn(RefillProgress) + Send + Sync>,
}

/// How far one mover is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefillProgress {
    /// `namespace/claim`.
    pub claim: String,
    /// Entries done.
    pub entries: u64,
    /// Bytes of content there.
    pub bytes: u64,
}

/// One claim to restore into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refill {
    /// Namespace of the claim.
    pub namespace: String,
    /// The claim.
    pub claim: String,
    /// The snapshot that holds the volume.
    pub snapshot: SnapshotId,
    /// What of it is restored, and how.
    pub files: FileRestore,
    /// Do it also while a pod that may write to the volume has it mounted. What it holds open it goes
    /// on with; what it writes meanwhile may be overwritten or mixed with what is restored.
    pub live: bool,
}

/// A claim whose volume holds what it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refilled {
    /// Its PersistentVolume.
    pub volume: String,
    /// What the mover did.
    pub filled: Filled,
    /// Pods that had it mounted for writing meanwhile, by name.
    pub writers: Vec<String>,
}

impl Refill {
    /// `namespace/claim`.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.namespace, self.claim)
    }

    fn problem(&self, error: &Error) -> Problem {
        Problem::new(error.code(), self.subject(), error.to_string())
    }
}

/// Restores into all claims, several at once. The results are in the order of the claims.
pub async fn refill(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RefillContext,
    claims: &[Refill],
    cancel: &CancellationToken,
) -> Vec<Result<Refilled, Problem>> {
    if let Err(error) = system::ensure(cluster, &context.access).await {
        return claims.iter().map(|claim| Err(claim.problem(&error))).collect();
    }
    let mut work: Vec<BoxFuture<'_, _>> = Vec::new();
    for claim in claims {
        work.push(Box::pin(One { cluster, settings, context, claim }.run(cancel)));
    }
    futures::stream::iter(work).buffered(settings.concurrency.max(1)).collect().await
}

/// The restore of one claim.
struct One<'a> {
    cluster: &'a Cluster,
    settings: &'a MoverSettings,
    context: &'a RefillContext,
    claim: &'a Refill,
}

impl One<'_> {
    async fn run(self, cancel: &CancellationToken) -> Result<Refilled, Problem> {
        let Refill { namespace, claim, .. } = self.claim;
        let bound = source::bound(self.cluster, namespace, claim).await?;
        if bound.is_block() {
            let message = "it is a raw block volume, which only its own pods can write to in place";
            return Err(Problem::new("volume.block", self.claim.subject(), message)
                .hint("restore it under another name with --namespace-map, and copy what is needed"));
        }
        if bound.access_modes().is_read_only() {
            let message = "its access mode is ReadOnlyMany, so nobody can write to it in place";
            return Err(Problem::new("volume.read_only", self.claim.subject(), message).hint(
                "restore it under another name with --namespace-map, or delete the claim and restore it anew",
            ));
        }
        let mount = Box::pin(Mount::of(self.cluster, self.settings, &self.context.run, self.claim, &bound));
        let mount = mount.await?;
        let filled = tokio::select! {
            filled = Box::pin(self.fill(&mount)) => filled,
            () = cancel.cancelled() => Err(Error::Stopped),
        };
        if filled.is_err() {
            self.discard().await;
        }
        mount.release(self.cluster).await;
        let filled = filled.map_err(|error| self.claim.problem(&error))?;
        self.refilled(&bound, &mount, filled).await
    }

    /// Runs the mover, and believes only what it proves.
    async fn fill(&self, mount: &Mount) -> Result<Filled> {
        let volume = VolumeRestore {
            namespace: self.claim.namespace.clone(),
            claim: self.claim.claim.clone(),
            snapshot: self.claim.snapshot,
            path: VOLUME_PATH.into(),
            mode: RestoreMode::Files,
            files: self.claim.files.clone(),
        };
        let spec = MoverSpec {
            version: SPEC_VERSION,
            run: self.context.run.clone(),
            repository: self.context.access.limited(self.settings),
            work: Work::Restore(RestoreWork {
                volumes: vec![volume.clone()],
                devices: self.settings.restore_devices,
                setuid: self.settings.restore_setuid,
            }),
        };
        let (name, placement) = (self.job_name(), mount.placement());
        let job = self.job(&name, &placement, mount);
        let launch = Launch::start(self.cluster, &job, &spec, self.settings.start_timeout).await?;
        let subject = self.claim.subject();
        let on_progress = |entries, bytes, _| {
            (self.context.progress)(RefillProgress { claim: subject.clone(), entries, bytes });
        };
        let mut said = Fillings::new(&on_progress);
        let followed = tokio::select! {
            followed = follow(self.cluster, &launch, self.settings.deadline, &mut said) => followed,
            () = source::ended(self.cluster, mount.pod(), self.settings.deadline) => Err(self.failed(
                &format!("pod {}, whose mount it works on, ended", mount.pod().name),
            )),
        };
        end(self.cluster, self.settings, &launch).await;
        let proof = proof(&self.context.access.password, &self.context.run, &volume);
        match (said.proven(&proof, &volume), followed) {
            (Some(filled), _) => Ok(filled),
            (None, Err(error)) => Err(error),
            (None, followed) => Err(self.failed(&said.reason(&followed))),
        }
    }

    fn job<'a>(&'a self, name: &'a str, placement: &'a Placement, mount: &Mount) -> MoverJob<'a> {
        MoverJob {
            name,
            run: &self.context.run,
            subject: self.claim.subject(),
            settings: self.settings,
            placement,
            volumes: vec![MountedVolume {
                source: json!({"hostPath": {"path": mount.directory(), "type": "Directory"}}),
                kind: MountedKind::Directory,
                path: VOLUME_PATH.to_owned(),
                read_only: false,
            }],
            restores: true,
        }
    }

    /// Whoever began to write meanwhile may have met a mixture, and left one.
    async fn refilled(&self, bound: &BoundClaim, mount: &Mount, filled: Filled) -> Result<Refilled, Problem> {
        let mut refilled = Refilled {
            volume: bound.volume["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            filled,
            writers: mount.writers.clone(),
        };
        for writer in mount::writers(self.cluster, bound, &self.claim.claim).await? {
            if !mount.writers.contains(&writer) {
                let message = format!(
                    "pod {writer} mounted it for writing while it was restored, and may have mixed the two"
                );
                let problem = Problem::new("volume.in_use", self.claim.subject(), message);
                refilled.filled.problems.push(problem.hint("scale its workload to zero and restore again"));
                refilled.writers.push(writer);
            }
        }
        Ok(refilled)
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Mover {
            namespace: self.claim.namespace.clone(),
            claim: self.claim.claim.clone(),
            reason: reason.to_owned(),
            hint: "the volume may be between two states; the same restore again completes it".to_owned(),
        }
    }

    fn job_name(&self) -> String {
        let Refill { namespace, claim, .. } = self.claim;
        manifest::name("mover", &[self.context.run.as_str(), "refill", namespace, claim])
    }

    /// Ends the mover, however far it is.
    async fn discard(&self) {
        let delete = Delete { propagation: Some(Propagation::Foreground), ..Delete::default() };
        // What cannot be removed now ends by its deadline and is swept.
        let _ = self.cluster.delete(&kinds::jobs(), Some(SYSTEM_NAMESPACE), &self.job_name(), &delete).await;
    }
}
