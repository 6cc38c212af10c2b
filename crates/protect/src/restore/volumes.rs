//! The data of claims: who uses them is found out, and they are filled before anybody does.

use std::collections::BTreeMap;

use futures::StreamExt;
use holdfast_model::restore::{ObjectResult, Verdict, VolumeResult, order, read};
use holdfast_model::{GroupKind, Problem, ResourceType};

use super::claims::{Claim, EmptyClaim};
use super::consumers::{ClaimName, Consumers, Group};
use super::request::RestoreRequest;
use super::session::Session;
use super::source;
use crate::error::Result;

/// Fills the claims of the point whose data is in it, and says of the others why they are empty.
pub(super) async fn restore(request: &RestoreRequest, session: &Session) -> Result<Vec<VolumeResult>> {
    let mut results: Vec<VolumeResult> =
        session.claims.take_empty().iter().map(|claim| empty(session, claim)).collect();
    let filled = session.claims.take_filled();
    if filled.is_empty() {
        return Ok(results);
    }
    let names: Vec<ClaimName> = filled.iter().map(source_name).collect();
    let groups = consumers(session, &names).await.groups(&names);
    let mut by_name: BTreeMap<ClaimName, Claim> =
        filled.into_iter().map(|claim| (source_name(&claim), claim)).collect();
    let mut wanted: Vec<(Group, Vec<Claim>)> = Vec::new();
    for group in groups {
        let claims: Vec<Claim> = group.claims.iter().filter_map(|name| by_name.remove(name)).collect();
        wanted.push((group, claims));
    }
    for claim in wanted.into_iter().flat_map(|(_, claims)| claims) {
        results.push(without_movers(request, session, &claim));
    }
    results.sort_by(|a, b| (&a.namespace, &a.claim).cmp(&(&b.namespace, &b.claim)));
    Ok(results)
}

/// A claim as it is called in the point.
fn source_name(claim: &Claim) -> ClaimName {
    (claim.volume.namespace.clone(), claim.volume.claim.clone())
}

fn empty(session: &Session, claim: &EmptyClaim) -> VolumeResult {
    let reason = match (&claim.excluded, claim.problem()) {
        (Some(reason), _) => format!("restored empty: {reason}"),
        (None, Some(problem)) => {
            let message = problem.message.clone();
            session.tally.problem(problem);
            message
        }
        (None, None) => String::new(),
    };
    VolumeResult {
        namespace: claim.target.namespace.clone().unwrap_or_default(),
        claim: claim.target.name.clone(),
        snapshot: String::new(),
        verdict: Verdict::Skipped,
        volume: String::new(),
        entries: 0,
        bytes: 0,
        reason,
    }
}

/// Learns from the point's pods, and then from what makes pods, who uses the claims.
async fn consumers(session: &Session, names: &[ClaimName]) -> Consumers {
    let pod = GroupKind::new("", "Pod");
    let set = GroupKind::new("apps", "StatefulSet");
    let workloads = order::level(&pod);
    let mut consumers = Consumers::default();
    for pods in [true, false] {
        let pod = pod.clone();
        let keep = move |of: &ResourceType| {
            let kind = of.group_kind();
            order::level(&kind) == workloads && (kind == pod) == pods
        };
        let mut objects = std::pin::pin!(source::fetch(&session.point, session.point.objects_of(keep)));
        while let Some(fetched) = objects.next().await {
            // What cannot be read is named when its turn comes.
            let Ok((entry, json)) = fetched else { continue };
            let Ok(object) = read(&entry.resource, entry.namespace.as_deref(), &json) else { continue };
            let kind = entry.resource.group_kind();
            consumers.learn(&kind, &object, &|(namespace, claim)| session.claims.holds(namespace, claim));
            if kind == set {
                consumers.learn_set(&object, names);
            }
        }
    }
    consumers
}

fn without_movers(_request: &RestoreRequest, session: &Session, claim: &Claim) -> VolumeResult {
    let message = "its data is in the point, but no movers were allowed to restore it";
    let problem = Problem::new("restore.no_movers", claim.target.to_string(), message);
    session.tally.problem(problem.hint("name a mover image with --mover-image"));
    let result = ObjectResult {
        object: claim.target.clone(),
        verdict: Verdict::Failed,
        reason: message.to_owned(),
        changes: Vec::new(),
    };
    session.tally.object(&claim.target.resource, result, claim.bytes);
    VolumeResult {
        namespace: claim.target.namespace.clone().unwrap_or_default(),
        claim: claim.target.name.clone(),
        snapshot: claim.volume.snapshot.clone(),
        verdict: Verdict::Failed,
        volume: String::new(),
        entries: 0,
        bytes: 0,
        reason: message.to_owned(),
    }
}
