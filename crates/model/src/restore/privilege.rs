//! What gives power over a cluster or its nodes to whoever can have it restored.

use serde_json::Value;

use super::places::POD_SPECS;
use crate::object::GroupKind;

const RBAC: &str = "rbac.authorization.k8s.io";
const ADMISSION: &str = "admissionregistration.k8s.io";

/// Kinds that give power whatever they say, and which.
const KINDS: &[(&str, &str, &str)] = &[
    (ADMISSION, "MutatingWebhookConfiguration", "changes what others write"),
    (ADMISSION, "MutatingAdmissionPolicyBinding", "changes what others write"),
    (ADMISSION, "ValidatingWebhookConfiguration", "reads, and may refuse, what others write"),
    ("apiregistration.k8s.io", "APIService", "answers in the API server's place"),
];

/// Capabilities of a container that are no power over its node.
const HARMLESS: &[&str] =
    &["NET_BIND_SERVICE", "CHOWN", "FOWNER", "SETUID", "SETGID", "DAC_OVERRIDE", "KILL"];

/// What power an object of this kind gives, each in a few words; none for almost all objects.
pub fn privileges(of: &GroupKind, object: &Value) -> Vec<String> {
    let is = |group: &str, kind: &str| of.group == group && of.kind == kind;
    let mut found: Vec<String> = Vec::new();
    if is(RBAC, "RoleBinding") || is(RBAC, "ClusterRoleBinding") {
        found.push(binding(object));
    }
    let listed = KINDS.iter().filter(|(group, kind, _)| is(group, kind));
    found.extend(listed.map(|(_, _, power)| (*power).to_owned()));
    let place = POD_SPECS.iter().find(|(group, kind, _)| is(group, kind));
    if let Some(pod) = place.and_then(|(_, _, place)| object.pointer(place)) {
        found.extend(of_pod(pod));
    }
    found
}

/// The same without what is there already: writing an object over one that gives the same power raises none.
pub fn raised(of: &GroupKind, object: &Value, live: Option<&Value>) -> Vec<String> {
    let powers = privileges(of, object);
    live.map_or(powers.clone(), |live| beyond(&powers, of, live))
}

/// Which of these powers an object does not give.
pub fn beyond(powers: &[String], of: &GroupKind, object: &Value) -> Vec<String> {
    let given = if powers.is_empty() { Vec::new() } else { privileges(of, object) };
    powers.iter().filter(|power| !given.contains(power)).cloned().collect()
}

fn binding(binding: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let role = &binding["roleRef"];
    let subjects = binding["subjects"].as_array().into_iter().flatten();
    let subjects: Vec<String> = subjects
        .map(|subject| match subject["namespace"].as_str() {
            Some(namespace) => format!("{} {namespace}/{}", text(&subject["kind"]), text(&subject["name"])),
            None => format!("{} {}", text(&subject["kind"]), text(&subject["name"])),
        })
        .collect();
    let to = if subjects.is_empty() { "nobody".to_owned() } else { subjects.join(", ") };
    format!("grants {} {} to {to}", text(&role["kind"]), text(&role["name"]))
}

fn of_pod(pod: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for (key, power) in [
        ("hostNetwork", "uses the node's network"),
        ("hostPID", "sees the node's processes"),
        ("hostIPC", "shares memory with the node's processes"),
    ] {
        if pod[key] == true {
            found.push(power.to_owned());
        }
    }
    let volumes = pod["volumes"].as_array().into_iter().flatten();
    let paths = volumes.filter_map(|volume| volume["hostPath"]["path"].as_str());
    found.extend(paths.map(|path| format!("mounts {path} of the node")));
    let containers = ["initContainers", "containers"].iter().flat_map(|key| pod[*key].as_array());
    for container in containers.flatten() {
        let name = container["name"].as_str().unwrap_or_default();
        let context = &container["securityContext"];
        if context["privileged"] == true {
            found.push(format!("container {name} is privileged"));
        }
        let added = context["capabilities"]["add"].as_array().into_iter().flatten();
        let added = added.filter_map(Value::as_str).filter(|capability| !HARMLESS.contains(capability));
        found.extend(added.map(|capability| format!("container {name} has capability {capability}")));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(group: &str, kind: &str, object: Value) -> Vec<String> {
        privileges(&GroupKind::new(group, kind), &object)
    }

    #[test]
    fn a_binding_says_what_it_grants_to_whom() {
        let binding = json!({"roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [
            {"kind": "ServiceAccount", "name": "web", "namespace": "shop"}, {"kind": "Group", "name": "ops"}]});
        let granted = "grants ClusterRole admin to ServiceAccount shop/web, Group ops";
        assert_eq!(of(RBAC, "RoleBinding", binding.clone()), [granted]);
        assert!(of(RBAC, "Role", binding).is_empty());
    }

    #[test]
    fn what_is_there_already_is_not_raised() {
        let pod = |path: &str| json!({"spec": {"volumes": [{"hostPath": {"path": path}}], "hostPID": true}});
        let raised = |live: Option<Value>| raised(&GroupKind::new("", "Pod"), &pod("/a"), live.as_ref());
        assert_eq!(raised(None).len(), 2);
        assert_eq!(raised(Some(pod("/a"))), [""; 0]);
        assert_eq!(raised(Some(pod("/b"))), ["mounts /a of the node"]);
    }

    #[test]
    fn webhooks_and_aggregated_servers_are_power() {
        assert_eq!(of(ADMISSION, "MutatingWebhookConfiguration", json!({})), ["changes what others write"]);
        assert_eq!(of("apiregistration.k8s.io", "APIService", json!({})).len(), 1);
        assert!(of(ADMISSION, "ValidatingAdmissionPolicy", json!({})).is_empty());
    }

    #[test]
    fn pods_and_their_templates_are_looked_into() {
        let pod = json!({"hostNetwork": true, "volumes": [{"hostPath": {"path": "/var/run"}}, {"emptyDir": {}}],
            "initContainers": [{"name": "i", "securityContext": {"capabilities": {"add": ["SYS_ADMIN", "CHOWN"]}}}],
            "containers": [{"name": "c", "securityContext": {"privileged": true}}]});
        let expected = [
            "uses the node's network",
            "mounts /var/run of the node",
            "container i has capability SYS_ADMIN",
            "container c is privileged",
        ];
        assert_eq!(of("", "Pod", json!({"spec": pod})), expected);
        assert_eq!(of("apps", "DaemonSet", json!({"spec": {"template": {"spec": pod}}})), expected);
        let plain =
            json!({"spec": {"containers": [{"name": "c", "securityContext": {"privileged": false}}]}});
        assert!(of("", "Pod", plain).is_empty());
    }
}
