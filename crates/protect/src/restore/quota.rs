//! Whether the target's quotas leave room for the claims that are to be filled. A quota would
//! refuse a claim only at the very end, after its volume has been filled elsewhere.

use std::collections::BTreeMap;

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::quantity;
use serde_json::Value;

use super::claims::Claim;

/// What of a quota claims use up: key of the quota, amount.
type Needs = BTreeMap<String, u64>;

/// Why a namespace has no room for its claims, by namespace. What may not be seen is not known to
/// be a hindrance.
pub(super) async fn shortfalls(cluster: &Cluster, claims: &[Claim]) -> BTreeMap<String, String> {
    let mut needs: BTreeMap<String, Needs> = BTreeMap::new();
    for claim in claims {
        let namespace = claim.target.namespace.clone().unwrap_or_default();
        let of = kinds::persistent_volume_claims();
        // A claim that is there is counted by the quota already.
        if let Ok(None) = cluster.get(&of, Some(&namespace), &claim.target.name).await {
            add(needs.entry(namespace).or_default(), &claim.manifest);
        }
    }
    let mut shortfalls = BTreeMap::new();
    for (namespace, needs) in needs {
        let quotas = cluster.list_all(&kinds::resource_quotas(), ListOptions::in_namespace(&namespace)).await;
        let quotas = quotas.unwrap_or_default();
        let lacking = quotas.iter().filter_map(|quota| shortfall(&quota.parse().ok()?, &needs)).next();
        if let Some(lacking) = lacking {
            shortfalls.insert(namespace, lacking);
        }
    }
    shortfalls
}

pub(super) fn add(needs: &mut Needs, claim: &Value) {
    let storage =
        claim["spec"]["resources"]["requests"]["storage"].as_str().and_then(quantity::bytes).unwrap_or(0);
    let class = claim["spec"]["storageClassName"].as_str().filter(|class| !class.is_empty());
    let prefixes = std::iter::once(String::new())
        .chain(class.map(|class| format!("{class}.storageclass.storage.k8s.io/")));
    for prefix in prefixes {
        *needs.entry(format!("{prefix}requests.storage")).or_default() += storage;
        *needs.entry(format!("{prefix}persistentvolumeclaims")).or_default() += 1;
    }
}

fn shortfall(quota: &Value, needs: &Needs) -> Option<String> {
    let name = quota["metadata"]["name"].as_str().unwrap_or_default();
    needs.iter().find_map(|(key, need)| {
        let amount = |of: &Value| of[key.as_str()].as_str().and_then(quantity::bytes);
        let hard = amount(&quota["spec"]["hard"])?;
        let used = amount(&quota["status"]["used"]).unwrap_or(0);
        (used.saturating_add(*need) > hard).then(|| {
            let (hard, used, need) = (quantity::text(hard), quantity::text(used), quantity::text(*need));
            format!("quota `{name}` allows {hard} of {key}, {used} are used and {need} more are needed")
        })
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn claims_are_summed_and_compared_with_what_is_left() {
        let claim = |class: &str| json!({"spec": {"storageClassName": class, "resources": {"requests": {"storage": "2Gi"}}}});
        let mut needs = Needs::new();
        add(&mut needs, &claim("fast"));
        add(&mut needs, &claim("slow"));
        let quota = |hard: Value| json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"used": {"requests.storage": "1Gi"}}});
        assert_eq!(shortfall(&quota(json!({"requests.storage": "5Gi", "pods": "1"})), &needs), None);
        let lacking = shortfall(&quota(json!({"requests.storage": "4Gi"})), &needs).unwrap();
        assert!(lacking.contains("4Gi are needed") || lacking.contains("4Gi more are needed"), "{lacking}");
        let by_class = quota(json!({"fast.storageclass.storage.k8s.io/requests.storage": "1Gi"}));
        assert!(shortfall(&by_class, &needs).is_some());
        assert!(shortfall(&quota(json!({"persistentvolumeclaims": "1"})), &needs).is_some());
    }
}
