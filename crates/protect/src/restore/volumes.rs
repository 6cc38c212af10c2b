//! The data of claims: who uses them is found out, and they are filled before anybody does.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::StreamExt;
use holdfast_model::restore::{ObjectResult, Verdict, VolumeResult, VolumeVerified, order, read};
use holdfast_model::{GroupKind, Problem, ResourceType};
use holdfast_volume::files::Verified;
use holdfast_volume::handover::{self, ClaimRestore, FillProgress, RestoreContext, RestoredClaim};
use holdfast_volume::jobs::{Filled, Placement};
use holdfast_volume::standby;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::claims::{Claim, EmptyClaim};
use super::consumers::{ClaimName, Consumers, Group};
use super::request::RestoreRequest;
use super::session::Session;
use super::{quota, source};
use crate::backup::Movers;
use crate::error::{Error, Result};
use crate::progress::{Entry, Event, Observer};

/// Value of [`Entry::Temporary`] while claims are filled.
const MOVERS: &str = "movers that fill claims";

/// Fills the claims of the point whose data is in it, and says of the others why they are empty.
/// When `stop` is cancelled, movers are removed and what is being handed over is brought to its end.
pub(super) async fn restore(
    request: &RestoreRequest,
    session: &Session,
    stop: &CancellationToken,
) -> Result<Vec<VolumeResult>> {
    let mut results: Vec<VolumeResult> =
        session.claims.take_empty().iter().map(|claim| empty(session, claim)).collect();
    let filled = session.claims.take_filled();
    let shortfalls = quota::shortfalls(&session.cluster, &filled).await;
    let mut wanted = Vec::new();
    for claim in filled {
        let namespace = claim.target.namespace.clone().unwrap_or_default();
        if let Some(lacking) = shortfalls.get(&namespace) {
            let problem =
                Problem::new("restore.quota", claim.target.to_string(), format!("no room for it: {lacking}"))
                    .hint("raise the quota and run the restore again");
            results.push(book_failed(session, &claim, problem));
        } else if request.movers.is_none() {
            let message = "its data is in the point, but this restore was given no movers to bring it";
            let problem = Problem::new("restore.no_movers", claim.target.to_string(), message);
            results.push(book_failed(session, &claim, problem.hint("name a mover image with --mover-image")));
        } else {
            wanted.push(claim);
        }
    }
    if let (Some(movers), false) = (&request.movers, wanted.is_empty()) {
        results.extend(fill(request, session, movers, wanted, stop).await?);
    }
    results.sort_by(|a, b| (&a.namespace, &a.claim).cmp(&(&b.namespace, &b.claim)));
    Ok(results)
}

async fn fill(
    request: &RestoreRequest,
    session: &Session,
    movers: &Movers,
    claims: Vec<Claim>,
    stop: &CancellationToken,
) -> Result<Vec<VolumeResult>> {
    let (mut wanted, failed) = restores(session, claims).await;
    let mut results: Vec<VolumeResult> =
        failed.into_iter().map(|(claim, problem)| book_failed(session, &claim, problem)).collect();
    if request.standby {
        let mut restores: Vec<ClaimRestore> = wanted.iter().map(|(_, restore)| restore.clone()).collect();
        standby::promote(&session.cluster, &request.point.application, &mut restores).await?;
        wanted = wanted.into_iter().map(|(claim, _)| claim).zip(restores).collect();
    }
    let context = RestoreContext {
        run: request.run.clone(),
        access: movers.access.clone(),
        restored_from: session.point.point.id.to_string(),
        verify: request.verify,
        progress: progress(request.observer.clone(), &wanted),
    };
    let record = |entry: Entry| request.journal.record(&entry).map_err(Error::Journal);
    record(Entry::Temporary { what: MOVERS.to_owned() })?;
    let restores = wanted.iter().map(|(_, restore)| restore.clone()).collect();
    let done = handover::restore_claims(&session.cluster, &movers.settings, &context, restores, stop).await;
    record(Entry::Cleared { what: MOVERS.to_owned() })?;
    for ((claim, _), done) in wanted.iter().zip(done) {
        results.push(match done {
            Ok(restored) => book(session, claim, restored),
            Err(error) => {
                let problem = Problem::new(error.code(), claim.target.to_string(), error.to_string());
                book_failed(session, claim, problem)
            }
        });
    }
    Ok(results)
}

/// How claims are filled: by whom they will be used decides where, and together with which.
pub(super) async fn restores(
    session: &Session,
    claims: Vec<Claim>,
) -> (Vec<(Claim, ClaimRestore)>, Vec<(Claim, Problem)>) {
    let names: Vec<ClaimName> = claims.iter().map(source_name).collect();
    let groups = consumers(session, &names).await.groups(&names);
    let mut by_name: BTreeMap<ClaimName, Claim> =
        claims.into_iter().map(|claim| (source_name(&claim), claim)).collect();
    let (mut wanted, mut failed) = (Vec::new(), Vec::new());
    for group in &groups {
        for claim in group.claims.iter().filter_map(|name| by_name.remove(name)) {
            match restore_of(&claim, group) {
                Ok(restore) => wanted.push((claim, restore)),
                Err(problem) => failed.push((claim, *problem)),
            }
        }
    }
    (wanted, failed)
}

