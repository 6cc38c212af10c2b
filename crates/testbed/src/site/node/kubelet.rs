//! The kubelet and the proxy of one node: how they are called, and the kubelet's configuration.

use serde_json::json;

use super::plan::NodePlan;
use crate::component::Spec;
use crate::kernel::cgroup::{Cgroup, Version};
use crate::parts::Built;

/// The zone of a node, as the scheduler and storage know it.
const ZONE: &str = "topology.kubernetes.io/zone";

pub(super) fn spec(plan: &NodePlan, kubernetes: &Built) -> Spec {
    let spec = Spec::new(&plan.numbered("kubelet"), kubernetes.bin("kubelet"))
        .flag("config", plan.dir.join("kubelet.json"))
        .flag("kubeconfig", plan.site.kubeconfig(&plan.user()))
        .flag("root-dir", plan.kubelet_root())
        .flag("cert-dir", plan.kubelet_root().join("pki"))
        .flag("hostname-override", plan.name())
        .flag("node-ip", &plan.address)
        // Every kubelet of a machine binds the same /var/lib/kubelet/device-plugins/kubelet.sock: of two that start at
        // one moment one ends, and has to be started again as an init system would.
        .restarted()
        .on_node();
    match plan.zone() {
        Some(zone) => spec.flag("node-labels", format!("{ZONE}={zone}")),
        None => spec,
    }
}

pub(super) fn proxy(plan: &NodePlan, kubernetes: &Built) -> Spec {
    Spec::new(&plan.numbered("kube-proxy"), kubernetes.bin("kube-proxy"))
        .flag("kubeconfig", plan.site.kubeconfig("proxy"))
        .flag("proxy-mode", "nftables")
        .flag("cluster-cidr", plan.site.pod_cidr())
        .flag("hostname-override", plan.name())
        // The limit is the machine's, not the site's.
        .flag("conntrack-max-per-core", "0")
        .on_node()
}

pub(super) fn configuration(plan: &NodePlan, cgroup: &Cgroup) -> String {
    let (site, user) = (&plan.site, plan.user());
    let mut config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "failSwapOn": false,
        "cgroupRoot": cgroup.kubelet_root(),
        "cgroupDriver": "cgroupfs",
        // A lower score needs a capability that containers of a build machine lack.
        "oomScoreAdj": 0,
        "containerRuntimeEndpoint": format!("unix://{}", plan.containerd_socket().display()),
        "authentication": {
            "anonymous": { "enabled": false },
            "webhook": { "enabled": true },
            "x509": { "clientCAFile": site.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": site.pki(&format!("{user}.crt")),
        "tlsPrivateKeyFile": site.pki(&format!("{user}.key")),
        "podLogsDir": plan.logs().join("pods"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [site.service_dns()],
        "enforceNodeAllocatable": [],
        "localStorageCapacityIsolation": false,
        "syncFrequency": "5s",
        "volumePluginDir": plan.kubelet_root().join("plugins-exec"),
        "resolvConf": "",
        "evictionHard": { "memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%" },
        "maxPods": 250,
        "kubeAPIQPS": 200,
        "kubeAPIBurst": 400,
        "registryPullQPS": 0,
        "nodeStatusUpdateFrequency": "4s",
    });
    if site.has_several_nodes() {
        // It is renewed four times as often; the control plane has to tell a dead node from a busy one early.
        config["nodeLeaseDurationSeconds"] = json!(8);
    }
    if cgroup.version() == Version::V1 {
        config["failCgroupV1"] = json!(false);
    }
    config.to_string()
}
