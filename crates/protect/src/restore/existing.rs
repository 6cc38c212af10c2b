//! An object that is at the target already is settled with: left, completed or replaced.

use holdfast_cluster::{Cluster, Created, Stored, Write};
use holdfast_model::ResourceType;
use holdfast_model::restore::{Change, Verdict};
use serde_json::Value;

use super::comparison::{Circumstances, Comparison, Decision, Settled, compare, decide};
use super::recreation::{self, Both};
use super::remarks;

/// Says why an object must not be written: over the one that is there, or anew if none is.
pub(super) type Guard<'a> = &'a (dyn Fn(Option<&Value>) -> Option<Withheld> + Send + Sync);

/// Why an object is not written.
#[derive(Debug)]
pub(super) enum Withheld {
    /// It is not as it was when that was planned.
    Moved,
    /// It gives these powers, and nobody allowed for that.
    Powerful(Vec<String>),
}

impl Withheld {
    fn settled(self, changes: Vec<Change>) -> Settled {
        match self {
            Withheld::Moved => {
                let reason = "it has changed since the restore was planned and was left as it is: plan again";
                Settled::new(Verdict::Failed, reason, changes)
            }
            Withheld::Powerful(powers) => {
                let failure = Some(remarks::POWERFUL);
                Settled { failure, ..Settled::new(Verdict::Failed, remarks::powerful(&powers), changes) }
            }
        }
    }
}

/// Judges `live`, which was found where `desired` was to be created, and changes it if that is wanted.
///
/// # Errors
/// Of the cluster, if an object that was to be changed could not be.
pub(super) async fn settle(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    live: &Value,
    (circumstances, guard): (Circumstances, Guard<'_>),
) -> holdfast_cluster::Result<Settled> {
    let differing = match compare(of, desired, live, circumstances) {
        Comparison::Settled(settled) => return Ok(settled),
        Comparison::Lacks(addition, changes) => {
            if let Some(withheld) = guard(Some(live)) {
                return Ok(withheld.settled(changes));
            }
            let namespace = live["metadata"]["namespace"].as_str();
            let name = live["metadata"]["name"].as_str().unwrap_or_default();
            cluster.merge_patch(of, namespace, name, &addition.patch(live), &Write::default()).await?;
            return Ok(addition.settled(changes));
        }
        Comparison::Differs(differing) => differing,
    };
    let trial = differing.try_out(cluster, of, desired, live).await?;
    match decide(of, live, (trial.changes, trial.warnings, trial.conflict.as_deref()), circumstances) {
        Decision::Leave(settled) => Ok(settled),
        Decision::Change(settled) => {
            if let Some(withheld) = guard(Some(live)) {
                return Ok(withheld.settled(settled.changes));
            }
            match differing.proposal.send(cluster, of, &Write::default()).await {
                Err(refusal) if recreation::is_the_way(of, circumstances.policy, &refusal) => {
                    let both = Both { desired, replacement: differing.proposal.object(), live };
                    recreation::recreate(cluster, of, both, settled.changes).await
                }
                sent => Ok(Settled { warnings: sent?.warnings, ..settled }),
            }
        }
    }
}

/// The object that is there, where `refused` said that it may not be created: whoever may not create a storage class,
/// for instance, can still restore where it is.
async fn there(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    refused: holdfast_cluster::Error,
) -> holdfast_cluster::Result<Value> {
    match at(cluster, of, desired).await {
        Ok(Some(live)) => Ok(live),
        _ => Err(refused),
    }
}

/// What is in an object's place.
async fn at(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
) -> holdfast_cluster::Result<Option<Value>> {
    let metadata = &desired["metadata"];
    let name = metadata["name"].as_str().unwrap_or_default();
    cluster.get(of, metadata["namespace"].as_str(), name).await
}

/// Creates an object, or settles with the one that is there. Tells what the server replied to a
/// create made in this way.
pub(super) async fn create_or_settle(
    cluster: &Cluster,
    of: &ResourceType,
    desired: &Value,
    write: &Write,
    (circumstances, guard): (Circumstances, Guard<'_>),
) -> holdfast_cluster::Result<(Settled, Option<Value>)> {
    if let Some(withheld) = guard(None) {
        let settled = match at(cluster, of, desired).await? {
            Some(live) => settle(cluster, of, desired, &live, (circumstances, guard)).await?,
            None => withheld.settled(Vec::new()),
        };
        return Ok((settled, None));
    }
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
            let settled = settle(cluster, of, desired, &live, (circumstances, guard)).await?;
            Ok((settled, None))
        }
    }
}