/// A claim as it is called in the point.
fn source_name(claim: &Claim) -> ClaimName {
    (claim.volume.namespace.clone(), claim.volume.claim.clone())
}

fn restore_of(claim: &Claim, group: &Group) -> Result<ClaimRestore, Box<Problem>> {
    let snapshot = claim.volume.snapshot.parse().map_err(|error| {
        let message = format!("the point names a snapshot that cannot be one: {error}");
        Box::new(Problem::new("restore.unusable_object", claim.target.to_string(), message))
    })?;
    Ok(ClaimRestore {
        namespace: claim.target.namespace.clone().unwrap_or_default(),
        claim: claim.target.name.clone(),
        manifest: claim.manifest.clone(),
        snapshot,
        form: claim.volume.form,
        group: group.claims.first().map(|(_, name)| name.clone()).unwrap_or_default(),
        placement: placement(&group.pod),
        standing: None,
    })
}

/// Where the pod that will use a claim can run.
fn placement(pod: &Value) -> Placement {
    let selector = pod["nodeSelector"].as_object().into_iter().flatten();
    Placement {
        node_selector: selector
            .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
            .collect(),
        node_affinity: pod["affinity"].get("nodeAffinity").cloned(),
        tolerations: pod["tolerations"].as_array().cloned().unwrap_or_default(),
        ..Placement::default()
    }
}

/// Tells the observer how far each group is, against the bytes its claims hold.
fn progress(
    observer: Arc<dyn Observer>,
    wanted: &[(Claim, ClaimRestore)],
) -> Arc<dyn Fn(FillProgress) + Send + Sync> {
    let mut totals: BTreeMap<String, u64> = BTreeMap::new();
    for (claim, restore) in wanted {
        *totals.entry(restore.group.clone()).or_default() += claim.volume.bytes;
    }
    Arc::new(move |fill: FillProgress| {
        observer.event(Event::Volume {
            total_bytes: totals.get(&fill.group).copied(),
            claim: fill.group,
            phase: "filling".to_owned(),
            done_bytes: fill.bytes,
            files: fill.entries,
        });
    })
}

fn result(claim: &Claim, verdict: Verdict, reason: String) -> VolumeResult {
    VolumeResult {
        namespace: claim.target.namespace.clone().unwrap_or_default(),
        claim: claim.target.name.clone(),
        snapshot: claim.volume.snapshot.clone(),
        verdict,
        volume: String::new(),
        entries: 0,
        bytes: 0,
        bytes_written: 0,
        changed: 0,
        deleted: 0,
        verified: None,
        reason,
    }
}

/// The same with what a mover did.
pub(super) fn filled_result(result: VolumeResult, filled: &Filled) -> VolumeResult {
    let reason = match filled.problems.len() {
        0 => result.reason,
        count => format!("{count} of its files are not as in the point"),
    };
    let verified = |told: Verified| VolumeVerified {
        entries: told.entries,
        bytes: told.bytes,
        different: told.different,
    };
    VolumeResult {
        entries: filled.entries,
        bytes: filled.bytes,
        bytes_written: filled.bytes_written,
        changed: filled.changed,
        deleted: filled.deleted,
        verified: filled.verified.map(verified),
        reason,
        ..result
    }
}

fn book_object(session: &Session, claim: &Claim, verdict: Verdict, reason: &str) {
    let (object, reason) = (claim.target.clone(), reason.to_owned());
    let result = ObjectResult { object, verdict, reason, changes: Vec::new() };
    session.tally.object(&claim.target.resource, result, claim.bytes);
}

fn book_failed(session: &Session, claim: &Claim, problem: Problem) -> VolumeResult {
    book_object(session, claim, Verdict::Failed, &problem.message);
    let reason = problem.message.clone();
    session.tally.problem(problem);
    result(claim, Verdict::Failed, reason)
}

fn book(session: &Session, claim: &Claim, restored: RestoredClaim) -> VolumeResult {
    let verdict = if restored.was_there { Verdict::Unchanged } else { Verdict::Created };
    book_object(session, claim, verdict, "");
    let result = VolumeResult { volume: restored.volume, ..result(claim, verdict, String::new()) };
    let Some(filled) = restored.filled else { return result };
    let result = filled_result(result, &filled);
    filled.problems.into_iter().for_each(|problem| session.tally.problem(problem));
    result
}

fn empty(session: &Session, claim: &EmptyClaim) -> VolumeResult {
    let reason = match (&claim.excluded, claim.problem()) {
        (None, Some(problem)) => {
            let message = problem.message.clone();
            session.tally.problem(problem);
            message
        }
        (reason, _) => format!("comes back empty: {}", reason.as_deref().unwrap_or_default()),
    };
    VolumeResult {
        namespace: claim.target.namespace.clone().unwrap_or_default(),
        claim: claim.target.name.clone(),
        snapshot: String::new(),
        verdict: Verdict::Skipped,
        volume: String::new(),
        entries: 0,
        bytes: 0,
        bytes_written: 0,
        changed: 0,
        deleted: 0,
        verified: None,
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
        let mut objects =
            std::pin::pin!(source::fetch(&session.point.reader, session.point.objects_of(keep)));
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
