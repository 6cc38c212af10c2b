//! Kinds that every cluster has, at the versions that every supported cluster serves.

use holdfast_model::ResourceType;

/// A resource by its parts.
pub fn resource(group: &str, version: &str, kind: &str, plural: &str, namespaced: bool) -> ResourceType {
    ResourceType {
        group: group.to_owned(),
        version: version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
        namespaced,
    }
}

macro_rules! kinds {
    ($($name:ident = $group:literal $version:literal $kind:literal $plural:literal $namespaced:literal;)*) => {
        $(
            #[doc = concat!("`", $kind, "`")]
            pub fn $name() -> ResourceType {
                resource($group, $version, $kind, $plural, $namespaced)
            }
        )*
    };
}

kinds! {
    namespaces = "" "v1" "Namespace" "namespaces" false;
    nodes = "" "v1" "Node" "nodes" false;
    pods = "" "v1" "Pod" "pods" true;
    services = "" "v1" "Service" "services" true;
    secrets = "" "v1" "Secret" "secrets" true;
    config_maps = "" "v1" "ConfigMap" "configmaps" true;
    events = "" "v1" "Event" "events" true;
    service_accounts = "" "v1" "ServiceAccount" "serviceaccounts" true;
    resource_quotas = "" "v1" "ResourceQuota" "resourcequotas" true;
    persistent_volumes = "" "v1" "PersistentVolume" "persistentvolumes" false;
    persistent_volume_claims = "" "v1" "PersistentVolumeClaim" "persistentvolumeclaims" true;
    deployments = "apps" "v1" "Deployment" "deployments" true;
    replica_sets = "apps" "v1" "ReplicaSet" "replicasets" true;
    stateful_sets = "apps" "v1" "StatefulSet" "statefulsets" true;
    daemon_sets = "apps" "v1" "DaemonSet" "daemonsets" true;
    jobs = "batch" "v1" "Job" "jobs" true;
    cron_jobs = "batch" "v1" "CronJob" "cronjobs" true;
    storage_classes = "storage.k8s.io" "v1" "StorageClass" "storageclasses" false;
    ingress_classes = "networking.k8s.io" "v1" "IngressClass" "ingressclasses" false;
    priority_classes = "scheduling.k8s.io" "v1" "PriorityClass" "priorityclasses" false;
    runtime_classes = "node.k8s.io" "v1" "RuntimeClass" "runtimeclasses" false;
    leases = "coordination.k8s.io" "v1" "Lease" "leases" true;
    roles = "rbac.authorization.k8s.io" "v1" "Role" "roles" true;
    role_bindings = "rbac.authorization.k8s.io" "v1" "RoleBinding" "rolebindings" true;
    cluster_roles = "rbac.authorization.k8s.io" "v1" "ClusterRole" "clusterroles" false;
    cluster_role_bindings = "rbac.authorization.k8s.io" "v1" "ClusterRoleBinding" "clusterrolebindings" false;
    volume_snapshots = "snapshot.storage.k8s.io" "v1" "VolumeSnapshot" "volumesnapshots" true;
    volume_snapshot_contents =
        "snapshot.storage.k8s.io" "v1" "VolumeSnapshotContent" "volumesnapshotcontents" false;
    volume_snapshot_classes =
        "snapshot.storage.k8s.io" "v1" "VolumeSnapshotClass" "volumesnapshotclasses" false;
    custom_resource_definitions =
        "apiextensions.k8s.io" "v1" "CustomResourceDefinition" "customresourcedefinitions" false;
}
