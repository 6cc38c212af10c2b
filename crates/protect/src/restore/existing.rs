//! An object that is at the target already is settled with: left, completed or replaced.

use holdfast_cluster::{Cluster, Created, Stored, Write};
use holdfast_model::ResourceType;
use holdfast_model::restore::{Change, Verdict};
use serde_json::Value;

use super::comparison::{Circumstances, Comparison, Decision, Settled, compare, decide};

/// Whether an object that is there may be written over.
pub(super) type MayWrite<'a> = &'a (dyn Fn(&Value) -> bool + Send + Sync);

/// Judges `live`, which was found where `desired` was to be created, and changes it if that is wanted.
///
/// # Errors
/// Of the cluster, if an object that was to be changed could not be.
pub(super) async fn settle(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    live: &Value,
    (circumstances, may_write): (Circumstances, MayWrite<'_>),
) -> holdfast_cluster::Result<Settled> {
    let differing = match compare(of, desired, live, circumstances) {
        Comparison::Settled(settled) => return Ok(settled),
        Comparison::Lacks(_, changes) if !may_write(live) => return Ok(not_as_planned(changes)),
        Comparison::Lacks(addition, changes) => {
            let namespace = live["metadata"]["namespace"].as_str();
            let name = live["metadata"]["name"].as_str().unwrap_or_default();
            cluster.merge_patch(of, namespace, name, &addition.patch(live), &Write::default()).await?;
            return Ok(addition.settled(changes));
        }
        Comparison::Differs(differing) => differing,
    };
    let trial = differing.try_out(cluster, of, desired, live).await?;
    match decide(of, live, (trial.changes, trial.warnings), circumstances) {
        Decision::Leave(settled) => Ok(settled),
        Decision::Replace(settled) if !may_write(live) => Ok(not_as_planned(settled.changes)),
        Decision::Replace(settled) => {
            let warnings = cluster.replace(of, &differing.replacement, &Write::default()).await?.warnings;
            Ok(Settled { warnings, ..settled })
        }
    }
}

fn not_as_planned(changes: Vec<Change>) -> Settled {
    let reason = "it has changed since the restore was planned and was left as it is: plan again";
    Settled::new(Verdict::Failed, reason, changes)
}

/// The object that is there, where `refused` said that it may not be created: whoever may not create a storage class,
/// for instance, can still restore where it is.
async fn there(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    refused: holdfast_cluster::Error,
) -> holdfast_cluster::Result<Value> {
    let metadata = &desired["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    match cluster.get(of, metadata["namespace"].as_str(), name).await {
        Ok(Some(live)) => Ok(live),
        _ => Err(refused),
    }
}

/// Creates an object, or settles with the one that is there. Tells what the server replied to a
/// create made in this way.
pub(super) async fn create_or_settle(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    write: &Write,
    (circumstances, may_write): (Circumstances, MayWrite<'_>),
) -> holdfast_cluster::Result<(Settled, Option<Value>)> {
    let created = match cluster.create(of, desired, write).await {
        Err(error) if error.is_forbidden() => {
            Created::AlreadyThere(there(cluster, of, desired, error).await?)
        }
        other => other?,
    };
    match created {
        Created::New(Stored { object, warnings }) => {
            Ok((Settled { warnings, ..Settled::plain(Verdict::Created) }, Some(object)))
        }
        Created::AlreadyThere(live) => {
            let settled = settle(cluster, of, desired, &live, (circumstances, may_write)).await?;
            Ok((settled, None))
        }
    }
}
