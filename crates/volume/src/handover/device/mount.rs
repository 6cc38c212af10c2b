//! Mounts claims of ours once, in a pod without key, token or network.

use std::time::Duration;

use holdfast_cluster::{Cluster, Delete, Write, kinds};
use holdfast_model::label::SYSTEM_NAMESPACE;
use serde_json::Value;

use super::manifest::mounting_pod;
use crate::handover::{ClaimRestore, RestoreContext};
use crate::jobs::refused as cannot_start;
use crate::manifest;
use crate::settings::MoverSettings;

/// How long the pod may take to end.
const END: Duration = Duration::from_secs(60);

/// Name of the pod that mounts the claims of a group.
pub(super) fn pod_name(context: &RestoreContext, first: &ClaimRestore) -> String {
    manifest::name("holdfast-holder", &[context.run.as_str(), "restore", &first.namespace, &first.group])
}

/// Mounts the claims of ours of `claims`, on a node that reaches their devices and the volumes `beside` as well.
///
/// # Errors
/// Why they were not mounted, in words.
pub(super) async fn mount(
    cluster: &Cluster,
    settings: &MoverSettings,
    context: &RestoreContext,
    claims: &[&ClaimRestore],
    beside: &[String],
) -> Result<(), String> {
    let Some(first) = claims.first() else { return Ok(()) };
    let mounted: Vec<String> = claims.iter().map(|claim| claim.source_name()).collect();
    let devices = claims.iter().map(|claim| claim.device_name());
    let beside: Vec<String> = devices.chain(beside.iter().cloned()).collect();
    let name = pod_name(context, first);
    let pod = mounting_pod(&name, context, settings, &first.placement, (&mounted, &beside));
    let ran = run(cluster, settings, &name, &pod).await;
    end(cluster, &name).await;
    ran
}

async fn run(cluster: &Cluster, settings: &MoverSettings, name: &str, pod: &Value) -> Result<(), String> {
    let pods = kinds::pods();
    cluster.create(&pods, pod, &Write::default()).await.map_err(|error| error.to_string())?;
    let settled = |pod: Option<&Value>| {
        pod.is_none_or(|pod| pod["status"]["phase"] != "Pending" || cannot_start(pod).is_some())
    };
    let what = format!("pod {name} to mount what was restored");
    let (namespace, patience) = (Some(SYSTEM_NAMESPACE), settings.start_timeout);
    let seen = match cluster.wait(&pods, namespace, name, &what, patience, settled).await {
        Ok(seen) => seen.ok_or("its pod was deleted")?,
        Err(holdfast_cluster::Error::NotInTime { waited, last_seen, .. }) => {
            return Err(format!("its pod did not start within {} s: {last_seen}", waited.as_secs()));
        }
        Err(error) => return Err(error.to_string()),
    };
    match seen["status"]["phase"].as_str().unwrap_or_default() {
        "Running" => Ok(()),
        phase => Err(cannot_start(&seen).unwrap_or_else(|| format!("its pod is {phase}"))),
    }
}

/// Removes the pod, and returns when nothing is mounted any more.
pub(super) async fn end(cluster: &Cluster, name: &str) {
    let (pods, namespace) = (kinds::pods(), Some(SYSTEM_NAMESPACE));
    // What cannot be removed now is labelled, ends by its deadline, and is swept.
    let _ = cluster.delete(&pods, namespace, name, &Delete::default()).await;
    let _ = cluster.wait(&pods, namespace, name, "the pod to be gone", END, |pod| pod.is_none()).await;
}
