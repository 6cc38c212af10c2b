//! The rights themselves, one by one, with their reasons.

use holdfast_model::label::{METADATA_ACCOUNT, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

/// Where a rule holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In the applications' namespaces.
    Application,
    /// In `holdfast-system`.
    System,
    /// Cluster-scoped objects, for applications of any reach.
    Cluster,
    /// Cluster-scoped objects, only where the reach is the whole cluster.
    WholeCluster,
}

/// One right and its reason.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Whether backups need it.
    pub backup: bool,
    /// Whether restores need it.
    pub restore: bool,
    /// Where.
    pub place: Place,
    /// API groups.
    pub groups: &'static [&'static str],
    /// Resources.
    pub resources: &'static [&'static str],
    /// Verbs.
    pub verbs: &'static [&'static str],
    /// Names it is limited to; all if empty.
    pub names: &'static [&'static str],
    /// Why.
    pub reason: &'static str,
}

const READ: &[&str] = &["get", "list"];
const ALL: &[&str] = &["*"];
const CORE: &[&str] = &[""];
const SNAPSHOTS: &[&str] = &["snapshot.storage.k8s.io"];
const GROUPS: &[&str] = &["groupsnapshot.storage.k8s.io"];

const fn rule(
    (backup, restore): (bool, bool),
    place: Place,
    groups: &'static [&'static str],
    resources: &'static [&'static str],
    verbs: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    Rule { backup, restore, place, groups, resources, verbs, names: &[], reason }
}

const BACKUP: (bool, bool) = (true, false);
const RESTORE: (bool, bool) = (false, true);
const BOTH: (bool, bool) = (true, true);

