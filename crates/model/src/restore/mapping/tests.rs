use serde_json::json;

use super::*;

fn mapping() -> Mapping {
    Mapping::parse(&["shop=shop-eu", "bank=bank-eu"], &["fast=ssd"]).unwrap()
}

fn mapped(group: &str, kind: &str, mut object: Value) -> Value {
    mapping().apply(&GroupKind::new(group, kind), &mut object);
    object
}

#[test]
fn mappings_that_would_mislead_are_refused() {
    let parse = |namespaces: &[&str]| Mapping::parse(namespaces, &[]).unwrap_err().to_string();
    assert!(parse(&["shop"]).contains("OLD=NEW"));
    assert!(parse(&["shop=Shop!"]).contains("`Shop!`"));
    assert!(parse(&["a=b", "a=c"]).contains("both `b` and `c`"));
    assert!(parse(&["a=c", "b=c"]).contains("collide"));
    assert!(parse(&["a=b", "b=c"]).contains("two steps"));
    assert!(Mapping::parse(&["a=a"], &[]).unwrap().is_empty());
}

#[test]
fn an_object_and_its_namespace_move_together() {
    assert_eq!(
        mapped(
            "",
            "Secret",
            json!({"metadata": {"name": "shop", "namespace": "shop"}, "data": {"x": "shop"}})
        ),
        json!({"metadata": {"name": "shop", "namespace": "shop-eu"}, "data": {"x": "shop"}})
    );
    assert_eq!(
        mapped("", "Namespace", json!({"metadata": {"name": "bank"}})),
        json!({"metadata": {"name": "bank-eu"}})
    );
}

#[test]
fn subjects_follow_their_accounts() {
    let binding = json!({"subjects": [
        {"kind": "ServiceAccount", "name": "shop", "namespace": "shop"},
        {"kind": "Group", "name": "system:serviceaccounts:shop"},
        {"kind": "User", "name": "system:serviceaccount:bank:teller"},
        {"kind": "User", "name": "shop"},
    ]});
    assert_eq!(
        mapped("rbac.authorization.k8s.io", "ClusterRoleBinding", binding),
        json!({"subjects": [
            {"kind": "ServiceAccount", "name": "shop", "namespace": "shop-eu"},
            {"kind": "Group", "name": "system:serviceaccounts:shop-eu"},
            {"kind": "User", "name": "system:serviceaccount:bank-eu:teller"},
            {"kind": "User", "name": "shop"},
        ]})
    );
}

#[test]
fn selectors_by_name_follow_the_namespace() {
    let policy = json!({"spec": {"ingress": [{"from": [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "bank", "team": "bank"}}},
        {"namespaceSelector": {"matchExpressions": [
            {"key": "kubernetes.io/metadata.name", "operator": "In", "values": ["shop", "other"]},
            {"key": "team", "operator": "In", "values": ["shop"]}]}},
    ]}]}});
    let from = mapped("networking.k8s.io", "NetworkPolicy", policy)["spec"]["ingress"][0]["from"].clone();
    assert_eq!(from[0]["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"], "bank-eu");
    assert_eq!(from[0]["namespaceSelector"]["matchLabels"]["team"], "bank");
    assert_eq!(from[1]["namespaceSelector"]["matchExpressions"][0]["values"], json!(["shop-eu", "other"]));
    assert_eq!(from[1]["namespaceSelector"]["matchExpressions"][1]["values"], json!(["shop"]));
}

#[test]
fn classes_are_mapped_wherever_volumes_are_asked_for() {
    let set = json!({"spec": {
        "template": {"spec": {"volumes": [{"ephemeral": {"volumeClaimTemplate": {"spec": {"storageClassName": "fast"}}}}],
            "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [{"namespaces": ["shop"]}]}}}},
        "volumeClaimTemplates": [{"spec": {"storageClassName": "fast"}}]}});
    let set = mapped("apps", "StatefulSet", set);
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["storageClassName"], "ssd");
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["volumes"][0]["ephemeral"]["volumeClaimTemplate"]["spec"]["storageClassName"], "ssd");
    let terms = &pod["affinity"]["podAntiAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    assert_eq!(terms[0]["namespaces"], json!(["shop-eu"]));
    let quota =
        json!({"spec": {"hard": {"fast.storageclass.storage.k8s.io/requests.storage": "1Gi", "pods": "3"}}});
    assert_eq!(
        mapped("", "ResourceQuota", quota),
        json!({"spec": {"hard": {"ssd.storageclass.storage.k8s.io/requests.storage": "1Gi", "pods": "3"}}})
    );
}

#[test]
fn access_modes_are_mapped_and_each_is_there_once() {
    let map = |pairs: &[&str]| Mapping::default().with_access_modes(pairs);
    let mapping = map(&["ReadWriteMany=ReadWriteOnce"]).unwrap();
    let mut claim = json!({"spec": {"accessModes": ["ReadWriteOnce", "ReadWriteMany", "ReadOnlyMany"]}});
    mapping.apply(&GroupKind::new("", "PersistentVolumeClaim"), &mut claim);
    assert_eq!(claim, json!({"spec": {"accessModes": ["ReadWriteOnce", "ReadOnlyMany"]}}));
    let mut set = json!({"spec": {"volumeClaimTemplates": [{"spec": {"accessModes": ["ReadWriteMany"]}}]}});
    mapping.apply(&GroupKind::new("apps", "StatefulSet"), &mut set);
    assert_eq!(set["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"], json!(["ReadWriteOnce"]));
    assert!(map(&["RWX=ReadWriteOnce"]).unwrap_err().to_string().contains("`RWX`"));
    assert!(map(&["ReadWriteMany=RWO"]).unwrap_err().to_string().contains("`RWO`"));
}

#[test]
fn pods_and_ingresses_are_fitted_to_the_target() {
    let mapping = Mapping::default()
        .with_images(&["docker.io=registry.bank/hub"])
        .and_then(|mapping| mapping.with_hosts(&["bank.example=dr.bank.example"]))
        .and_then(|mapping| mapping.with_ingress_classes(&["nginx=traefik"]))
        .and_then(|mapping| mapping.with_node_labels(&["topology.kubernetes.io/zone=a:b"]))
        .unwrap();
    let mapped = |group: &str, kind: &str, mut object: Value| {
        mapping.apply(&GroupKind::new(group, kind), &mut object);
        object
    };
    let zone = "topology.kubernetes.io/zone";
    let pod = |image: &str, value: &str| {
        json!({"spec": {"template": {"spec": {
            "containers": [{"image": image}], "initContainers": [{"image": "quay.io/x"}],
            "nodeSelector": {zone: value, "disk": "a"},
            "affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                {"matchExpressions": [{"key": zone, "operator": "In", "values": [value, "c"]}]}]}}},
        }}}})
    };
    assert_eq!(
        mapped("apps", "Deployment", pod("nginx:1", "a")),
        pod("registry.bank/hub/library/nginx:1", "b")
    );
    let ingress = |class: &str, host: &str| json!({"spec": {"ingressClassName": class, "rules": [{"host": host}], "tls": [{"hosts": [host]}]}});
    assert_eq!(
        mapped("networking.k8s.io", "Ingress", ingress("nginx", "www.bank.example")),
        ingress("traefik", "www.dr.bank.example")
    );
    assert!(!mapping.is_empty());
    assert!(Mapping::default().with_node_labels(&["zone=a:b", "zone=a:c"]).is_err());
    for text in ["zone", "zone=a", "=a:b"] {
        assert!(Mapping::default().with_node_labels(&[text]).is_err(), "{text}");
    }
}
