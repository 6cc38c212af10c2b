//! What every format of a point has looked like: points of all of them are read for ever.

use crate::support::files::{self, Files};
use futures::StreamExt;
use holdfast_model::{ObjectRef, ResourceType};
use holdfast_protect::point::{self, OpenPoint};
use holdfast_vault::{CreateOptions, Repository, RepositoryPassword, Snapshot, Store, WriterOptions};
use serde_json::{Value, json};

/// An object whose name is too long for that of a file, and its file.
const LONG: (&str, &str) = (
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
     ~086d4a1c293bde31",
);

fn resource(group: &str, plural: &str, kind: &str, namespaced: bool) -> Value {
    json!({"group": group, "version": "v1", "kind": kind, "plural": plural, "namespaced": namespaced,
        "objects": 1, "bytes": 2, "resourceVersion": "4711"})
}

fn point_json(format: u32) -> Value {
    json!({
        "format": format, "program": "holdfast 0.1.0", "id": "20261122t101500-3fa9c1",
        "run": "20261122t101459-aabbcc", "tenant": "default", "application": "a0123456789abcdef",
        "applicationName": "shop", "spec": {"scope": {"namespaces": ["shop"]}}, "epoch": 1,
        "started": "2026-11-22T10:15:00Z", "finished": "2026-11-22T10:15:07.3Z", "outcome": "Completed",
        "consistency": "live", "listSpreadMillis": 412, "volumes": [],
        "cluster": {"name": "tokyo", "uid": "0b5d", "version": "v1.36.3", "apiVersions": ["v1"], "nodes": [],
            "storageClasses": []},
        "kinds": [resource("", "configmaps", "ConfigMap", true), resource("", "secrets", "Secret", true),
            resource("rbac.authorization.k8s.io", "clusterroles", "ClusterRole", false)],
        "stored": {"bytesSeen": 2, "bytesNew": 2, "bytesStored": 2},
    })
}

/// Opens a point with these files of objects, the content of each being its path.
async fn open(format: u32, paths: &[String]) -> OpenPoint {
    let password = RepositoryPassword::new("formats");
    let repository =
        Repository::create(Store::in_memory(), &password, CreateOptions::default()).await.unwrap();
    let mut files: Files = paths.iter().map(|path| (path.clone(), path.clone().into_bytes())).collect();
    files.insert("point.json".into(), serde_json::to_vec(&point_json(format)).unwrap());
    let writer = repository.writer(WriterOptions::default()).await.unwrap();
    let root = files::store(&writer, files).await;
    let mut snapshot = Snapshot::new("2026-11-22T10:15:00Z".parse().unwrap(), root);
    let tags = "holdfast holdfast:point holdfast:point=20261122t101500-3fa9c1 holdfast:app=a0123456789abcdef \
        holdfast:name=shop holdfast:run=20261122t101459-aabbcc holdfast:epoch=1 holdfast:outcome=Completed \
        holdfast:consistency=live";
    snapshot.tags = tags.split_whitespace().map(str::to_owned).collect();
    let (begun, ended) = ("2026-11-22T10:15:00Z", "2026-11-22T10:15:07.3Z");
    let summary = json!({"backup_start": begun, "backup_end": ended});
    snapshot.summary = Some(serde_json::from_value(summary).unwrap());
    writer.commit(snapshot).await.unwrap();
    writer.close().await.unwrap();
    let points = point::list(&repository).await.unwrap();
    point::open(&repository, points.newest().unwrap()).await.unwrap()
}

/// Format 1: a directory of many objects was split by a hash of their names.
fn format_1() -> Vec<String> {
    let maps = "resources/core/v1/configmaps/shop";
    let (_, long) = LONG;
    vec![
        format!("{maps}/08/{long}.json"),
        format!("{maps}/14/api.json"),
        format!("{maps}/4b/web.json"),
        format!("{maps}/5d/db-0.json"),
        "resources/core/v1/secrets/shop/db-0.json".into(),
        "resources/core/v1/secrets/shop-b/db-0.json".into(),
        "resources/rbac.authorization.k8s.io/v1/clusterroles/_cluster/view.json".into(),
    ]
}

