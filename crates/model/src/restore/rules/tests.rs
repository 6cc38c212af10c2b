use serde_json::json;

use super::*;

fn stripped(group: &str, kind: &str, mut object: Value) -> Value {
    strip(&GroupKind::new(group, kind), &mut object);
    object
}

#[test]
fn what_the_server_wrote_is_taken_out_of_every_kind() {
    let till = json!({"apiVersion": "shop.example/v1", "kind": "Till",
        "metadata": {"name": "t", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 3,
            "creationTimestamp": "2026-01-01T00:00:00Z", "managedFields": [], "selfLink": "/x",
            "finalizers": ["shop.example/close", "foregroundDeletion"],
            "annotations": {"holdfast.dev/restored-from": "p"}},
        "spec": {"uid": "mine"}, "status": {"open": true}});
    assert_eq!(
        stripped("shop.example", "Till", till),
        json!({"apiVersion": "shop.example/v1", "kind": "Till",
            "metadata": {"name": "t", "namespace": "shop", "finalizers": ["shop.example/close"]},
            "spec": {"uid": "mine"}})
    );
}

#[test]
fn a_service_gets_an_address_of_the_new_cluster_but_keeps_what_was_chosen() {
    let service = |ip: &str, fields: Value| {
        json!({"metadata": {"managedFields": [{"fieldsV1": fields}]},
            "spec": {"type": "NodePort", "clusterIP": ip, "clusterIPs": [ip], "ipFamilies": ["IPv4"],
                "ports": [{"port": 80, "nodePort": 30080}]}})
    };
    let chosen = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {"f:nodePort": {}}}}});
    assert_eq!(
        stripped("", "Service", service("10.96.0.9", json!({"f:spec": {}}))),
        json!({"spec": {"type": "NodePort", "ports": [{"port": 80}]}})
    );
    let kept = stripped("", "Service", service("10.96.0.9", chosen));
    assert_eq!(kept["spec"]["ports"][0]["nodePort"], 30080);
    assert_eq!(kept["spec"].get("clusterIP"), None);
    let headless = stripped("", "Service", service("None", json!({"f:spec": {}})));
    assert_eq!(headless["spec"]["clusterIP"], "None");
    assert_eq!(headless["spec"]["clusterIPs"], json!(["None"]));
}

#[test]
fn a_claim_is_bound_to_nothing() {
    let claim = json!({"metadata": {"name": "data", "annotations": {
            "pv.kubernetes.io/bind-completed": "yes", "volume.kubernetes.io/selected-node": "n",
            "volume.beta.kubernetes.io/storage-class": "fast", "team": "a"}},
        "spec": {"volumeName": "pv-1", "storageClassName": "fast", "dataSource": {"kind": "VolumeSnapshot"}}});
    assert_eq!(
        stripped("", "PersistentVolumeClaim", claim),
        json!({"metadata": {"name": "data", "annotations":
                {"volume.beta.kubernetes.io/storage-class": "fast", "team": "a"}},
            "spec": {"storageClassName": "fast"}})
    );
}

#[test]
fn a_pod_loses_its_node_and_its_old_token() {
    let labels =
        json!({"app": "web", "topology.kubernetes.io/zone": "z", "topology.kubernetes.io/region": "r"});
    let pod = json!({"metadata": {"labels": labels}, "spec": {"nodeName": "n", "priority": 0,
        "volumes": [{"name": "kube-api-access-x7k2p", "projected": {}}, {"name": "data"},
            {"name": "kube-api-access-log", "emptyDir": {}}],
        "containers": [{"name": "c", "volumeMounts": [
            {"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount"},
            {"name": "data", "mountPath": "/data"}]}]}});
    assert_eq!(
        stripped("", "Pod", pod),
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"volumes": [{"name": "data"}, {"name": "kube-api-access-log", "emptyDir": {}}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "data", "mountPath": "/data"}]}]}})
    );
}

#[test]
fn a_job_gets_a_selector_of_its_own_unless_a_person_gave_it_one() {
    let job = |manual: bool| {
        json!({"metadata": {"labels": {"controller-uid": "u", "app": "x"}}, "spec": {"manualSelector": manual,
            "selector": {"matchLabels": {"batch.kubernetes.io/controller-uid": "u"}},
            "template": {"metadata": {"labels": {"batch.kubernetes.io/controller-uid": "u", "app": "x"}}}}})
    };
    let generated = stripped("batch", "Job", job(false));
    assert_eq!(generated["spec"].get("selector"), None);
    assert_eq!(generated["spec"]["template"]["metadata"]["labels"], json!({"app": "x"}));
    assert_eq!(stripped("batch", "Job", job(true)), job(true));
}

#[test]
fn generated_secrets_are_not_asked_for() {
    let account = json!({"secrets": [{"name": "builder-token-x2b4f"}, {"name": "my-vault"}],
        "imagePullSecrets": [{"name": "builder-dockercfg-99xyz"}, {"name": "registry"}]});
    assert_eq!(
        stripped("", "ServiceAccount", account),
        json!({"secrets": [{"name": "my-vault"}], "imagePullSecrets": [{"name": "registry"}]})
    );
}

#[test]
fn aggregated_rules_are_left_to_aggregation() {
    let rbac = "rbac.authorization.k8s.io";
    let rules = json!({"rules": [{"verbs": ["get"]}]});
    assert_eq!(stripped(rbac, "ClusterRole", rules.clone()), rules);
    let mut aggregated = rules;
    aggregated["aggregationRule"] = json!({"clusterRoleSelectors": []});
    assert_eq!(stripped(rbac, "ClusterRole", aggregated).get("rules"), None);
}

#[test]
fn the_lines_that_applied_are_told() {
    let mut object = json!({"metadata": {"uid": "u"}, "spec": {}});
    let lines = strip(&GroupKind::new("x", "Y"), &mut object);
    assert_eq!(lines.iter().map(|rule| rule.place()).collect::<Vec<_>>(), ["/metadata/uid"]);
    assert!(RULES.iter().all(|rule| rule.place().starts_with('/') && !rule.reason.is_empty()));
}
