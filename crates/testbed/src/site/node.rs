//! A real node: containerd, kubelet and kube-proxy, each with its own directories so that many fit one machine.

use std::path::Path;

use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use super::plan::{Plan, text};
use crate::component::Spec;
use crate::error::{At, Result};
use crate::images::PAUSE;
use crate::kernel::cgroup::{Cgroup, Version};
use crate::kernel::mounts;
use crate::parts::Built;
use crate::tool;

/// Writes the configuration of containerd, its network plugins and the kubelet.
pub(super) fn configure(plan: &Plan, cgroup: &Cgroup, cni: &Built) -> Result<()> {
    mounts::share_root()?;
    for dir in [plan.dir.join("cni"), plan.kubelet_root(), plan.volumes(), plan.runtime.join("s")] {
        std::fs::create_dir_all(&dir).at("create", &dir)?;
    }
    let write = |name: &str, content: String| {
        let path = plan.dir.join(name);
        std::fs::write(&path, content).at("write", path)
    };
    write("cni/10-bridge.conflist", pod_network(plan))?;
    write("containerd.toml", containerd_config(plan, cni))?;
    write("kubelet.json", kubelet_config(plan, cgroup))
}

pub(super) fn containerd(plan: &Plan, containerd: &Built) -> Spec {
    Spec::new("containerd", containerd.bin("containerd"))
        .flag("config", plan.dir.join("containerd.toml"))
        // It finds its shim there; runc is a program of the machine.
        .path_first(&containerd.bin_dir())
}

pub(super) fn kubelet(plan: &Plan, kubernetes: &Built) -> Spec {
    Spec::new("kubelet", kubernetes.bin("kubelet"))
        .flag("config", plan.dir.join("kubelet.json"))
        .flag("kubeconfig", plan.kubeconfig("kubelet"))
        .flag("root-dir", plan.kubelet_root())
        .flag("cert-dir", plan.kubelet_root().join("pki"))
        .flag("hostname-override", plan.node())
        .flag("node-ip", &plan.address)
}

pub(super) fn kube_proxy(plan: &Plan, kubernetes: &Built) -> Spec {
    Spec::new("kube-proxy", kubernetes.bin("kube-proxy"))
        .flag("kubeconfig", plan.kubeconfig("proxy"))
        .flag("proxy-mode", "nftables")
        .flag("cluster-cidr", plan.pod_cidr())
        .flag("hostname-override", plan.node())
        // The limit is the machine's, not the site's.
        .flag("conntrack-max-per-core", "0")
}

/// Imports an image archive into the node's containerd.
pub(super) fn import(plan: &Plan, containerd: &Built, archive: &Path) -> Result<()> {
    let ctr = text(containerd.bin("ctr"));
    let (socket, archive) = (text(plan.containerd_socket()), text(archive));
    tool::run(&ctr, &["-a", &socket, "-n", "k8s.io", "images", "import", &archive]).map(drop)
}

/// Whether containerd answers.
pub(super) fn containerd_answers(plan: &Plan, containerd: &Built) -> bool {
    plan.containerd_socket().exists()
        && tool::run(&text(containerd.bin("ctr")), &["-a", &text(plan.containerd_socket()), "version"])
            .is_ok()
}

/// Pods on a bridge of the node; the network's name marks what libcni caches outside the site's directory.
fn pod_network(plan: &Plan) -> String {
    json!({
        "cniVersion": "1.0.0",
        "name": format!("hf-{}-pods", plan.slot),
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{ "subnet": plan.node_pod_cidr() }]],
                    "routes": [{ "dst": "0.0.0.0/0" }],
                    "dataDir": plan.dir.join("cni-addresses"),
                },
            },
            { "type": "portmap", "capabilities": { "portMappings": true } },
        ],
    })
    .to_string()
}

/// containerd's configuration, version 3.
///
/// Everything that would be below `/run/containerd` goes to the slot's own directory: shim sockets (their
/// directory may have 42 characters), runc's state, and the pods' network namespaces.
fn containerd_config(plan: &Plan, cni: &Built) -> String {
    let (run, dir) = (plan.runtime.display(), plan.dir.display());
    let (socket, bin) = (plan.containerd_socket(), cni.bin_dir());
    let (socket, bin) = (socket.display(), bin.display());
    format!(
        r#"version = 3
root = "{dir}/containerd"
state = "{run}/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper", "io.containerd.nri.v1.nri"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{dir}/containerd-opt"
[plugins."io.containerd.shim.v1.manager"]
  socket_dir = "{run}/s"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{bin}"]
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        Root = "{run}/runc"
        SystemdCgroup = false
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "{PAUSE}"
"#
    )
}

fn kubelet_config(plan: &Plan, cgroup: &Cgroup) -> String {
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
            "x509": { "clientCAFile": plan.pki("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        "tlsCertFile": plan.pki("kubelet.crt"),
        "tlsPrivateKeyFile": plan.pki("kubelet.key"),
        "podLogsDir": plan.logs().join("pods"),
        "clusterDomain": "cluster.local",
        "clusterDNS": [plan.service_dns()],
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
    if cgroup.version() == Version::V1 {
        config["failCgroupV1"] = json!(false);
    }
    config.to_string()
}

/// Whether the control plane takes the node for ready, real or not.
pub(super) fn is_ready(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
}