/// Format 2: it is split where the names of objects say so, each part named by its first object.
fn format_2() -> Vec<String> {
    let maps = "resources/core/v1/configmaps/shop";
    let (_, long) = LONG;
    vec![
        format!("{maps}/@api/api.json"),
        format!("{maps}/@api/db-0.json"),
        format!("{maps}/@web/web.json"),
        format!("{maps}/@{long}/{long}.json"),
        "resources/core/v1/secrets/shop/db-0.json".into(),
        "resources/core/v1/secrets/shop-b/db-0.json".into(),
        "resources/rbac.authorization.k8s.io/v1/clusterroles/_cluster/view.json".into(),
    ]
}

fn object(point: &OpenPoint, plural: &str, namespace: Option<&str>, name: &str) -> ObjectRef {
    let mut types = point.point.kinds.iter().map(|kind| &kind.resource);
    let of: &ResourceType = types.find(|of| of.plural == plural).unwrap();
    ObjectRef { resource: of.clone(), namespace: namespace.map(str::to_owned), name: name.to_owned() }
}

async fn reads(format: u32, paths: Vec<String>) {
    let point = open(format, &paths).await;
    let walked: Vec<String> = point.objects().map(|entry| entry.unwrap().path).collect().await;
    assert_eq!(walked, paths, "in the order of paths");

    let (long, _) = LONG;
    let known = [
        ("configmaps", Some("shop"), "api"),
        ("configmaps", Some("shop"), "db-0"),
        ("configmaps", Some("shop"), "web"),
        ("configmaps", Some("shop"), long),
        ("secrets", Some("shop"), "db-0"),
        ("secrets", Some("shop-b"), "db-0"),
        ("clusterroles", None, "view"),
    ];
    let mut found = Vec::new();
    for (plural, namespace, name) in known {
        let wanted = object(&point, plural, namespace, name);
        let entry = point.object(&wanted).await.unwrap().unwrap_or_else(|| panic!("{wanted}"));
        assert_eq!((&entry.resource, &entry.namespace), (&wanted.resource, &wanted.namespace));
        assert_eq!(entry.name.as_deref(), Some(name).filter(|name| *name != long));
        assert_eq!(point.read(&entry).await.unwrap(), entry.path.as_bytes());
        found.push(entry.path);
    }
    found.sort();
    let mut all = paths;
    all.sort();
    assert_eq!(found, all);

    let unknown = [
        ("configmaps", Some("shop"), "aaa"),
        ("configmaps", Some("shop"), "db-1"),
        ("configmaps", Some("shop"), "zzz"),
        ("configmaps", Some("nowhere"), "web"),
        ("secrets", Some("shop"), "db"),
        ("clusterroles", None, "edit"),
    ];
    for (plural, namespace, name) in unknown {
        let wanted = object(&point, plural, namespace, name);
        assert_eq!(point.object(&wanted).await.unwrap(), None, "{wanted}");
    }
    let of = object(&point, "secrets", None, "x").resource;
    let namespaces = point.namespaces(&of).await.unwrap();
    assert_eq!(namespaces, [Some("shop".to_owned()), Some("shop-b".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn format_1_is_read() {
    reads(1, format_1()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn format_2_is_read() {
    reads(2, format_2()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_no_format_has_is_named_and_not_walked() {
    let paths = ["part/x.json", "@a/b/x.json"].map(|path| format!("resources/core/v1/secrets/shop/{path}"));
    let point = open(2, &paths).await;
    let found: Vec<String> = point.objects().map(|entry| entry.unwrap_err().subject).collect().await;
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].ends_with("/shop/part") && found[1].ends_with("/shop/@a/b"), "{found:?}");
}
