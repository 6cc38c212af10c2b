//! Nodes without kubelets, for applications whose images cannot be had and for large fleets.

use std::time::Duration;

use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, ListParams, PostParams};
use serde_json::json;

use super::Site;
use super::node::is_ready;
use crate::error::{Error, Result};

const LIMIT: Duration = Duration::from_secs(60);

/// Makes `count` nodes and waits until kwok has them Ready. Gives their names.
pub(super) async fn create_nodes(site: &mut Site, count: usize) -> Result<Vec<String>> {
    let nodes: Api<Node> = Api::all(site.client());
    let mut names = Vec::new();
    for number in 1..=count {
        let name = format!("{}-kwok-{number}", site.name());
        nodes
            .create(&PostParams::default(), &node(&name)?)
            .await
            .map_err(Error::kubernetes(format!("creating node {name}")))?;
        names.push(name);
    }
    let labelled = ListParams::default().labels("type=kwok");
    site.wait_for("kwok", "its nodes are not Ready", LIMIT, || async {
        Ok(nodes.list(&labelled).await?.iter().filter(|node| is_ready(node)).count() >= count)
    })
    .await?;
    Ok(names)
}

fn node(name: &str) -> Result<Node> {
    let resources = json!({ "cpu": "32", "memory": "256Gi", "pods": "1000", "ephemeral-storage": "1Ti" });
    let value = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": { "kwok.x-k8s.io/node": "fake", "node.alpha.kubernetes.io/ttl": "0" },
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/os": "linux",
                "type": "kwok",
            },
        },
        "spec": { "taints": [{ "key": "kwok.x-k8s.io/node", "value": "fake", "effect": "NoSchedule" }] },
        "status": { "allocatable": resources, "capacity": resources, "phase": "Running" },
    });
    serde_json::from_value(value)
        .map_err(|error| Error::kubernetes(format!("node {name}"))(kube::Error::SerdeError(error)))
}
