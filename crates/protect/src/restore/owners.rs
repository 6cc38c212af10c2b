//! Owners at the target: who is there, and with which uid.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use holdfast_cluster::{Cluster, Write};
use holdfast_model::restore::owner::Owner;
use holdfast_model::{ObjectRef, Problem, ResourceType};
use serde_json::{Value, json};

use super::served::Served;
use super::tally::Tally;
use crate::error::Result;
use crate::point::{ObjectEntry, OpenPoint};

/// Owners as found at the target and in the point, and what waits for them.
#[derive(Default)]
pub(super) struct Owners {
    /// uid at the target by owner and namespace; only owners that were found.
    uids: Mutex<HashMap<(Owner, Option<String>), String>>,
    /// Whether the point holds an owner.
    held: Mutex<HashMap<(Owner, Option<String>), bool>>,
    waiting: Mutex<BTreeMap<usize, Vec<ObjectEntry>>>,
    relinks: Mutex<BTreeMap<usize, Vec<Relink>>>,
}

/// An object that was created without owners and is to get them.
struct Relink {
    of: ResourceType,
    target: ObjectRef,
    owners: Vec<Owner>,
}

/// The references that can be made, and the owners that are not there.
#[derive(Debug, Default)]
pub(super) struct Linked {
    pub(super) references: Vec<Value>,
    pub(super) absent: Vec<Owner>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Owners {
    /// Looks the owners up at the target; `namespace` is that of the owned object there.
    pub(super) async fn link(
        &self,
        cluster: &Cluster,
        served: &Served,
        owners: &[Owner],
        namespace: Option<&str>,
    ) -> Result<Linked> {
        let mut linked = Linked::default();
        for owner in owners {
            match self.uid(cluster, served, owner, namespace).await? {
                Some(uid) => linked.references.push(owner.reference(&uid)),
                None => linked.absent.push(owner.clone()),
            }
        }
        Ok(linked)
    }

    async fn uid(
        &self,
        cluster: &Cluster,
        served: &Served,
        owner: &Owner,
        namespace: Option<&str>,
    ) -> Result<Option<String>> {
        let key = (owner.clone(), namespace.map(str::to_owned));
        if let Some(uid) = locked(&self.uids).get(&key) {
            return Ok(Some(uid.clone()));
        }
        let Some(of) = served.kind(&owner.api_version, &owner.kind) else { return Ok(None) };
        let namespace = namespace.filter(|_| of.namespaced);
        if of.namespaced && namespace.is_none() {
            return Ok(None);
        }
        let live = cluster.get(of, namespace, &owner.name).await?;
        // What is being deleted takes what it owns along.
        let live = live.filter(|live| !live["metadata"]["deletionTimestamp"].is_string());
        let uid = live.and_then(|live| live["metadata"]["uid"].as_str().map(str::to_owned));
        if let Some(uid) = &uid {
            locked(&self.uids).insert(key, uid.clone());
        }
        Ok(uid)
    }

    /// Whether the point holds this owner of an object in `namespace`, so that it is restored.
    pub(super) async fn held_by(
        &self,
        point: &OpenPoint,
        owner: &Owner,
        namespace: Option<&str>,
    ) -> Result<bool> {
        let key = (owner.clone(), namespace.map(str::to_owned));
        if let Some(held) = locked(&self.held).get(&key) {
            return Ok(*held);
        }
        let kind = owner.group_kind();
        let types = point.point.kinds.iter().map(|captured| &captured.resource);
        let mut held = false;
        for of in types.filter(|of| of.group_kind() == kind) {
            let object = ObjectRef {
                resource: of.clone(),
                namespace: namespace.filter(|_| of.namespaced).map(str::to_owned),
                name: owner.name.clone(),
            };
            held = held || point.object(&object).await?.is_some();
        }
        locked(&self.held).insert(key, held);
        Ok(held)
    }

    /// Puts an object aside until the end of a level.
    pub(super) fn wait_for(&self, level: usize, entry: ObjectEntry) {
        locked(&self.waiting).entry(level).or_default().push(entry);
    }

    /// Takes the objects that wait for the end of this level.
    pub(super) fn waiting(&self, level: usize) -> Vec<ObjectEntry> {
        locked(&self.waiting).remove(&level).unwrap_or_default()
    }

    /// Has an object linked to its owners at the end of a level.
    pub(super) fn link_later(&self, level: usize, of: &ResourceType, target: &ObjectRef, owners: Vec<Owner>) {
        let relink = Relink { of: of.clone(), target: target.clone(), owners };
        locked(&self.relinks).entry(level).or_default().push(relink);
    }

    /// Links what waits for the end of this level to its owners.
    pub(super) async fn relink(
        &self,
        cluster: &Cluster,
        served: &Served,
        level: usize,
        tally: &Tally,
    ) -> Result<()> {
        let relinks = locked(&self.relinks).remove(&level).unwrap_or_default();
        for Relink { of, target, owners } in relinks {
            let namespace = target.namespace.as_deref();
            let linked = self.link(cluster, served, &owners, namespace).await?;
            for owner in &linked.absent {
                tally.note(absent(&target, owner));
            }
            let live = cluster.get(&of, namespace, &target.name).await?;
            let unowned =
                |live: &&Value| live["metadata"]["ownerReferences"].as_array().is_none_or(Vec::is_empty);
            // Whoever owns it already has put its own reference there.
            let Some(live) = live.as_ref().filter(unowned) else { continue };
            if linked.references.is_empty() {
                continue;
            }
            let patch = json!({"metadata": {
                "uid": live["metadata"]["uid"],
                "resourceVersion": live["metadata"]["resourceVersion"],
                "ownerReferences": linked.references,
            }});
            if let Err(error) =
                cluster.merge_patch(&of, namespace, &target.name, &patch, &Write::default()).await
            {
                tally.problem(
                    Problem::new(
                        "restore.not_owned",
                        target.to_string(),
                        format!("its owner could not be set: {error}"),
                    )
                    .hint("run the restore again"),
                );
            }
        }
        Ok(())
    }
}

/// What is said of a reference that was left out.
pub(super) fn absent(object: &ObjectRef, owner: &Owner) -> String {
    format!("{object}: restored without its owner {owner}, which is not at the target")
}
