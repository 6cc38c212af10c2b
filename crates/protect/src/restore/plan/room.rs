//! What the quotas of the target leave for objects that would be created.
//!
//! A dry run counts each object as if it were the only one. Here they are summed: each object that
//! would be created takes its part, and the first one that there is no part left for is named. Pods
//! that workloads will make are not counted, and neither are quotas with scopes, which are about pods.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::{ResourceType, quantity};
use serde_json::Value;

use crate::restore::quota;

/// The quotas of the namespaces that objects were planned for.
pub(super) struct Rooms {
    cluster: Cluster,
    rooms: Mutex<HashMap<String, Room>>,
}

/// What of one namespace's quotas is left.
#[derive(Default)]
struct Room {
    quotas: Vec<Quota>,
}

struct Quota {
    name: String,
    limits: BTreeMap<String, Limit>,
}

#[derive(Debug, Clone, Copy)]
struct Limit {
    hard: u64,
    used: u64,
}

impl Rooms {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, rooms: Mutex::default() }
    }

    fn rooms(&self) -> MutexGuard<'_, HashMap<String, Room>> {
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the quotas of a namespace, once, and tells if they cannot be seen: then they are not taken for a
    /// hindrance.
    pub(super) async fn open(&self, namespace: &str) -> Option<String> {
        if self.rooms().contains_key(namespace) {
            return None;
        }
        let options = ListOptions::in_namespace(namespace);
        let (quotas, unseen) = match self.cluster.list_all(&kinds::resource_quotas(), options).await {
            Ok(quotas) => (quotas, None),
            Err(error) => (
                Vec::new(),
                Some(format!("namespace {namespace}: whether its quotas leave room is not known: {error}")),
            ),
        };
        let quotas = quotas.iter().filter_map(|quota| quota.parse().ok());
        let room = Room { quotas: quotas.filter_map(|quota: Value| Quota::of(&quota)).collect() };
        self.rooms().insert(namespace.to_owned(), room);
        unseen
    }

    /// Takes room for an object of this type; says what is lacking if there is not enough.
    pub(super) fn take(&self, namespace: &str, of: &ResourceType, object: &Value) -> Option<String> {
        let mut rooms = self.rooms();
        let room = rooms.get_mut(namespace).filter(|room| !room.quotas.is_empty())?;
        room.take(&needs(of, object))
    }
}

impl Room {
    fn take(&mut self, needs: &BTreeMap<String, u64>) -> Option<String> {
        let lacking = self.quotas.iter().find_map(|quota| quota.lacks(needs));
        if lacking.is_none() {
            self.quotas.iter_mut().for_each(|quota| quota.take(needs));
        }
        lacking
    }
}

impl Quota {
    fn of(quota: &Value) -> Option<Self> {
        let spec = &quota["spec"];
        if !spec["scopes"].is_null() || !spec["scopeSelector"].is_null() {
            return None;
        }
        let amount = |value: &Value| value.as_str().and_then(quantity::bytes);
        let hard = spec["hard"].as_object()?.iter();
        let limits = hard.filter_map(|(key, hard)| {
            let used = amount(&quota["status"]["used"][key.as_str()]).unwrap_or(0);
            Some((key.clone(), Limit { hard: amount(hard)?, used }))
        });
        let name = quota["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        Some(Self { name, limits: limits.collect() })
    }

    fn lacks(&self, needs: &BTreeMap<String, u64>) -> Option<String> {
        needs.iter().find_map(|(key, need)| {
            let Limit { hard, used } = *self.limits.get(key)?;
            (used.saturating_add(*need) > hard).then(|| {
                let (hard, used) = (quantity::text(hard), quantity::text(used));
                format!(
                    "quota `{}` allows {hard} of {key}; with what is planned before it {used} are used",
                    self.name
                )
            })
        })
    }

    fn take(&mut self, needs: &BTreeMap<String, u64>) {
        for (key, need) in needs {
            if let Some(limit) = self.limits.get_mut(key) {
                limit.used = limit.used.saturating_add(*need);
            }
        }
    }
}

/// Kinds that quotas also know by their bare names, from before any kind could be counted.
const BY_NAME: [&str; 7] = [
    "pods",
    "services",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
];

/// What of quotas an object uses up.
fn needs(of: &ResourceType, object: &Value) -> BTreeMap<String, u64> {
    let mut needs = BTreeMap::from([(format!("count/{}", of.plural_group()), 1)]);
    if of.group.is_empty() && BY_NAME.contains(&of.plural.as_str()) {
        needs.insert(of.plural.clone(), 1);
    }
    if *of == kinds::persistent_volume_claims() {
        quota::add(&mut needs, object);
        needs.insert(of.plural.clone(), 1);
    }
    if *of == kinds::services() {
        let spec = &object["spec"];
        let ports = spec["ports"].as_array().map_or(0, Vec::len) as u64;
        let (balanced, open) = (spec["type"] == "LoadBalancer", spec["type"] == "NodePort");
        if balanced {
            needs.insert("services.loadbalancers".to_owned(), 1);
        }
        if open || balanced && spec["allocateLoadBalancerNodePorts"] != false {
            needs.insert("services.nodeports".to_owned(), ports);
        }
    }
    needs
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn room(hard: Value, used: Value) -> Room {
        let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": {"used": used}});
        Room { quotas: Quota::of(&quota).into_iter().collect() }
    }

    #[test]
    fn objects_take_room_until_none_is_left() {
        let mut room = room(json!({"count/secrets": "4", "pods": "1"}), json!({"count/secrets": "2"}));
        let secret = needs(&kinds::secrets(), &json!({}));
        assert_eq!((room.take(&secret), room.take(&secret)), (None, None));
        let lacking = room.take(&secret).unwrap();
        assert!(
            lacking.contains("`q` allows 4 of count/secrets") && lacking.contains("4 are used"),
            "{lacking}"
        );
        assert_eq!(room.take(&needs(&kinds::config_maps(), &json!({}))), None, "no quota is about them");
    }

    #[test]
    fn what_is_refused_takes_no_room() {
        let mut room = room(json!({"services": "5", "services.nodeports": "2"}), json!({}));
        let service = |kind: &str, ports: usize| {
            let ports: Vec<Value> = (0..ports).map(|port| json!({"port": port})).collect();
            needs(&kinds::services(), &json!({"spec": {"type": kind, "ports": ports}}))
        };
        assert!(room.take(&service("NodePort", 3)).is_some());
        assert_eq!(room.take(&service("NodePort", 2)), None);
        assert!(room.take(&service("LoadBalancer", 1)).is_some());
        assert_eq!(room.take(&service("ClusterIP", 9)), None);
    }

    #[test]
    fn claims_take_storage_and_quotas_with_scopes_are_about_pods() {
        let claim = json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}});
        let needs = needs(&kinds::persistent_volume_claims(), &claim);
        assert_eq!(needs["requests.storage"], 2 << 30);
        assert_eq!((needs["persistentvolumeclaims"], needs["count/persistentvolumeclaims"]), (1, 1));
        let scoped = json!({"spec": {"hard": {"pods": "1"}, "scopes": ["BestEffort"]}});
        assert!(Quota::of(&scoped).is_none());
    }
}
