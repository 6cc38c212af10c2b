//! An object that cannot be changed to what it is to be is deleted and created anew, where that was allowed.

use std::time::Duration;

use holdfast_cluster::{Cluster, Created, Delete, Error as Cause, Propagation, Reason, Write};
use holdfast_model::ResourceType;
use holdfast_model::restore::{Change, Policy, Verdict, holds_data};
use serde_json::Value;

use super::comparison::Settled;

/// How long the finalizers of an object may take.
const GONE_WITHIN: Duration = Duration::from_secs(60);

const REASON: &str = "deleted and created anew, since the server takes no update of it";
const LOST: (&str, &str) = (
    "restore.not_recreated",
    "it was deleted: restore it again, or as it was from the point that the report names as taken before",
);

/// Name of an object that is never stored: it is sent to learn whether the server would take one like it.
const PROBE: &str = "holdfast-recreate-probe";

/// Whether an object whose update was refused like this may be deleted and created anew.
pub(super) fn is_the_way(of: &ResourceType, policy: Policy, refusal: &Cause) -> bool {
    refusal.reason() == Some(&Reason::Invalid) && is_allowed(of, policy)
}

fn is_allowed(of: &ResourceType, policy: Policy) -> bool {
    policy.existing.may_recreate() && !holds_data(&of.group_kind())
}

/// What an object is to be, and what is there.
#[derive(Clone, Copy)]
pub(super) struct Both<'a> {
    /// As it would be created where there is none.
    pub(super) desired: &'a Value,
    /// The same with what the target has allocated.
    pub(super) replacement: &'a Value,
    pub(super) live: &'a Value,
}

/// Deletes what is there and creates what is to take its place. What it owns stays, and is adopted by the new one
/// where its controller does so.
///
/// # Errors
/// Of the cluster, as long as nothing was deleted; from then on what is wrong is in the result.
pub(super) async fn recreate(
    cluster: &Cluster,
    of: &ResourceType,
    both: Both<'_>,
    changes: Vec<Change>,
) -> holdfast_cluster::Result<Settled> {
    // An update may be refused for what the object is, and not for what is there: then it stays.
    if let Err(error) = probe(cluster, of, both.desired).await {
        let reason = format!("it cannot be updated, and could not be created anew either: {error}");
        return Ok(Settled::new(Verdict::Failed, reason, changes));
    }
    let metadata = &both.live["metadata"];
    let text = |key: &str| metadata[key].as_str().map(str::to_owned);
    let (namespace, name) = (text("namespace"), text("name").unwrap_or_default());
    let delete = Delete {
        uid: text("uid"),
        resource_version: text("resourceVersion"),
        propagation: Some(Propagation::Orphan),
        ..Delete::default()
    };
    cluster.delete(of, namespace.as_deref(), &name, &delete).await?;
    let lost = |reason: String, changes| Settled {
        failure: Some(LOST),
        ..Settled::new(Verdict::Failed, reason, changes)
    };
    let uid = metadata["uid"].clone();
    let is_gone = move |found: Option<&Value>| found.is_none_or(|found| found["metadata"]["uid"] != uid);
    let what = format!("{of} {name} to be gone");
    if let Err(error) = cluster.wait(of, namespace.as_deref(), &name, &what, GONE_WITHIN, is_gone).await {
        return Ok(lost(format!("it was deleted to be created anew, and is not gone: {error}"), changes));
    }
    let mut object = both.replacement.clone();
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    Ok(match cluster.create(of, &object, &Write::default()).await {
        Ok(Created::New(stored)) => {
            Settled { warnings: stored.warnings, ..Settled::new(Verdict::Updated, REASON, changes) }
        }
        Ok(Created::AlreadyThere(_)) => {
            lost("it was deleted to be created anew, and somebody else has made one".to_owned(), changes)
        }
        Err(error) => lost(format!("it was deleted to be created anew, and could not be: {error}"), changes),
    })
}

/// Asks the server whether it would take such an object.
async fn probe(cluster: &Cluster, of: &ResourceType, desired: &Value) -> holdfast_cluster::Result<()> {
    let mut object = desired.clone();
    object["metadata"]["name"] = Value::from(PROBE);
    cluster.create(of, &object, &Write::dry_run()).await.map(drop)
}

#[cfg(test)]
mod tests {
    use holdfast_cluster::kinds;
    use holdfast_model::restore::Existing;

    use super::*;

    #[test]
    fn data_is_never_deleted() {
        let policy = |existing| Policy { existing, by_rule: true };
        assert!(is_allowed(&kinds::config_maps(), policy(Existing::Recreate)));
        assert!(!is_allowed(&kinds::config_maps(), policy(Existing::Replace)));
        assert!(!is_allowed(&kinds::persistent_volume_claims(), policy(Existing::Recreate)));
    }
}
