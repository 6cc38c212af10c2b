//! Owners: which objects are left to the controller that makes them, and how the others are
//! linked to their owners anew.
//!
//! An owner is named by uid, and uids are different in every cluster. An object with the uid of an
//! owner that does not exist is deleted by the garbage collector at once. So a reference is sent
//! only with the uid that the owner has in the target, and is left out, and said to be, when there
//! is no such owner.

use serde_json::{Value, json};

use super::order;
use crate::object::GroupKind;

/// One entry of `ownerReferences`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Its kind.
    pub kind: String,
    /// Its name, in the same namespace or cluster-scoped.
    pub name: String,
    /// Whether it manages the object.
    pub controller: bool,
    /// Whether the owner's deletion in the foreground waits for the object.
    pub blocks_deletion: bool,
}

impl Owner {
    /// Group and kind of the owner.
    pub fn group_kind(&self) -> GroupKind {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        GroupKind::new(group, &self.kind)
    }

    /// The entry for an owner that has this uid in the target.
    pub fn reference(&self, uid: &str) -> Value {
        let mut reference = json!({
            "apiVersion": self.api_version,
            "kind": self.kind,
            "name": self.name,
            "uid": uid,
        });
        for (key, set) in [("controller", self.controller), ("blockOwnerDeletion", self.blocks_deletion)] {
            if set {
                reference[key] = json!(true);
            }
        }
        reference
    }
}

impl std::fmt::Display for Owner {
    /// `Deployment.apps web`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.group_kind(), self.name)
    }
}

/// Takes the owners out of an object. Entries that name no owner are dropped.
pub fn take(object: &mut Value) -> Vec<Owner> {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return Vec::new() };
    let Some(Value::Array(entries)) = metadata.remove("ownerReferences") else { return Vec::new() };
    entries.iter().filter_map(parse).collect()
}

fn parse(entry: &Value) -> Option<Owner> {
    let text = |key: &str| entry[key].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    Some(Owner {
        api_version: text("apiVersion")?,
        kind: text("kind")?,
        name: text("name")?,
        controller: entry["controller"] == true,
        blocks_deletion: entry["blockOwnerDeletion"] == true,
    })
}

/// API group and kind.
type Kind = (&'static str, &'static str);

/// What controllers that every cluster runs make: owner, then what it makes.
static MAKERS: &[(Kind, Kind)] = &[
    (("apps", "Deployment"), ("apps", "ReplicaSet")),
    (("apps", "ReplicaSet"), ("", "Pod")),
    (("apps", "StatefulSet"), ("", "Pod")),
    (("apps", "StatefulSet"), ("apps", "ControllerRevision")),
    (("apps", "DaemonSet"), ("", "Pod")),
    (("apps", "DaemonSet"), ("apps", "ControllerRevision")),
    (("", "ReplicationController"), ("", "Pod")),
    (("batch", "CronJob"), ("batch", "Job")),
    (("batch", "Job"), ("", "Pod")),
    (("", "Pod"), ("", "PersistentVolumeClaim")),
];

/// The owner whose controller makes objects like this one, and will make it again.
pub fn maker<'a>(of: &GroupKind, owners: &'a [Owner]) -> Option<&'a Owner> {
    owners.iter().filter(|owner| owner.controller).find(|owner| {
        let by = owner.group_kind();
        let matches =
            |found: &GroupKind, (group, kind): (&str, &str)| found.group == group && found.kind == kind;
        MAKERS.iter().any(|(maker, made)| matches(&by, *maker) && matches(of, *made))
    })
}

/// How an owned object and its owner are brought together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// Created in its own level: its owners are there by then.
    InPlace,
    /// Created at the end of this level, in which the last of its owners is created.
    After(usize),
    /// Created in its own level without owners, and linked at the end of this one: nobody but us
    /// can bring its data, and whoever does not find it makes an empty one.
    Later(usize),
}

/// Decides how an object of this kind is linked to these owners.
pub fn linking(of: &GroupKind, owners: &[Owner]) -> Linking {
    let own = order::level(of);
    let last = owners.iter().map(|owner| order::level(&owner.group_kind())).max();
    match last {
        None => Linking::InPlace,
        Some(last) if last < own => Linking::InPlace,
        Some(last) if *of == GroupKind::new("", "PersistentVolumeClaim") => Linking::Later(last),
        Some(last) => Linking::After(last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(api_version: &str, kind: &str, controller: bool) -> Owner {
        Owner {
            api_version: api_version.into(),
            kind: kind.into(),
            name: "web".into(),
            controller,
            blocks_deletion: true,
        }
    }

    #[test]
    fn owners_are_taken_out_and_put_back_with_another_uid() {
        let entry = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "old",
            "controller": true, "blockOwnerDeletion": true});
        let mut object = json!({"metadata": {"name": "x", "ownerReferences": [entry, {"kind": 3}, 7]}});
        let owners = take(&mut object);
        assert_eq!(object, json!({"metadata": {"name": "x"}}));
        assert_eq!(owners, [owner("apps/v1", "Deployment", true)]);
        assert_eq!(owners[0].reference("new")["uid"], "new");
        assert_eq!(owners[0].to_string(), "Deployment.apps web");
    }

    #[test]
    fn pods_are_left_to_their_controllers_only() {
        let pod = GroupKind::new("", "Pod");
        assert!(maker(&pod, &[owner("apps/v1", "ReplicaSet", true)]).is_some());
        assert!(maker(&pod, &[owner("apps/v1", "ReplicaSet", false)]).is_none());
        assert!(maker(&pod, &[owner("shop.example/v1", "Till", true)]).is_none());
        assert!(
            maker(&GroupKind::new("apps", "ReplicaSet"), &[owner("shop.example/v1", "Rollout", true)])
                .is_none()
        );
    }

    #[test]
    fn the_owner_comes_first() {
        let secret = GroupKind::new("", "Secret");
        let workloads = order::level(&GroupKind::new("apps", "Deployment"));
        assert_eq!(linking(&secret, &[]), Linking::InPlace);
        assert_eq!(linking(&secret, &[owner("apps/v1", "Deployment", true)]), Linking::After(workloads));
        assert_eq!(
            linking(&secret, &[owner("v1", "ConfigMap", false)]),
            Linking::After(order::level(&secret))
        );
        let deployment = GroupKind::new("apps", "Deployment");
        assert_eq!(linking(&deployment, &[owner("shop.example/v1", "Till", true)]), Linking::InPlace);
    }

    #[test]
    fn a_claim_never_waits_for_its_owner() {
        let claim = GroupKind::new("", "PersistentVolumeClaim");
        let linked = linking(&claim, &[owner("postgresql.example/v1", "Cluster", true)]);
        assert_eq!(linked, Linking::Later(order::level(&GroupKind::new("postgresql.example", "Cluster"))));
    }
}
