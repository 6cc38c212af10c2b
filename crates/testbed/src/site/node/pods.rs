//! The network of a node's pods, and the way to those of other nodes.

use serde_json::json;

use super::plan::NodePlan;
use crate::error::Result;

/// Has pods be heard beyond the site, by the address of their node.
pub(super) fn masquerade(plan: &NodePlan) -> Result<()> {
    plan.network().masquerade(&plan.pod_cidr(), &plan.site.pod_cidr())
}

/// Tells the nodes of a site, and the host, where the pods of each are.
pub(super) fn join(nodes: &[&NodePlan]) -> Result<()> {
    for there in nodes {
        there.network().route_from_host(&there.pod_cidr())?;
        for here in nodes.iter().filter(|here| here.number != there.number) {
            here.network().route(&there.pod_cidr(), &there.address)?;
        }
    }
    Ok(())
}

/// Pods on a bridge of the node; the network's name marks what libcni caches outside the site's directory.
pub(super) fn configuration(plan: &NodePlan) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": format!("hf-{}-pods", plan.slot),
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                // One rule of the node does it for all pods, and leaves alone what they say to each other.
                "ipMasq": false,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": plan.pod_cidr() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": plan.dir.join("cni-addresses"),
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
    .to_string()
}
