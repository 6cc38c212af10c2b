//! Fills new claims from snapshots and hands them to an application.
//!
//! A volume is filled under a claim of ours in `holdfast-system`, where the keys are, and then
//! handed over: its PersistentVolume is kept from being reclaimed, our claim is deleted, the
//! PersistentVolume is reserved for the application's claim, that claim is made and bound, and
//! the reclaim policy is put back. Which step comes next is decided by [`step::next`] from what
//! is there, and nothing is remembered elsewhere: the hand-over goes on wherever a killed one
//! stopped, and once it is done, doing it again changes nothing.
//!
//! A file system that was captured as blocks takes a way of its own until its claim is filled: [`device`].
//!
//! Claims of one group are filled by one pod with the scheduling constraints of the pod that will
//! use them, so that their volumes are made where that pod can reach all of them.

mod apply;
mod device;
mod fill;
mod mover;
mod observe;
mod record;
mod step;

use std::sync::Arc;

use futures::StreamExt;
use holdfast_cluster::Cluster;
use holdfast_model::RunId;
use holdfast_model::volume::CaptureForm;
use holdfast_vault::SnapshotId;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub(crate) use mover::{Target, discard_mover, run_mover};
pub use step::refusal;

use crate::error::{Error, Result};
use crate::jobs::{Filled, Placement};
use crate::settings::{MoverSettings, RepositoryAccess};
use crate::system;

/// What all claims of one restore share.
#[derive(Clone)]
pub struct RestoreContext {
    /// The run they belong to.
    pub run: RunId,
    /// The repository as a mover reaches it.
    pub access: RepositoryAccess,
    /// The point that is restored: the value of the annotation `holdfast.dev/restored-from`.
    pub restored_from: String,
    /// Read back what was restored and compare it.
    pub verify: bool,
    /// Told how far the movers are.
    pub progress: Arc<dyn Fn(FillProgress) + Send + Sync>,
}

/// How far one mover is. A group's volumes are filled one after the other; figures are their sum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FillProgress {
    /// The group.
    pub group: String,
    /// Entries restored.
    pub entries: u64,
    /// Bytes of content there.
    pub bytes: u64,
    /// Bytes written.
    pub bytes_written: u64,
}

/// One claim to fill and hand over.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimRestore {
    /// Namespace of the claim to be made.
    pub namespace: String,
    /// The claim to be made.
    pub claim: String,
    /// Its manifest as it is wanted, with the storage class mapped. Name, namespace, volume and
    /// data source are set here.
    pub manifest: Value,
    /// The snapshot that holds the volume.
    pub snapshot: SnapshotId,
    /// As what it does.
    pub form: CaptureForm,
    /// Claims of the same group are filled by one pod; the name of their workload, for instance.
    pub group: String,
    /// Scheduling constraints of the pod that will use it. The group's first claim's count.
    pub placement: Placement,
    /// A claim of ours that holds the snapshot already and is handed over instead of a new one: one
    /// that has stood by.
    pub standing: Option<String>,
}

impl ClaimRestore {
    /// `namespace/claim`.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.namespace, self.claim)
    }
}

/// A claim that holds its snapshot and is bound.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredClaim {
    /// Its PersistentVolume.
    pub volume: String,
    /// It was so before; nothing was done.
    pub was_there: bool,
    /// What this run's mover did; `None` if an earlier run's had filled the volume.
    pub filled: Option<Filled>,
}

/// Fills and hands over all claims, several groups at once. The results are in the order of the
/// claims. What a failed claim has got so far stays, and running it again goes on from there.
pub async fn restore_claims(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: Vec<ClaimRestore>,
    cancel: &CancellationToken,
) -> Vec<Result<RestoredClaim>> {
    let count = claims.len();
    if let Err(error) = system::ensure(cluster, &context.access).await {
        let reason = error.to_string();
        return claims.iter().map(|claim| Err(not_made(claim, &reason))).collect();
    }
    let groups = grouped(claims);
    let work = groups.into_iter().map(|group| async move {
        let order: Vec<usize> = group.iter().map(|(at, _)| *at).collect();
        let claims: Vec<ClaimRestore> = group.into_iter().map(|(_, claim)| claim).collect();
        let restored = one_group(cluster, settings, context, &claims, cancel).await;
        order.into_iter().zip(restored).collect::<Vec<_>>()
    });
    let mut done: Vec<(usize, Result<RestoredClaim>)> =
        futures::stream::iter(work).buffer_unordered(settings.concurrency.max(1)).concat().await;
    done.sort_by_key(|(at, _)| *at);
    debug_assert_eq!(done.len(), count);
    done.into_iter().map(|(_, result)| result).collect()
}

fn grouped(claims: Vec<ClaimRestore>) -> Vec<Vec<(usize, ClaimRestore)>> {
    let mut groups: Vec<Vec<(usize, ClaimRestore)>> = Vec::new();
    for (at, claim) in claims.into_iter().enumerate() {
        let same = |group: &&mut Vec<(usize, ClaimRestore)>| {
            let first = &group[0].1;
            (&first.namespace, &first.group) == (&claim.namespace, &claim.group)
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push((at, claim)),
            None => groups.push(vec![(at, claim)]),
        }
    }
    groups
}

async fn one_group(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[ClaimRestore],
    cancel: &CancellationToken,
) -> Vec<Result<RestoredClaim>> {
    let filling = fill::fill(cluster, settings, context, claims);
    let mut filled = tokio::select! {
        filled = filling => filled,
        () = cancel.cancelled() => {
            fill::discard(cluster, context, claims).await;
            return claims.iter().map(|_| Err(Error::Stopped)).collect();
        }
    };
    let mut results = Vec::new();
    for (claim, filled) in claims.iter().zip(filled.drain(..)) {
        results.push(match filled {
            // A hand-over is short, and half of one is the worst place to stop: it is not cancelled.
            Ok(filled) => apply::hand_over(cluster, context, claim, filled).await,
            Err(error) => Err(error),
        });
    }
    results
}

fn not_made(claim: &ClaimRestore, reason: &str) -> Error {
    Error::Claim {
        namespace: claim.namespace.clone(),
        claim: claim.claim.clone(),
        reason: reason.to_owned(),
        hint: "see which rights `holdfast rbac` lists".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_of_one_workload_are_filled_together() {
        let claim = |namespace: &str, claim: &str, group: &str| ClaimRestore {
            namespace: namespace.into(),
            claim: claim.into(),
            manifest: Value::Null,
            snapshot: SnapshotId::of(b"s"),
            form: CaptureForm::Files,
            group: group.into(),
            placement: Placement::default(),
            standing: None,
        };
        let groups = grouped(vec![claim("a", "x", "pg"), claim("b", "x", "pg"), claim("a", "y", "pg")]);
        let order: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|(at, _)| *at).collect()).collect();
        assert_eq!(order, [vec![0, 2], vec![1]]);
    }
}
