//! Kubeconfigs with the certificates inside, so that they still say who they are for when the site is gone.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use super::node::NodePlan;
use super::pki;
use super::plan::Plan;
use crate::error::{At, Result};

/// Writes a kubeconfig for every user of the site. Its context is called as the site.
pub(crate) fn create(plan: &Plan, nodes: &[NodePlan]) -> Result<()> {
    let inline = |file: String| -> Result<String> {
        let path = plan.pki(&file);
        Ok(STANDARD.encode(std::fs::read(&path).at("read", path)?))
    };
    let users = pki::USERS.map(String::from).into_iter().chain(nodes.iter().map(NodePlan::user));
    for user in users {
        let identity = format!("{}-{user}", plan.name);
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": plan.name, "cluster": {
                "server": plan.api_url(),
                "certificate-authority-data": inline("ca.crt".into())?,
            }}],
            "users": [{ "name": identity, "user": {
                "client-certificate-data": inline(format!("{user}.crt"))?,
                "client-key-data": inline(format!("{user}.key"))?,
            }}],
            "contexts": [{ "name": plan.name, "context": { "cluster": plan.name, "user": identity } }],
            "current-context": plan.name,
        });
        let path = plan.kubeconfig(&user);
        std::fs::write(&path, format!("{config:#}\n")).at("write", path)?;
    }
    Ok(())
}
