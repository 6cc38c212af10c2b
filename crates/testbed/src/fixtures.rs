//! Manifests that nobody on this project wrote, to run against, unchanged. Their sources are in `NOTICE.md` beside them.

use std::path::PathBuf;

use serde_json::json;

use crate::error::{At, Result};

/// The directory of the fixtures in the source tree.
#[must_use]
pub fn dir() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures"))
}

/// Applications, by file name without `.yaml`, in alphabetical order.
pub const APPS: [&str; 5] = ["bookinfo", "bookinfo-mesh", "cassandra", "guestbook", "online-boutique"];

/// Sets of CustomResourceDefinitions, by file name without `.yaml`.
pub const CRDS: [&str; 4] = ["calico", "istio", "kubesphere", "volumesnapshot"];

/// Path of one of [`APPS`].
#[must_use]
pub fn app_path(name: &str) -> PathBuf {
    dir().join("apps").join(format!("{name}.yaml"))
}

/// Path of one of [`CRDS`].
#[must_use]
pub fn crds_path(name: &str) -> PathBuf {
    dir().join("crds").join(format!("{name}.yaml"))
}

/// Manifests of one of [`APPS`].
pub fn app(name: &str) -> Result<String> {
    let path = app_path(name);
    std::fs::read_to_string(&path).at("read", path)
}

/// Manifests of one of [`CRDS`].
pub fn crds(name: &str) -> Result<String> {
    let path = crds_path(name);
    std::fs::read_to_string(&path).at("read", path)
}

/// Manifest of a namespace whose pods all go to kwok nodes, whatever they say themselves.
#[must_use]
pub fn kwok_namespace(name: &str) -> String {
    let tolerations = json!([{ "key": "kwok.x-k8s.io/node", "operator": "Exists", "effect": "NoSchedule" }]);
    let manifest = json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": name,
            "annotations": {
                "scheduler.alpha.kubernetes.io/node-selector": "type=kwok",
                "scheduler.alpha.kubernetes.io/defaultTolerations": tolerations.to_string(),
            },
        },
    });
    format!("{manifest:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fixture_is_there() {
        assert!(APPS.iter().all(|name| app(name).unwrap().contains("kind:")));
        assert!(CRDS.iter().all(|name| crds(name).unwrap().contains("CustomResourceDefinition")));
        assert!(dir().join("NOTICE.md").is_file());
    }
}
