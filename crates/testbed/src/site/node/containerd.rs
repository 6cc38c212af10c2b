//! containerd of one node: its configuration, how it is called, and the images it is given.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::plan::NodePlan;
use crate::component::{Spec, not_ready, until};
use crate::error::Result;
use crate::images::PAUSE;
use crate::parts::Built;
use crate::site::plan::text;
use crate::tool::{self, blocking};

pub(super) fn spec(plan: &NodePlan, containerd: &Built) -> Spec {
    Spec::new(&plan.numbered("containerd"), containerd.bin("containerd"))
        .flag("config", plan.dir.join("containerd.toml"))
        // It finds its shim there; runc is a program of the machine.
        .path_first(&containerd.bin_dir())
        .on_node()
}

/// Waits until containerd answers.
pub(super) async fn ready(plan: &NodePlan, containerd: &Built, limit: Duration) -> Result<()> {
    let begun = Instant::now();
    let up = until(limit, || {
        let (plan, containerd) = (plan.clone(), containerd.clone());
        blocking("asking containerd", move || Ok(answers(&plan, &containerd)))
    })
    .await?;
    let name = plan.numbered("containerd");
    let log = plan.logs().join(format!("{name}.log"));
    if up { Ok(()) } else { Err(not_ready(&name, begun.elapsed(), &log)) }
}

fn answers(plan: &NodePlan, containerd: &Built) -> bool {
    plan.containerd_socket().exists() && ctr(plan, containerd, &["version".as_ref()]).is_ok()
}

/// Imports image archives, one after the other.
pub(super) async fn import(plan: &NodePlan, containerd: &Built, archives: Vec<PathBuf>) -> Result<()> {
    let (plan, containerd) = (plan.clone(), containerd.clone());
    blocking("importing images", move || {
        archives.iter().try_for_each(|archive| {
            let words = ["-n", "k8s.io", "images", "import"].map(Path::new);
            ctr(&plan, &containerd, &[&words[..], &[archive]].concat())
        })
    })
    .await
}

fn ctr(plan: &NodePlan, containerd: &Built, words: &[&Path]) -> Result<()> {
    let socket = plan.containerd_socket();
    let words = [&["-a".as_ref(), &*socket], words].concat();
    tool::run(&text(containerd.bin("ctr")), &words).map(drop)
}

/// containerd's configuration, version 3.
///
/// Everything that would be below `/run/containerd` goes to the slot's own directory: shim sockets (their
/// directory may have 42 characters), runc's state, and the pods' network namespaces.
pub(super) fn configuration(plan: &NodePlan, cni: &Built) -> String {
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
