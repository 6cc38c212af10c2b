//! One run per application at a time: a lease, and beside it a record of what the run owes the
//! cluster, so that whoever comes after a dead run can settle it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_cluster::{
    Cluster, Created, Delete, Error as Cause, KeptLease, Lease, LeaseRequest, ListOptions, Write, kinds,
};
use holdfast_model::id::{AppId, RunId};
use holdfast_model::label::{APPLICATION, MANAGED_BY, PART, RUN, SYSTEM_NAMESPACE};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::progress::{Event, Observer, OwedHook};

/// How long the lease of a run that died keeps others away.
const TTL: Duration = Duration::from_secs(20);
/// Value of [`PART`] on the records of runs.
const PART_RUN: &str = "run";
/// Key of the record's content.
const RECORD: &str = "run.json";

/// What a run says of itself in the cluster it works on; gone when it has ended in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRecord {
    /// The run.
    pub run: RunId,
    /// The application it works on.
    pub application: AppId,
    /// Hooks that must run to release the application.
    #[serde(default)]
    pub owes: Vec<OwedHook>,
}

/// An application held by one run.
pub struct Held {
    cluster: Cluster,
    record: RunRecord,
    lease: KeptLease,
}

/// Name of the lease on an application.
pub(crate) fn lease_name(application: &AppId) -> String {
    format!("app-{application}")
}

impl Held {
    /// Takes the application, waiting for its holder at most `wait`; without, it is refused at once.
    /// Runs that are known to be `dead` are not waited for.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::Cancelled`], [`Error::Cluster`]
    pub async fn take(
        cluster: &Cluster,
        application: &AppId,
        run: &RunId,
        wait: Option<Duration>,
        dead: &[RunId],
        observer: &Arc<dyn Observer>,
        cancel: &CancellationToken,
    ) -> Result<Self> {
        ensure_namespace(cluster).await?;
        let request = LeaseRequest {
            namespace: SYSTEM_NAMESPACE.to_owned(),
            name: lease_name(application),
            holder: run.to_string(),
            ttl: TTL,
            dead: dead.iter().map(RunId::to_string).collect(),
        };
        let mut taken = Lease::acquire(cluster, request.clone()).await;
        if let (Err(Cause::LeaseHeld { holder, .. }), Some(patience)) = (&taken, wait) {
            let what = format!(
                "run {holder}, which works on this application, for at most {} s",
                patience.as_secs()
            );
            observer.event(Event::Wait { what });
            taken = tokio::select! {
                taken = Lease::acquire_within(cluster, request, patience) => taken,
                () = cancel.cancelled() => return Err(Error::Cancelled),
            };
        }
        let lease = taken.map_err(|error| busy(application, error))?;
        let record = RunRecord { run: run.clone(), application: application.clone(), owes: Vec::new() };
        let held = Self { cluster: cluster.clone(), record, lease: lease.keep() };
        held.write_record().await?;
        Ok(held)
    }

    /// Cancelled when the application is no longer ours; work on it must stop then.
    pub fn lost(&self) -> &CancellationToken {
        self.lease.lost()
    }

    /// Records, before they are needed, the hooks that release the application.
    ///
    /// # Errors
    /// [`Error::Cluster`]; then nothing may be done for which they would be needed.
    pub async fn owe(&mut self, hooks: Vec<OwedHook>) -> Result<()> {
        self.record.owes = hooks;
        self.write_record().await
    }

    /// Gives the application back. If something is still owed, the record stays for the next
    /// command to settle.
    ///
    /// # Errors
    /// [`Error::LeaseLost`], [`Error::Cluster`]
    pub async fn release(self) -> Result<()> {
        if self.record.owes.is_empty() {
            remove_record(&self.cluster, &self.record.run).await?;
        }
        let application = self.record.application;
        self.lease.release().await.map_err(|error| match error {
            Cause::LeaseLost { reason, .. } => Error::LeaseLost { application, reason },
            other => other.into(),
        })
    }

