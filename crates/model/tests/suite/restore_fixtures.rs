//! Every manifest of the fixture applications and CRDs, as an API server would return it, on its
//! way through the tables of a restore: which level, where to, and what is taken out.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use holdfast_model::restore::{Mapping, Prepared, comparable, order, prepare, read, rules};
use holdfast_model::{PointId, ResourceType};
use serde_json::{Value, json};

fn fixtures(part: &str) -> Vec<(PathBuf, Vec<Value>)> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testbed/fixtures").join(part);
    let entries =
        std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), documents(&file))).collect()
}

fn documents(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let all: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
    all.into_iter().filter(Value::is_object).collect()
}

fn resource(object: &Value) -> ResourceType {
    let api_version = object["apiVersion"].as_str().unwrap();
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let kind = object["kind"].as_str().unwrap();
    let cluster =
        ["Namespace", "CustomResourceDefinition", "StorageClass", "ClusterRole", "ClusterRoleBinding"];
    ResourceType {
        group: group.into(),
        version: version.into(),
        kind: kind.into(),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced: !cluster.contains(&kind),
    }
}

/// Adds what an API server and its controllers add.
fn served(mut object: Value, of: &ResourceType) -> Value {
    if of.namespaced {
        object["metadata"]["namespace"] = json!("shop");
    }
    for (key, value) in [
        ("uid", json!("8f6a2f0e")),
        ("resourceVersion", json!("4711")),
        ("generation", json!(2)),
        ("creationTimestamp", json!("2026-11-01T00:00:00Z")),
        ("managedFields", json!([{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}])),
    ] {
        object["metadata"][key] = value;
    }
    object["status"] = json!({"observedGeneration": 2});
    match of.kind.as_str() {
        "Service" if of.group.is_empty() => {
            if object["spec"]["clusterIP"] != "None" {
                object["spec"]["clusterIP"] = json!("10.96.3.4");
            }
            object["spec"]["clusterIPs"] = json!([object["spec"]["clusterIP"].clone()]);
            object["spec"]["ipFamilies"] = json!(["IPv4"]);
            object["spec"]["ipFamilyPolicy"] = json!("SingleStack");
            if object["spec"]["type"] == "NodePort" {
                object["spec"]["ports"][0]["nodePort"] = json!(31234);
            }
        }
        "Deployment" => object["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = json!("2"),
        _ => {}
    }
    object
}

fn walk(part: &str) -> String {
    let mapping = Mapping::parse(&["shop=shop-eu"], &["fast=ssd"]).unwrap();
    let point: PointId = "20261122t101500-3fa9c1".parse().unwrap();
    let mut lines: BTreeMap<(usize, String), u32> = BTreeMap::new();
    for object in fixtures(part).into_iter().flat_map(|(_, objects)| objects) {
        let of = resource(&object);
        let captured = served(object, &of);
        let namespace = captured["metadata"]["namespace"].as_str().map(str::to_owned);
        let bytes = serde_json::to_vec(&captured).unwrap();
        let object = read(&of, namespace.as_deref(), &bytes).unwrap();
        let level = order::level(&of.group_kind());
        let line = match prepare(&of, object, &mapping, &point) {
            Prepared::Skip { reason } => format!("{}: skipped, {reason}", of.group_kind()),
            Prepared::Send(sending) => {
                let removed = rules::strip(&of.group_kind(), &mut captured.clone());
                let places: Vec<_> = removed.iter().map(|rule| rule.place()).collect();
                let to = sending.target.namespace.as_deref().unwrap_or("the cluster");
                let again = comparable(&of.group_kind(), &sending.object);
                assert_eq!(comparable(&of.group_kind(), &again), again, "comparing twice is comparing once");
                format!("{} to {to}, without {}", of.group_kind(), places.join(" "))
            }
        };
        *lines.entry((level, line)).or_default() += 1;
    }
    let mut table = String::new();
    for ((level, line), count) in lines {
        writeln!(table, "{count:>3} × {}: {line}", order::LEVELS[level].name).unwrap();
    }
    table
}

#[test]
fn applications() {
    insta::assert_snapshot!(walk("apps"));
}

#[test]
fn custom_resource_definitions() {
    insta::assert_snapshot!(walk("crds"));
}
