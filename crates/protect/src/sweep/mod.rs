//! What dead runs left: hooks that still have to release an application, and temporary objects.
//!
//! A run is dead when its record exists and the lease on its application is not held by it. Nothing
//! of a live run is touched, and nothing that does not carry a run's label.

mod leftovers;

use std::collections::BTreeSet;

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::id::AppId;
use holdfast_model::label::SYSTEM_NAMESPACE;
use holdfast_model::point::HookRun;
use holdfast_model::{ObjectRef, Outcome, Problem};
use holdfast_volume::snapshots::NOT_GONE;
use serde::Serialize;

use crate::error::Result;
use crate::exclusion::{self, RunRecord};
use crate::hooks;

/// What a sweep has done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SweepReport {
    /// Dead runs that were settled.
    pub runs: Vec<String>,
    /// Runs that are alive and were left alone.
    pub alive: Vec<String>,
    /// Temporary objects that were removed.
    pub removed: Vec<ObjectRef>,
    /// Post hooks that were run.
    pub hooks: Vec<HookRun>,
    /// What could not be done.
    pub problems: Vec<Problem>,
}

impl SweepReport {
    /// Completed, or Partial with problems.
    pub fn outcome(&self) -> Outcome {
        Outcome::of(&self.problems)
    }

    /// Whether there was nothing to do.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.removed.is_empty() && self.problems.is_empty()
    }
}

/// Settles all dead runs of a cluster.
///
/// # Errors
/// Only if leases and records cannot be read; what fails for one object is in the report.
pub async fn sweep(cluster: &Cluster) -> Result<SweepReport> {
    let mut report = SweepReport::default();
    let alive = live_runs(cluster).await?;
    for record in exclusion::records(cluster, None).await? {
        if !alive.contains(record.run.as_str()) {
            Box::pin(settle(cluster, &record, &mut report)).await?;
        }
    }
    // Objects whose run has no record any more: it was killed between the two, or the record was
    // deleted by hand.
    leftovers::remove(cluster, &leftovers::Which::NotOf(&alive), &mut report).await?;
    leftovers::remove_devices(cluster, &alive, &mut report).await?;
    report.alive = alive.into_iter().collect();
    Ok(report)
}

impl SweepReport {
    /// Its problems, and what of them is no problem of a run that comes after: what is being deleted already.
    pub(crate) fn into_problems(self) -> (Vec<Problem>, Vec<Problem>) {
        self.problems.into_iter().partition(|problem| problem.code != NOT_GONE)
    }
}

/// Says what dead runs left and is on its way out, where there is no report to say it in.
pub(crate) fn warn_of(going: &[Problem]) {
    going.iter().for_each(|problem| tracing::warn!(%problem, "left by a run that died"));
}

/// Settles the dead runs of one application, which the caller holds by now as `run`.
///
/// # Errors
/// As [`sweep`].
pub async fn settle_application(cluster: &Cluster, application: &AppId, run: &str) -> Result<SweepReport> {
    let mut report = SweepReport::default();
    for record in exclusion::records(cluster, Some(application)).await? {
        if record.run.as_str() != run {
            Box::pin(settle(cluster, &record, &mut report)).await?;
        }
    }
    Ok(report)
}

async fn settle(cluster: &Cluster, record: &RunRecord, report: &mut SweepReport) -> Result<()> {
    let released = hooks::release(cluster, &record.owes).await;
    let paid = released.owed.is_empty();
    report.hooks.extend(released.runs);
    report.problems.extend(released.problems);
    let before = report.problems.len();
    leftovers::remove(cluster, &leftovers::Which::Of(record.run.as_str()), report).await?;
    if paid && report.problems.len() == before {
        exclusion::remove_record(cluster, &record.run).await?;
        report.runs.push(record.run.to_string());
    }
    Ok(())
}

/// Runs that hold a lease which has not expired.
async fn live_runs(cluster: &Cluster) -> Result<BTreeSet<String>> {
    let leases = cluster.list_all(&kinds::leases(), ListOptions::in_namespace(SYSTEM_NAMESPACE)).await?;
    let now = cluster.server_now();
    let ours = leases.iter().filter(|lease| lease.metadata.name.starts_with("app-"));
    Ok(ours.filter_map(|lease| exclusion::live_holder(&lease.parse().ok()?, now)).collect())
}