    async fn write_record(&self) -> Result<()> {
        let record =
            serde_json::to_string(&self.record).map_err(|error| Error::Internal(error.to_string()))?;
        let (managed, by) = MANAGED_BY;
        let object = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {
                "namespace": SYSTEM_NAMESPACE,
                "name": record_name(&self.record.run),
                "labels": {
                    RUN: self.record.run, PART: PART_RUN, APPLICATION: self.record.application, managed: by,
                },
            },
            "data": {RECORD: record},
        });
        self.cluster.apply(&kinds::config_maps(), &object, true, &Write::default()).await?;
        Ok(())
    }
}

fn record_name(run: &RunId) -> String {
    format!("run-{run}")
}

fn busy(application: &AppId, error: Cause) -> Error {
    match error {
        Cause::LeaseHeld { holder, renewed, expires, .. } => Error::Busy {
            application: application.clone(),
            holder,
            renewed: format!("{renewed:.0}"),
            expires: format!("{expires:.0}"),
        },
        other => other.into(),
    }
}

/// The records of runs, of one application or of all.
///
/// # Errors
/// [`Error::Cluster`]
pub(crate) async fn records(cluster: &Cluster, application: Option<&AppId>) -> Result<Vec<RunRecord>> {
    let mut labels = format!("{PART}={PART_RUN}");
    if let Some(application) = application {
        labels.push_str(&format!(",{APPLICATION}={application}"));
    }
    let options = ListOptions { labels: Some(labels), ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let found = cluster.list_all(&kinds::config_maps(), options).await?;
    // A record that somebody has edited beyond recognition cannot be settled; its labelled objects
    // are still removed by a sweep.
    Ok(found
        .iter()
        .filter_map(|object| serde_json::from_str(object.parse().ok()?["data"][RECORD].as_str()?).ok())
        .collect())
}

/// Removes the record of a run that owes nothing any more.
///
/// # Errors
/// [`Error::Cluster`]
pub(crate) async fn remove_record(cluster: &Cluster, run: &RunId) -> Result<()> {
    let kind = kinds::config_maps();
    cluster.delete(&kind, Some(SYSTEM_NAMESPACE), &record_name(run), &Delete::default()).await?;
    Ok(())
}

/// The holder of a lease that has not expired.
pub(crate) fn live_holder(lease: &serde_json::Value, now: Option<jiff::Timestamp>) -> Option<String> {
    let spec = &lease["spec"];
    let holder = spec["holderIdentity"].as_str().filter(|holder| !holder.is_empty())?;
    let renewed: jiff::Timestamp = spec["renewTime"].as_str()?.parse().ok()?;
    let expires =
        renewed.checked_add(jiff::SignedDuration::from_secs(spec["leaseDurationSeconds"].as_i64()?)).ok()?;
    // Without a clock of the server's, a lease is taken for alive: nothing of a live run is removed.
    now.is_none_or(|now| now < expires).then(|| holder.to_owned())
}

/// Makes our namespace if it is not there; its labels are set when movers are first needed.
async fn ensure_namespace(cluster: &Cluster) -> Result<()> {
    let kind = kinds::namespaces();
    match cluster.get_raw(&kind, None, SYSTEM_NAMESPACE).await {
        Ok(Some(_)) => return Ok(()),
        // Whoever may not look may still have been given rights inside.
        Err(error) if error.is_forbidden() => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(None) => {}
    }
    let (managed, by) = MANAGED_BY;
    let object = json!({
        "apiVersion": "v1", "kind": "Namespace",
        "metadata": {"name": SYSTEM_NAMESPACE, "labels": {managed: by}},
    });
    match cluster.create(&kind, &object, &Write::default()).await? {
        Created::New(_) | Created::AlreadyThere(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_counts_until_it_expires() {
        let lease = json!({"spec": {
            "holderIdentity": "r1", "leaseDurationSeconds": 20, "renewTime": "2026-11-22T10:00:00.000000Z"}});
        let at = |text: &str| Some(text.parse().unwrap());
        assert_eq!(live_holder(&lease, at("2026-11-22T10:00:19Z")).as_deref(), Some("r1"));
        assert_eq!(live_holder(&lease, at("2026-11-22T10:00:20Z")), None);
        assert_eq!(live_holder(&lease, None).as_deref(), Some("r1"));
        assert_eq!(live_holder(&json!({"spec": {"holderIdentity": ""}}), None), None);
    }
}
