//! Which objects of a point are not sent to a cluster at all: one table, each line with its reason.

use serde_json::Value;

use super::rules::Objects;
use crate::label;
use crate::object::ResourceType;
use crate::scope;

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Skip {
    /// Which objects.
    pub objects: Objects,
    /// Which of them, as they were captured.
    pub when: fn(&Value) -> bool,
    /// Why, as told to the user.
    pub reason: &'static str,
}

/// Why an object of this type is left out, if it is. Objects that a controller makes are told
/// apart in [`super::owner`].
pub fn reason(of: &ResourceType, captured: &Value) -> Option<&'static str> {
    let kind = of.group_kind();
    let line = SKIPS.iter().find(|skip| skip.objects.includes(&kind) && (skip.when)(captured));
    line.map(|skip| skip.reason).or_else(|| scope::never(of))
}

const CORE: &str = "";
const RBAC: &str = "rbac.authorization.k8s.io";
const FLOW: &str = "flowcontrol.apiserver.k8s.io";

const fn skip(objects: Objects, when: fn(&Value) -> bool, reason: &'static str) -> Skip {
    Skip { objects, when, reason }
}

/// The table; the first line that applies gives the reason.
pub static SKIPS: &[Skip] = &[
    skip(Objects::All, is_ours, "temporary object of a run of Holdfast"),
    skip(Objects::All, is_ending, "was being deleted when it was captured"),
    skip(Objects::Kind(CORE, "Secret"), is_token, "token of the old cluster; the new one issues its own"),
    skip(
        Objects::Kind(CORE, "ConfigMap"),
        is_cluster_authority,
        "certificate authority of the old cluster; every namespace gets the new one's",
    ),
    skip(Objects::Kind(CORE, "Service"), is_api_server, "the API server's own Service"),
    skip(Objects::Kind(CORE, "Pod"), is_mirror, "static pod of a node of the old cluster"),
    skip(Objects::Kind(CORE, "Pod"), pod_has_ended, "had ended; created again it would run again"),
    skip(Objects::Kind("batch", "Job"), job_has_ended, "had ended; created again it would run again"),
    skip(
        Objects::Kind(CORE, "PersistentVolume"),
        always,
        "storage of the old site; claims get new volumes, filled from the point",
    ),
    skip(Objects::Kind(RBAC, "ClusterRole"), is_bootstrap, "made by the API server"),
    skip(Objects::Kind(RBAC, "ClusterRoleBinding"), is_bootstrap, "made by the API server"),
    skip(Objects::Kind(RBAC, "Role"), is_bootstrap, "made by the API server"),
    skip(Objects::Kind(RBAC, "RoleBinding"), is_bootstrap, "made by the API server"),
    skip(Objects::Kind("scheduling.k8s.io", "PriorityClass"), is_system_priority, "made by the API server"),
    skip(Objects::Kind(FLOW, "FlowSchema"), is_kept_by_server, "made by the API server"),
    skip(Objects::Kind(FLOW, "PriorityLevelConfiguration"), is_kept_by_server, "made by the API server"),
];

fn always(_: &Value) -> bool {
    true
}

fn is_ours(object: &Value) -> bool {
    object["metadata"]["labels"][label::RUN].is_string()
}

fn is_ending(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

fn is_token(secret: &Value) -> bool {
    secret["type"] == "kubernetes.io/service-account-token"
}

fn is_cluster_authority(map: &Value) -> bool {
    let name = &map["metadata"]["name"];
    name == "kube-root-ca.crt" || name == "openshift-service-ca.crt"
}

fn is_api_server(service: &Value) -> bool {
    service["metadata"]["namespace"] == "default" && service["metadata"]["name"] == "kubernetes"
}

fn is_mirror(pod: &Value) -> bool {
    pod["metadata"]["annotations"]["kubernetes.io/config.mirror"].is_string()
}

fn pod_has_ended(pod: &Value) -> bool {
    matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn job_has_ended(job: &Value) -> bool {
    let conditions = job["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["status"] == "True" && matches!(condition["type"].as_str(), Some("Complete" | "Failed"))
    })
}

fn is_bootstrap(object: &Value) -> bool {
    object["metadata"]["labels"]["kubernetes.io/bootstrapping"] == "rbac-defaults"
}

fn is_system_priority(class: &Value) -> bool {
    class["metadata"]["name"].as_str().is_some_and(|name| name.starts_with("system-"))
}

fn is_kept_by_server(object: &Value) -> bool {
    object["metadata"]["annotations"]["apf.kubernetes.io/autoupdate-spec"] == "true"
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(group: &str, kind: &str, plural: &str) -> ResourceType {
        ResourceType {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced: true,
        }
    }

    #[test]
    fn tokens_stay_behind_and_other_secrets_go() {
        let secrets = of("", "Secret", "secrets");
        assert!(reason(&secrets, &json!({"type": "kubernetes.io/service-account-token"})).is_some());
        assert_eq!(reason(&secrets, &json!({"type": "Opaque", "metadata": {"name": "a"}})), None);
    }

    #[test]
    fn what_has_ended_does_not_run_again() {
        let jobs = of("batch", "Job", "jobs");
        let ended =
            |kind: &str, status: &str| json!({"status": {"conditions": [{"type": kind, "status": status}]}});
        assert!(reason(&jobs, &ended("Complete", "True")).unwrap().contains("run again"));
        assert!(reason(&jobs, &ended("Failed", "True")).is_some());
        assert_eq!(reason(&jobs, &ended("Complete", "False")), None);
        assert_eq!(reason(&jobs, &ended("Suspended", "True")), None);
        let pods = of("", "Pod", "pods");
        assert!(reason(&pods, &json!({"status": {"phase": "Succeeded"}})).is_some());
        assert_eq!(reason(&pods, &json!({"status": {"phase": "Running"}})), None);
    }

    #[test]
    fn kinds_that_are_never_captured_are_never_sent_either() {
        let events = of("", "Event", "events");
        assert_eq!(reason(&events, &json!({})), Some("a log of the old cluster"));
    }

    #[test]
    fn objects_of_our_own_runs_and_dying_ones_are_left_out() {
        let pods = of("", "Pod", "pods");
        assert!(reason(&pods, &json!({"metadata": {"labels": {"holdfast.dev/run": "r"}}})).is_some());
        assert!(reason(&pods, &json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}})).is_some());
    }
}
