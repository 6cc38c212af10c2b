//! Decides how each claim of a backup is read, and which of them are cut together, before anything is held.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use futures::{StreamExt, stream};
use holdfast_cluster::Cluster;
use holdfast_model::Problem;

use super::source::{self, BoundClaim};
use super::{CaptureContext, CaptureRequest};
use crate::snapshots::{Group, SnapshotBy};

/// Claims that are looked at together.
const AT_ONCE: usize = 16;

/// How one claim is read.
pub(super) enum Way {
    /// As it is, from the mount of its pod or of ours.
    Live(BoundClaim),
    /// From a snapshot.
    Snapshot(BySnapshot),
}

/// A claim that is read from a snapshot.
pub(super) struct BySnapshot {
    pub(super) bound: BoundClaim,
    by: SnapshotBy,
    /// Those that are cut at the same moment.
    pub(super) group: Option<Arc<Group>>,
}

impl BySnapshot {
    /// The VolumeSnapshotClass of a snapshot of its own.
    pub(super) fn class(&self) -> &str {
        &self.by.class
    }
}

/// How all claims are read.
pub(super) struct Plan {
    /// In the order of the requests.
    pub(super) ways: Vec<Result<Way, Problem>>,
    pub(super) groups: Vec<Arc<Group>>,
}

/// Looks at all claims, and marks those that are to be cut together.
pub(super) async fn plan(cluster: &Cluster, context: &CaptureContext, requests: &[CaptureRequest]) -> Plan {
    let looks: Vec<_> = requests.iter().map(|request| way(cluster, context, request)).collect();
    let mut ways: Vec<_> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    let mut groups = Vec::new();
    for group in together(context, requests, &ways) {
        match group.mark(cluster).await {
            Ok(()) => groups.push(Arc::new(group)),
            Err(error) => {
                tracing::warn!(%error, "claims that could be cut together are cut one by one");
                group.unmark(cluster).await;
            }
        }
    }
    for (request, way) in requests.iter().zip(&mut ways) {
        if let Ok(Way::Snapshot(way)) = way {
            way.group = groups.iter().find(|group| group.has(&request.namespace, &request.claim)).cloned();
        }
    }
    Plan { ways, groups }
}

fn way<'a>(
    cluster: &'a Cluster,
    context: &'a CaptureContext,
    request: &'a CaptureRequest,
) -> BoxFuture<'a, Result<Way, Problem>> {
    Box::pin(async move {
        let subject = request.subject();
        if context.access.url.starts_with("file:") {
            let message = "a mover in the cluster cannot reach a vault that is a directory of this machine";
            return Err(Problem::new("volume.vault", &subject, message).hint("use a vault in object storage"));
        }
        let bound = source::bound(cluster, &request.namespace, &request.claim).await?;
        match request.snapshot_by(&context.classes, &bound.claim, &bound.volume)? {
            Some(by) => Ok(Way::Snapshot(BySnapshot { bound, by, group: None })),
            None if bound.is_block() => Err(live_block(&subject)),
            None => Ok(Way::Live(bound)),
        }
    })
}

/// Claims of one namespace and driver, where there are several and the driver can cut them together.
fn together(
    context: &CaptureContext,
    requests: &[CaptureRequest],
    ways: &[Result<Way, Problem>],
) -> Vec<Group> {
    let mut found: BTreeMap<(&str, &str), BTreeMap<String, String>> = BTreeMap::new();
    for (request, way) in requests.iter().zip(ways) {
        let Ok(Way::Snapshot(BySnapshot { bound, by, .. })) = way else { continue };
        let Some(handle) = bound.volume["spec"]["csi"]["volumeHandle"].as_str() else { continue };
        if by.is_usual {
            let of = found.entry((&request.namespace, &by.driver)).or_default();
            of.insert(request.claim.clone(), handle.to_owned());
        }
    }
    let several = found.into_iter().filter(|(_, members)| members.len() > 1);
    let group = |((namespace, driver), members): ((&str, &str), BTreeMap<String, String>)| {
        let class = context.classes.group_class(driver)?;
        Some(Group::new(&context.run, namespace, class, members))
    };
    several.filter_map(group).collect()
}

/// A raw device is only read from a snapshot: no container may use that of another pod.
fn live_block(subject: &str) -> Problem {
    let message = "it is a raw block volume, and its storage takes no snapshots that it could be read from";
    Problem::new("volume.block", subject, message).hint(
        "make a VolumeSnapshotClass for its driver, or leave the claim out with the annotation holdfast.dev/exclude-data",
    )
}
