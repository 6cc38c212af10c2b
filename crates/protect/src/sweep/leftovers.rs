//! Temporary objects of runs: where they are looked for, and their removal.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Deleted, ListOptions, Propagation, RawObject, kinds};
use holdfast_model::label::{PART, RUN, SYSTEM_NAMESPACE};
use holdfast_model::{Problem, ResourceType};
use holdfast_volume::snapshots::{self, Cleared};
use serde_json::Value;

use super::SweepReport;
use crate::capture::is_local;
use crate::error::Result;

/// Whose objects are removed.
pub(super) enum Which<'a> {
    /// Those of one run.
    Of(&'a str),
    /// Those of all runs but these.
    NotOf(&'a BTreeSet<String>),
}

impl Which<'_> {
    fn labels(&self) -> String {
        match self {
            Which::Of(run) => format!("{RUN}={run}"),
            Which::NotOf(_) => RUN.to_owned(),
        }
    }

    fn includes(&self, object: &RawObject) -> bool {
        object.metadata.labels.get(RUN).is_some_and(|run| self.names(run))
    }

    fn names(&self, run: &str) -> bool {
        match self {
            Which::Of(of) => *of == run,
            Which::NotOf(alive) => !alive.contains(run),
        }
    }
}

/// Parts that are not rubbish: the record is removed when all else is done, and a claim holds data
/// that is being handed over, which has its own way of being undone.
const KEPT_PARTS: [&str; 2] = ["run", "claim"];

/// How long a pod, or a Job with its pods, may take to end.
const END: Duration = Duration::from_secs(60);

/// The kinds of temporary objects and whether they are also made in applications' namespaces.
/// Jobs first: their pods go with them, and none comes any more.
fn places() -> [(ResourceType, bool); 4] {
    [(kinds::jobs(), false), (kinds::pods(), true), (kinds::secrets(), false), (kinds::config_maps(), false)]
}

/// Removes the objects and names them; what cannot be removed is a problem.
pub(super) async fn remove(cluster: &Cluster, which: &Which<'_>, report: &mut SweepReport) -> Result<()> {
    for (of, everywhere) in places() {
        let namespace = (!everywhere).then(|| SYSTEM_NAMESPACE.to_owned());
        let options = ListOptions { namespace, labels: Some(which.labels()), ..ListOptions::default() };
        let mut listed = cluster.list_all(&of, options.clone()).await;
        if everywhere && listed.as_ref().is_err_and(holdfast_cluster::Error::is_forbidden) {
            let here = ListOptions { namespace: Some(SYSTEM_NAMESPACE.to_owned()), ..options };
            listed = cluster.list_all(&of, here).await;
        }
        let found = match listed {
            Ok(found) => found,
            Err(error) if is_local(&error) => {
                report.problems.push(Problem::new(
                    "sweep.unreadable",
                    format!("temporary {of}"),
                    error.to_string(),
                ));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        for object in found.iter().filter(|object| which.includes(object) && !is_kept(object)) {
            Box::pin(remove_one(cluster, &of, object, report)).await;
        }
    }
    // After the movers, which have their volumes mounted.
    note(Box::pin(snapshots::clear(cluster, &|run| which.names(run))).await, report)
}

/// Removes devices through which dead restores were bringing file systems back. The next restore of the same point
/// would have gone on with them, so that only a sweep that was asked for does this.
pub(super) async fn remove_devices(
    cluster: &Cluster,
    alive: &BTreeSet<String>,
    report: &mut SweepReport,
) -> Result<()> {
    note(Box::pin(snapshots::clear_devices(cluster, &|run| !alive.contains(run))).await, report)
}

fn note(cleared: holdfast_volume::Result<Cleared>, report: &mut SweepReport) -> Result<()> {
    match cleared {
        Ok(cleared) => {
            report.removed.extend(cleared.removed);
            report.problems.extend(cleared.problems);
        }
        Err(holdfast_volume::Error::Cluster(error)) if is_local(&error) => {
            let subject = "snapshots of dead runs".to_owned();
            report.problems.push(
                Problem::new("sweep.unreadable", subject, error.to_string())
                    .hint("run `holdfast sweep` with the rights of a backup (`holdfast rbac`)"),
            );
        }
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

fn is_kept(object: &RawObject) -> bool {
    object.metadata.labels.get(PART).is_some_and(|part| KEPT_PARTS.contains(&part.as_str()))
}

async fn remove_one(cluster: &Cluster, of: &ResourceType, object: &RawObject, report: &mut SweepReport) {
    let metadata = &object.metadata;
    // A Job that is gone before its pods could get one more, and that one a lock in the vault.
    let propagation = if of.kind == "Job" { Propagation::Foreground } else { Propagation::Background };
    let delete =
        Delete { uid: Some(metadata.uid.clone()), propagation: Some(propagation), ..Delete::default() };
    let name = object.object_ref(of);
    let namespace = metadata.namespace.as_deref();
    let mut deleted = cluster.delete(of, namespace, &metadata.name, &delete).await;
    if matches!(of.kind.as_str(), "Pod" | "Job") && matches!(deleted, Ok(Deleted::Pending(_))) {
        // A volume is not handed on while somebody else has it mounted.
        let gone = |live: Option<&Value>| live.is_none_or(|live| live["metadata"]["uid"] != *metadata.uid);
        let waited = cluster.wait(of, namespace, &metadata.name, "its end", END, gone).await;
        deleted = waited.map(|_| Deleted::Gone);
    }
    match deleted {
        Ok(Deleted::Gone | Deleted::Pending(_)) => report.removed.push(name),
        Ok(Deleted::NotThere) => {}
        Err(error) => {
            report.problems.push(Problem::new("sweep.not_removed", name.to_string(), error.to_string()))
        }
    }
}
