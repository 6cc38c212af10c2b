//! Looks at what is there of a hand-over.

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::label::{self, SYSTEM_NAMESPACE};
use serde_json::Value;

use super::ClaimRestore;
use super::record::Record;
use super::step::Seen;
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