/// Every right that is ever asked for.
pub const RULES: &[Rule] = &[
    rule(
        BOTH,
        Place::Application,
        ALL,
        ALL,
        READ,
        "every kind is captured and compared, also those that a CRD defines tomorrow; what may not be read is named in the point",
    ),
    rule(
        BOTH,
        Place::Application,
        CORE,
        &["pods"],
        &["create", "delete", "watch"],
        "a holder pod mounts a claim that no pod has mounted, and a mover leaves when the pod it works beside is deleted",
    ),
    rule(
        BOTH,
        Place::Application,
        &["networking.k8s.io"],
        &["networkpolicies"],
        &["create", "delete"],
        "a holder pod is cut off the network",
    ),
    rule(
        BOTH,
        Place::Application,
        CORE,
        &["pods/exec"],
        &["get", "create"],
        "hooks run in the application's containers",
    ),
    rule(
        BACKUP,
        Place::Application,
        SNAPSHOTS,
        &["volumesnapshots"],
        &["create", "delete", "watch"],
        "where the storage takes snapshots, a claim is read from one, and the application need not wait",
    ),
    rule(
        BACKUP,
        Place::Application,
        GROUPS,
        &["volumegroupsnapshots"],
        &["create", "delete", "watch"],
        "where the storage can, the claims of a namespace are cut at one moment",
    ),
    rule(
        BACKUP,
        Place::Application,
        CORE,
        &["persistentvolumeclaims"],
        &["patch"],
        "a group snapshot selects its claims by a label, which they carry for as long as that takes",
    ),
    rule(
        RESTORE,
        Place::Application,
        ALL,
        ALL,
        &["create", "update", "patch", "watch"],
        "objects are created, and it is waited until they are ready",
    ),
    rule(
        RESTORE,
        Place::Application,
        &["rbac.authorization.k8s.io"],
        &["roles"],
        &["escalate", "bind"],
        "a restored Role may grant more than this account has",
    ),
    rule(
        RESTORE,
        Place::Application,
        CORE,
        &["persistentvolumeclaims"],
        &["delete"],
        "a claim of ours that could not be handed over is taken back",
    ),
    rule(
        BOTH,
        Place::System,
        &["coordination.k8s.io"],
        &["leases"],
        &["get", "list", "watch", "create", "update", "patch", "delete"],
        "two runs are kept off one application",
    ),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["configmaps"],
        &["get", "list", "create", "patch", "delete"],
        "a run records what it owes the application before it owes it",
    ),
    rule(
        BOTH,
        Place::System,
        &["batch"],
        &["jobs"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "movers are Jobs",
    ),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["pods"],
        &["get", "list", "watch", "create", "delete"],
        "movers are watched, and removed when they are cancelled",
    ),
    rule(BOTH, Place::System, CORE, &["pods/exec"], &["get", "create"], "a waiting mover is told to begin"),
    rule(BOTH, Place::System, CORE, &["pods/log"], &["get"], "a mover reports its progress in its log"),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["secrets"],
        &["get", "list", "create", "patch", "delete"],
        "a mover is given its instructions by a Secret that goes with its Job",
    ),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["serviceaccounts"],
        &["get", "create", "patch"],
        "movers run under an account without rights and without a token",
    ),
    rule(
        BOTH,
        Place::System,
        &["networking.k8s.io"],
        &["networkpolicies"],
        &["get", "create", "patch"],
        "movers may talk to the vault, to a driver that tells them what changed, and to nothing else",
    ),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["persistentvolumeclaims"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "a snapshot is read through a claim of ours, and a volume is filled under one before it is handed over, or stands by under it",
    ),
    rule(
        BOTH,
        Place::System,
        CORE,
        &["events"],
        &["list"],
        "they say why the storage makes no volume for a claim of ours",
    ),
    rule(
        BOTH,
        Place::System,
        SNAPSHOTS,
        &["volumesnapshots"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "a snapshot is taken over from the application's namespace, where no mover runs; a volume that stands by is saved before it is touched",
    ),
    rule(
        BOTH,
        Place::Cluster,
        SNAPSHOTS,
        &["volumesnapshotcontents"],
        &["get", "list", "watch", "create", "patch", "delete"],
        "a snapshot is taken over by a second content for its handle, before the first goes; a file system that was captured as blocks comes back through one",
    ),
    Rule {
        names: &[METADATA_ACCOUNT],
        ..rule(
            BACKUP,
            Place::System,
            CORE,
            &["serviceaccounts/token"],
            &["create"],
            "a mover shows a driver's snapshot metadata service who it is, by a token for that alone",
        )
    },
    rule(
        BACKUP,
        Place::System,
        &["rbac.authorization.k8s.io"],
        &["roles", "rolebindings"],
        &["get", "create", "patch"],
        "the account of that token may see our own snapshots",
    ),
    rule(
        BACKUP,
        Place::Cluster,
        &["cbt.storage.k8s.io"],
        &["snapshotmetadataservices"],
        &["get"],
        "they say where a driver tells which blocks changed",
    ),
    rule(
        BACKUP,
        Place::Cluster,
        GROUPS,
        &["volumegroupsnapshotcontents"],
        &["get", "list", "watch", "patch", "delete"],
        "a group snapshot outlives the application's namespace until its members are read",
    ),
    rule(BOTH, Place::Cluster, SNAPSHOTS, &["volumesnapshotclasses"], READ, "they say who takes snapshots"),
    rule(
        BOTH,
        Place::Cluster,
        GROUPS,
        &["volumegroupsnapshotclasses"],
        READ,
        "they say who takes several at once",
    ),
    Rule {
        names: &[SYSTEM_NAMESPACE],
        ..rule(
            BOTH,
            Place::Cluster,
            CORE,
            &["namespaces"],
            &["patch"],
            "our own namespace gets its Pod Security labels",
        )
    },
    rule(
        BOTH,
        Place::Cluster,
        CORE,
        &["namespaces"],
        &["get", "list", "create"],
        "namespaces are selected by globs, and ours is made if it is missing",
    ),
    rule(
        BOTH,
        Place::Cluster,
        CORE,
        &["nodes"],
        READ,
        "the point records them, and a mover runs on the node that has the volume",
    ),
    rule(
        BOTH,
        Place::Cluster,
        CORE,
        &["persistentvolumes"],
        &["get", "list", "watch"],
        "the volume behind a claim says how it can be read, and one of a snapshot is waited for until it is gone",
    ),
    rule(
        BOTH,
        Place::Cluster,
        &["storage.k8s.io"],
        &["storageclasses", "volumeattributesclasses"],
        READ,
        "claims refer to them",
    ),
    rule(BOTH, Place::Cluster, &["scheduling.k8s.io"], &["priorityclasses"], READ, "pods refer to them"),
    rule(BOTH, Place::Cluster, &["node.k8s.io"], &["runtimeclasses"], READ, "pods refer to them"),
    rule(BOTH, Place::Cluster, &["networking.k8s.io"], &["ingressclasses"], READ, "Ingresses refer to them"),
    rule(
        BOTH,
        Place::Cluster,
        &["gateway.networking.k8s.io"],
        &["gatewayclasses"],
        READ,
        "Gateways refer to them",
    ),
    rule(
        BOTH,
        Place::Cluster,
        &["apiextensions.k8s.io"],
        &["customresourcedefinitions"],
        READ,
        "instances of custom resources need them",
    ),
    rule(
        BOTH,
        Place::Cluster,
        &["rbac.authorization.k8s.io"],
        &["clusterroles", "clusterrolebindings"],
        READ,
        "bindings refer to roles, and cluster-wide bindings to the application's accounts",
    ),
    rule(
        RESTORE,
        Place::Cluster,
        CORE,
        &["persistentvolumes"],
        &["watch", "patch"],
        "a filled volume is handed to the application's claim",
    ),
    rule(
        BOTH,
        Place::WholeCluster,
        ALL,
        ALL,
        READ,
        "cluster-scoped kinds are captured where the scope names them",
    ),
    rule(
        RESTORE,
        Place::WholeCluster,
        ALL,
        ALL,
        &["create", "update", "patch", "watch"],
        "namespaces, CRDs, classes and roles are created",
    ),
    rule(
        RESTORE,
        Place::WholeCluster,
        &["rbac.authorization.k8s.io"],
        &["clusterroles"],
        &["escalate", "bind"],
        "a restored ClusterRole may grant more than this account has",
    ),
];

impl Rule {
    pub(super) fn manifest(&self) -> Value {
        let mut rule = json!({"apiGroups": self.groups, "resources": self.resources, "verbs": self.verbs});
        if !self.names.is_empty() {
            rule["resourceNames"] = json!(self.names);
        }
        rule
    }
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}: {}", self.verbs.join(","), self.resources.join(","), self.reason)
    }
}
