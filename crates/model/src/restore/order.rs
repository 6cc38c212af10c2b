//! In which order kinds are created: levels, each complete before the next begins.
//!
//! Within a level everything is created side by side. A kind that no line names belongs to the
//! middle level, among the custom resources: after what objects refer to, before what runs.
//! Owners add to this order object by object: see [`super::owner`].

use crate::object::GroupKind;

/// One level.
#[derive(Debug, Clone, Copy)]
pub struct Level {
    /// Its name in output.
    pub name: &'static str,
    /// Why it comes where it comes.
    pub reason: &'static str,
    /// API group (empty for the core group) and kind of what belongs to it.
    pub kinds: &'static [(&'static str, &'static str)],
}

const ADMISSION: &str = "admissionregistration.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";
const STORAGE: &str = "storage.k8s.io";

/// The levels, first to last.
pub static LEVELS: &[Level] = &[
    Level {
        name: "namespaces",
        reason: "everything namespaced is created in one",
        kinds: &[("", "Namespace")],
    },
    Level {
        name: "custom resource definitions",
        reason: "their instances cannot be created before the API server serves them",
        kinds: &[("apiextensions.k8s.io", "CustomResourceDefinition")],
    },
    Level {
        name: "classes and limits",
        reason: "claims, pods and Ingresses name them, and admission applies them",
        kinds: &[
            (STORAGE, "StorageClass"),
            (STORAGE, "CSIDriver"),
            (STORAGE, "VolumeAttributesClass"),
            ("snapshot.storage.k8s.io", "VolumeSnapshotClass"),
            ("scheduling.k8s.io", "PriorityClass"),
            ("node.k8s.io", "RuntimeClass"),
            ("networking.k8s.io", "IngressClass"),
            ("gateway.networking.k8s.io", "GatewayClass"),
            ("resource.k8s.io", "DeviceClass"),
            ("flowcontrol.apiserver.k8s.io", "PriorityLevelConfiguration"),
            ("flowcontrol.apiserver.k8s.io", "FlowSchema"),
            ("", "LimitRange"),
            ("", "ResourceQuota"),
        ],
    },
    Level {
        name: "identities and configuration",
        reason: "pods refer to them and do not start without them",
        kinds: &[("", "ServiceAccount"), ("", "Secret"), ("", "ConfigMap")],
    },
    Level {
        name: "roles",
        reason: "a binding is refused while its role is missing, unless the caller may bind anything",
        kinds: &[(RBAC, "ClusterRole"), (RBAC, "Role")],
    },
    Level {
        name: "bindings",
        reason: "what runs needs its rights from the start",
        kinds: &[(RBAC, "ClusterRoleBinding"), (RBAC, "RoleBinding")],
    },
    Level {
        name: "claims",
        reason: "a workload or operator that does not find its claim makes an empty one",
        kinds: &[("", "PersistentVolume"), ("", "PersistentVolumeClaim")],
    },
    Level {
        name: "network",
        reason: "policies hold before anything starts, and pods get the addresses of Services in their environment",
        kinds: &[
            ("", "Service"),
            ("", "Endpoints"),
            ("discovery.k8s.io", "EndpointSlice"),
            ("networking.k8s.io", "NetworkPolicy"),
            ("policy", "PodDisruptionBudget"),
        ],
    },
    Level {
        name: "custom resources",
        reason: "they refer to the above, and operators among the workloads act on them",
        kinds: &[],
    },
    Level {
        name: "workloads",
        reason: "they find all that they need",
        kinds: &[
            ("", "Pod"),
            ("", "PodTemplate"),
            ("", "ReplicationController"),
            ("apps", "ControllerRevision"),
            ("apps", "ReplicaSet"),
            ("apps", "Deployment"),
            ("apps", "StatefulSet"),
            ("apps", "DaemonSet"),
            ("batch", "Job"),
            ("batch", "CronJob"),
        ],
    },
    Level {
        name: "scaling and entry",
        reason: "they act on workloads, and let traffic in",
        kinds: &[("autoscaling", "HorizontalPodAutoscaler"), ("networking.k8s.io", "Ingress")],
    },
    Level {
        name: "admission and aggregation",
        reason: "from here on they stand in the way of every request while what serves them is not ready",
        kinds: &[
            (ADMISSION, "ValidatingAdmissionPolicy"),
            (ADMISSION, "ValidatingAdmissionPolicyBinding"),
            (ADMISSION, "MutatingAdmissionPolicy"),
            (ADMISSION, "MutatingAdmissionPolicyBinding"),
            (ADMISSION, "ValidatingWebhookConfiguration"),
            (ADMISSION, "MutatingWebhookConfiguration"),
            ("apiregistration.k8s.io", "APIService"),
        ],
    },
];

/// Index into [`LEVELS`] of the kind's level.
pub fn level(of: &GroupKind) -> usize {
    let named = LEVELS
        .iter()
        .position(|level| level.kinds.iter().any(|(group, kind)| of.group == *group && of.kind == *kind));
    named.unwrap_or_else(middle)
}

/// The first level that waits until the workloads are ready: what stands in the way of requests
/// would stand in the way of the pods that serve it.
pub fn after_ready() -> usize {
    LEVELS.len() - 1
}

/// The level of kinds that no line names.
fn middle() -> usize {
    LEVELS.iter().position(|level| level.kinds.is_empty()).unwrap_or(LEVELS.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level_of(group: &str, kind: &str) -> usize {
        level(&GroupKind::new(group, kind))
    }

    #[test]
    fn each_comes_after_what_it_needs() {
        for (first, then) in [
            (("", "Namespace"), ("", "Secret")),
            (("apiextensions.k8s.io", "CustomResourceDefinition"), ("shop.example", "Till")),
            ((STORAGE, "StorageClass"), ("", "PersistentVolumeClaim")),
            (("", "PersistentVolumeClaim"), ("postgresql.example", "Cluster")),
            (("", "PersistentVolumeClaim"), ("apps", "StatefulSet")),
            (("", "ServiceAccount"), (RBAC, "RoleBinding")),
            ((RBAC, "Role"), (RBAC, "RoleBinding")),
            (("networking.k8s.io", "NetworkPolicy"), ("", "Pod")),
            (("shop.example", "Till"), ("apps", "Deployment")),
            (("apps", "Deployment"), ("autoscaling", "HorizontalPodAutoscaler")),
            (("", "Service"), (ADMISSION, "ValidatingWebhookConfiguration")),
            (("apps", "Deployment"), (ADMISSION, "MutatingWebhookConfiguration")),
        ] {
            assert!(level_of(first.0, first.1) < level_of(then.0, then.1), "{first:?} before {then:?}");
        }
    }

    #[test]
    fn the_group_tells_kinds_of_one_name_apart() {
        assert_eq!(level_of("serving.example", "Service"), middle());
        assert_ne!(level_of("", "Service"), middle());
    }

    #[test]
    fn webhooks_wait_until_what_serves_them_is_ready() {
        assert_eq!(level_of(ADMISSION, "ValidatingWebhookConfiguration"), after_ready());
        assert!(level_of("networking.k8s.io", "Ingress") < after_ready());
    }

    #[test]
    fn there_is_one_middle_and_no_kind_stands_twice() {
        assert_eq!(LEVELS.iter().filter(|level| level.kinds.is_empty()).count(), 1);
        let mut all: Vec<_> = LEVELS.iter().flat_map(|level| level.kinds).collect();
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count);
    }
}
