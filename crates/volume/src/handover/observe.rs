//! Looks at what is there of a hand-over.

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde_json::Value;

use super::ClaimRestore;
use super::record::Record;
use super::step::{Seen, is_bound};
use crate::error::Result;
use crate::manifest::part;

/// The two claims and the volume between them.
pub(super) async fn observe(cluster: &Cluster, wanted: &ClaimRestore) -> Result<Seen> {
    let claims = kinds::persistent_volume_claims();
    let source = cluster.get(&claims, Some(SYSTEM_NAMESPACE), &wanted.source_name()).await?;
    let target = cluster.get(&claims, Some(&wanted.namespace), &wanted.claim).await?;
    // The record on a volume comes first: it is what a hand-over under way goes by.
    let mut volume = under_way(cluster, wanted).await?;
    for claim in [&source, &target].into_iter().flatten() {
        if let (None, Some(name)) = (&volume, claim["spec"]["volumeName"].as_str()) {
            volume = cluster.get(&kinds::persistent_volumes(), None, name).await?;
        }
    }
    Ok(Seen { source, volume, target })
}

/// Why a claim of ours has no volume; nothing if it has one, or if nobody says why.
pub(super) async fn unbound(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    let claim = cluster.get(&kinds::persistent_volume_claims(), Some(SYSTEM_NAMESPACE), name).await?;
    let Some(claim) = claim.filter(|claim| !is_bound(claim)) else { return Ok(None) };
    let uid = claim["metadata"]["uid"].as_str().unwrap_or_default();
    let fields = Some(format!("involvedObject.uid={uid},type=Warning"));
    let options = ListOptions { fields, ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let events = cluster.list_all(&kinds::resource("", "v1", "Event", "events", true), options).await;
    let events = events.unwrap_or_default();
    let last = events.iter().filter_map(|event| event.parse().ok()).max_by_key(seen_last);
    Ok(last.and_then(|event: Value| event["message"].as_str().map(str::to_owned)))
}

/// When an event was seen last, as it is written.
fn seen_last(event: &Value) -> String {
    let times = ["lastTimestamp", "eventTime"].into_iter().filter_map(|key| event[key].as_str());
    times.max().unwrap_or_default().to_owned()
}

/// The pods in our namespace that have a claim of ours, with the nodes they are on.
pub(super) async fn users(cluster: &Cluster, claim: &str) -> Result<Vec<String>> {
    let pods = cluster.list_all(&kinds::pods(), ListOptions::in_namespace(SYSTEM_NAMESPACE)).await?;
    let has = |pod: &Value| {
        let volumes = pod["spec"]["volumes"].as_array();
        volumes.is_some_and(|all| all.iter().any(|one| one["persistentVolumeClaim"]["claimName"] == claim))
    };
    let named = |pod: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("none yet").to_owned();
        format!("pod {} on node {}", text(&pod["metadata"]["name"]), text(&pod["spec"]["nodeName"]))
    };
    let pods = pods.iter().filter_map(|pod| pod.parse().ok());
    Ok(pods.filter(has).map(|pod| named(&pod)).collect())
}

/// The PersistentVolume whose record names this claim and snapshot.
async fn under_way(cluster: &Cluster, wanted: &ClaimRestore) -> Result<Option<Value>> {
    let options =
        ListOptions { labels: Some(format!("{}={}", label::PART, part::HANDOVER)), ..ListOptions::default() };
    let volumes = cluster.list_all(&kinds::persistent_volumes(), options).await?;
    let (target, snapshot) = (wanted.subject(), wanted.snapshot.to_string());
    Ok(volumes.iter().filter_map(|volume| volume.parse().ok()).find(|volume| {
        Record::of(volume).is_some_and(|record| record.target == target && record.snapshot == snapshot)
    }))
}
