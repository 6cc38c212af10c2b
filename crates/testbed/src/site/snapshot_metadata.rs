//! How clients in a site find and reach what tells them which blocks of snapshots changed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::plan::Plan;
use crate::component::Spec;
use crate::error::{At, Result};

/// The CustomResourceDefinition, and the rights of [`USER`].
pub(super) const DEFINITION: &str = include_str!("../../assets/snapshot-metadata.yaml");

/// Who the service is: its certificate's name, and its user at the API server.
pub(super) const USER: &str = "snapshot-metadata";

/// Where it listens at the first node's address, for pods of all nodes and for the host.
const PORT: u16 = 50051;

/// What clients' tokens are for.
const AUDIENCE: &str = "snapshot-metadata.testbed.holdfast.dev";

/// Has a driver answer clients.
pub(super) fn served_by(driver: Spec, plan: &Plan) -> Spec {
    driver
        .flag("clients", address(plan))
        .flag("certificate", plan.pki(&format!("{USER}.crt")))
        .flag("key", plan.pki(&format!("{USER}.key")))
        .flag("kubeconfig", plan.kubeconfig(USER))
        .flag("audience", AUDIENCE)
}

/// The object that leads clients to the service of a driver.
pub(super) fn service(driver: &str, plan: &Plan) -> Result<String> {
    let path = plan.pki("ca.crt");
    let authority = std::fs::read(&path).at("read", path)?;
    let manifest = json!({
        "apiVersion": "cbt.storage.k8s.io/v1beta1",
        "kind": "SnapshotMetadataService",
        "metadata": { "name": driver },
        "spec": {
            "address": address(plan),
            "audience": AUDIENCE,
            "caCert": STANDARD.encode(authority),
        },
    });
    Ok(format!("---\n{manifest:#}\n"))
}

fn address(plan: &Plan) -> String {
    format!("{}:{PORT}", plan.address)
}
