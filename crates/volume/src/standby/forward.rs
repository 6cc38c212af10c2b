//! Brings one standing volume to a point.

use holdfast_cluster::{Cluster, Created, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_vault::SnapshotId;
use serde_json::Value;

use super::record::{self, Side};
use super::standing::Standing;
use super::{Leg, Synced, saved};
use crate::error::{Error, Result};
use crate::files::{Compare, Extras};
use crate::handover::{ClaimRestore, Target, discard_mover, run_mover};
use crate::mover::FileMode;
use crate::settings::MoverSettings;
use crate::snapshots::{Choice, SnapshotBy, SnapshotClasses};

/// Brings a volume forward, from whatever state it is in.
pub(super) async fn bring(
    cluster: &Cluster,
    settings: &MoverSettings,
    leg: &Leg,
    classes: &SnapshotClasses,
    claim: &ClaimRestore,
) -> Result<Synced> {
    if claim.is_through_device() {
        let reason = "it was captured as blocks, and a volume with a file system cannot be brought forward by those; a restore fills it from the vault";
        return Err(failed(claim, reason));
    }
    let one = open(cluster, leg, claim, Side::One).await?;
    if is_there(&one, claim) {
        return settle(cluster, leg, claim, &one).await;
    }
    let chosen = choose(cluster, leg, classes, claim, one).await?;
    if is_there(&chosen.standing, claim) {
        return settle(cluster, leg, claim, &chosen.standing).await;
    }
    if let (Some((class, driver)), Some(_)) = (&chosen.class, holds(&chosen.standing)) {
        let patience = settings.snapshot_timeout;
        saved::save(cluster, leg, claim, &chosen.standing, class, driver, patience).await?;
    }
    forward(cluster, settings, leg, claim, &chosen.standing).await
}

/// The claim that is brought forward, and who takes snapshots of it.
struct Chosen {
    standing: Value,
    class: Option<(String, String)>,
}

/// The only claim where the storage keeps snapshots of it; elsewhere, of two, the one that does not
/// hold the newest whole point.
async fn choose(
    cluster: &Cluster,
    leg: &Leg,
    classes: &SnapshotClasses,
    claim: &ClaimRestore,
    one: Value,
) -> Result<Chosen> {
    let Some(held) = started(&one) else { return Ok(Chosen { standing: one, class: None }) };
    let volume = one["spec"]["volumeName"].as_str().unwrap_or_default();
    let volume = cluster.get(&kinds::persistent_volumes(), None, volume).await?.unwrap_or_default();
    match classes.choose(&one, &volume, None) {
        Choice::Class(SnapshotBy { class, driver, .. }) => {
            return Ok(Chosen { standing: one, class: Some((class, driver)) });
        }
        Choice::Unclear { reason, hint } => return Err(failed(claim, &format!("{reason}; {hint}"))),
        Choice::None { .. } => {}
    }
    let other = open(cluster, leg, claim, Side::Other).await?;
    let newer = started(&other).is_some_and(|other| other > held);
    Ok(Chosen { standing: if newer { one } else { other }, class: None })
}

fn started(standing: &Value) -> Option<jiff::Timestamp> {
    Standing::of(standing)?.holds.map(|holds| holds.started)
}

fn holds(standing: &Value) -> Option<SnapshotId> {
    Standing::of(standing)?.holds?.snapshot.parse().ok()
}

fn is_there(standing: &Value, claim: &ClaimRestore) -> bool {
    holds(standing) == Some(claim.snapshot)
}

/// The standing claim, made if it is not there.
async fn open(cluster: &Cluster, leg: &Leg, claim: &ClaimRestore, side: Side) -> Result<Value> {
    let name = record::name(leg, claim, side);
    let wanted = record::empty(leg, claim, &name);
    let created = cluster.create(&kinds::persistent_volume_claims(), &wanted, &Write::default()).await?;
    let there = match created {
        Created::New(stored) => stored.object,
        Created::AlreadyThere(there) => there,
    };
    if there["metadata"]["deletionTimestamp"].is_string() {
        return Err(failed(claim, &format!("its standing claim {name} is being deleted")));
    }
    Ok(there)
}

/// It is there already, perhaps by a point before in which it was the same.
async fn settle(cluster: &Cluster, leg: &Leg, claim: &ClaimRestore, standing: &Value) -> Result<Synced> {
    note(cluster, standing, &record::holds(leg, claim)).await?;
    Ok(Synced::Same)
}

async fn forward(
    cluster: &Cluster,
    settings: &MoverSettings,
    leg: &Leg,
    claim: &ClaimRestore,
    standing: &Value,
) -> Result<Synced> {
    let base = holds(standing);
    let half_way = standing["metadata"]["annotations"][record::APPLYING].is_string();
    let mode = match base {
        Some(base) => FileMode::Delta { base },
        None if half_way => FileMode::Exact { extras: Extras::Delete, compare: Compare::Times },
        None => FileMode::New,
    };
    note(cluster, standing, &record::applying(claim)).await?;
    let target = Target { claim: name(standing), restore: claim, mode };
    let context = leg.context();
    let filled = run_mover(cluster, settings, &context, &mover_name(leg, claim), &[target]).await?;
    let filled = filled.into_iter().next().unwrap_or_else(|| Err(failed(claim, "its mover said nothing")))?;
    if !filled.problems.is_empty() {
        // It is left as being half way: the next sync compares all of it.
        let first = filled.problems[0].to_string();
        return Err(failed(
            claim,
            &format!("{} of its files could not be brought: {first}", filled.problems.len()),
        ));
    }
    note(cluster, standing, &record::holds(leg, claim)).await?;
    Ok(Synced::Forward { filled, base: base.map(|base| base.to_string()) })
}

fn name(standing: &Value) -> String {
    standing["metadata"]["name"].as_str().unwrap_or_default().to_owned()
}

fn mover_name(leg: &Leg, claim: &ClaimRestore) -> String {
    crate::manifest::name("mover", &[leg.run.as_str(), "standby", &claim.namespace, &claim.claim])
}

/// Ends the mover after a cancellation; the claim stays half way, and says so.
pub(super) async fn abandon(cluster: &Cluster, leg: &Leg, claim: &ClaimRestore) {
    discard_mover(cluster, &mover_name(leg, claim)).await;
}

async fn note(cluster: &Cluster, standing: &Value, patch: &Value) -> Result<()> {
    let (claims, namespace) = (kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE));
    cluster.merge_patch(&claims, namespace, &name(standing), patch, &Write::default()).await?;
    Ok(())
}

pub(super) fn failed(claim: &ClaimRestore, reason: &str) -> Error {
    Error::Claim {
        namespace: claim.namespace.clone(),
        claim: claim.claim.clone(),
        reason: format!("it does not stand by at this point: {reason}"),
        hint: "the point before is kept whole; sync again".to_owned(),
    }
}
