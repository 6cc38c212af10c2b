use super::*;
use crate::restore::order;

fn of(group: &str, kind: &str, plural: &str) -> ResourceType {
    ResourceType {
        group: group.into(),
        version: "v1".into(),
        kind: kind.into(),
        plural: plural.into(),
        namespaced: true,
    }
}

fn point() -> PointId {
    "20261122t101500-3fa9c1".parse().unwrap()
}

fn sent(of: &ResourceType, object: Value, mapping: &Mapping) -> Sending {
    match prepare(of, object, mapping, &point()) {
        Prepared::Send(sending) => *sending,
        Prepared::Skip { reason } => panic!("skipped: {reason}"),
    }
}

#[test]
fn an_object_says_where_it_came_from_and_goes_where_it_is_mapped() {
    let mapping = Mapping::parse(&["shop=shop-eu"], &[]).unwrap();
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "shop", "uid": "u"},
        "data": {"db": "db.shop.svc"}});
    let sending = sent(&of("", "ConfigMap", "configmaps"), map, &mapping);
    assert_eq!(sending.target.to_string(), "configmaps shop-eu/a");
    assert_eq!(sending.object["metadata"]["annotations"]["holdfast.dev/restored-from"], point().as_str());
    assert_eq!(sending.unmapped, ["/data/db"]);
    assert!(!sending.had_status);
}

#[test]
fn owners_are_told_and_taken_out() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop",
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true}]},
        "status": {"phase": "Running"}});
    let sending = sent(&of("", "Pod", "pods"), pod, &Mapping::default());
    assert_eq!(sending.maker.unwrap().name, "r");
    assert_eq!(sending.object["metadata"].get("ownerReferences"), None);
    assert!(sending.had_status);
}

#[test]
fn a_class_that_is_mapped_away_is_not_restored() {
    let mapping = Mapping::parse(&[], &["fast=ssd"]).unwrap();
    let class = json!({"metadata": {"name": "fast"}});
    let classes =
        ResourceType { namespaced: false, ..of("storage.k8s.io", "StorageClass", "storageclasses") };
    let prepared = prepare(&classes, class, &mapping, &point());
    assert_eq!(prepared, Prepared::Skip { reason: "mapped to storage class `ssd`".into() });
}

#[test]
fn what_was_sent_compares_equal_to_what_the_server_made_of_it() {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"ports": [{"port": 80}]}});
    let services = of("", "Service", "services");
    let mut live = sent(&services, service, &Mapping::default()).object;
    let desired = comparable(&services.group_kind(), &live);
    live["metadata"]["uid"] = json!("u");
    live["metadata"]["managedFields"] = json!([{"fieldsV1": {"f:spec": {}}}]);
    live["spec"]["clusterIP"] = json!("10.0.0.1");
    live["spec"]["ports"][0]["nodePort"] = json!(30000);
    live["metadata"]["ownerReferences"] = json!([{"kind": "X"}]);
    assert_eq!(comparable(&services.group_kind(), &live), desired);
    assert!(order::level(&services.group_kind()) > 0);
}
