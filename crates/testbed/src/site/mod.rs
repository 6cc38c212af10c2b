//! A site: one whole Kubernetes cluster in a network namespace of its own.

mod boot;
mod builder;
mod control_plane;
mod csi;
mod faults;
mod kubeconfig;
mod kwok;
mod node;
mod pki;
mod plan;
mod snapshot_metadata;

use std::ffi::OsStr;
use std::fmt;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

pub use builder::{STORAGE_CLASS, SiteBuilder};
pub use csi::{CSI_CLASS, CSI_IMAGE_CLASS, CSI_LATE_CLASS, CSI_PLAIN_CLASS, SNAPSHOT_CLASS};
pub use faults::Partition;
use plan::{Plan, text};

use crate::component::{self, Component};
use crate::error::{At, Error, Result};
use crate::kernel::network::Network;
use crate::kernel::processes;
use crate::lease::Lease;
use crate::parts::Built;
use crate::tool::{self, blocking};

/// How long the stages of a start took, each counted from the moment its servers were started.
#[derive(Debug, Clone, Copy, Default)]
pub struct Times {
    /// Until the API server was ready.
    pub control_plane: Duration,
    /// Until the node, if any, was Ready, from the start of the control plane.
    pub node: Duration,
    /// Until names resolved and everything asked for was there, from the start of the control plane.
    pub complete: Duration,
}

/// A running site. Dropping it takes it down; so does the death of this process.
///
/// A drop without [`Self::stop`] or [`Self::keep`] is how a failed test ends: then the state of objects is written to
/// the logs, and where they are to standard error.
pub struct Site {
    plan: Plan,
    kubernetes: Built,
    containerd: Option<Built>,
    client: kube::Client,
    kwok_nodes: Vec<String>,
    components: Vec<Component>,
    times: Times,
    lease: Option<Lease>,
}

impl Site {
    /// Describes a site called `name` (1 to 20 of `a-z0-9-`), to be started by [`SiteBuilder::start`].
    pub fn builder(name: impl Into<String>) -> SiteBuilder {
        SiteBuilder::new(name.into())
    }

    /// Its name, which is its context's and cluster's name too.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Kubeconfig of a cluster administrator; its one context is called as the site. Stays after [`Self::kill`].
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.plan.kubeconfig("admin")
    }

    /// A client of a cluster administrator.
    #[must_use]
    pub fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// Name of the real node, if the site was asked to have one.
    #[must_use]
    pub fn node_name(&self) -> String {
        self.plan.node()
    }

    /// Names of the nodes that only kwok plays.
    #[must_use]
    pub fn kwok_nodes(&self) -> &[String] {
        &self.kwok_nodes
    }

    /// Address of the node and of the API server; the host reaches NodePorts there.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.plan.address
    }

    /// The kubelet's root directory on the host: volumes of pods are below.
    #[must_use]
    pub fn kubelet_root(&self) -> PathBuf {
        self.plan.kubelet_root()
    }

    /// The directory in which every provisioned volume has one called as its PersistentVolume.
    #[must_use]
    pub fn volumes_dir(&self) -> PathBuf {
        self.plan.volumes()
    }

    /// One log per component, `pods/` for those of containers; they stay when the site is gone.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.plan.logs()
    }

    /// How long its start took.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// Memory of all its processes in MiB, pages that several share divided among them.
    pub fn memory_mib(&self) -> Result<u64> {
        self.lease
            .as_ref()
            .map_or(Ok(0), |lease| Ok(processes::resident_mib(&lease.record().cgroup().processes()?)))
    }

    /// Runs `kubectl` as administrator and gives its output.
    pub async fn kubectl<S: AsRef<OsStr>>(&self, args: &[S]) -> Result<String> {
        self.kubectl_with(args, b"").await
    }

    /// Runs `kubectl` as administrator with `input` on its standard input.
    pub async fn kubectl_with<S: AsRef<OsStr>>(&self, args: &[S], input: &[u8]) -> Result<String> {
        let program = self.kubernetes.bin("kubectl");
        let mut command = tokio::process::Command::new(&program);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(args);
        for name in tool::PROXIES {
            command.env_remove(name);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let line = tool::line(command.as_std());
        let mut child = command.kill_on_drop(true).spawn().at("start", &program)?;
        if let Some(mut stdin) = child.stdin.take() {
            let input = input.to_vec();
            // It may end without reading: its status says what counts.
            tokio::spawn(async move { stdin.write_all(&input).await.ok() });
        }
        tool::finished(&line, child.wait_with_output().await.at("wait for", &program)?)
    }

    /// Applies manifests, server-side: CustomResourceDefinitions may be larger than an annotation.
    pub async fn apply(&self, manifests: &str) -> Result<String> {
        let args = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
        self.kubectl_with(&args, manifests.as_bytes()).await
    }

    /// Runs a command in the first container of a pod (or of `deployment/NAME`) and gives its output.
    pub async fn exec(&self, namespace: &str, pod: &str, command: &[&str]) -> Result<String> {
        let mut args = vec!["exec", "-n", namespace, pod, "--"];
        args.extend(command);
        self.kubectl(&args).await
    }

    /// Waits until a condition of an object holds, as `kubectl wait --for` takes it.
    pub async fn wait(&self, namespace: &str, object: &str, condition: &str, limit: Duration) -> Result<()> {
        let (condition, limit) = (format!("--for={condition}"), format!("--timeout={}s", limit.as_secs()));
        self.kubectl(&["wait", "-n", namespace, object, &condition, &limit]).await.map(drop)
    }

    /// A command in the site's network namespace: ClusterIPs and pods answer there.
    pub fn command_in_netns(&self, program: impl AsRef<OsStr>) -> std::process::Command {
        self.network().command(program)
    }

    /// Gives an image archive to the node.
    pub async fn import_image(&self, archive: impl Into<PathBuf>) -> Result<()> {
        let archive = archive.into();
        let Some(containerd) = self.containerd.clone() else { return Err(self.no_component("containerd")) };
        let plan = self.plan.clone();
        blocking("importing an image", move || node::import(&plan, &containerd, &archive)).await
    }

    /// Takes the site down and leaves nothing but its logs.
    pub async fn stop(mut self) -> Result<()> {
        let (lease, mut components) = (self.lease.take(), std::mem::take(&mut self.components));
        blocking("stopping a site", move || component::end(lease, &mut components)).await
    }

    /// Lets the site outlive this process. `holdfast-testbed down NAME` ends it.
    pub fn keep(mut self) -> Result<()> {
        self.lease.take().map_or(Ok(()), Lease::keep)
    }

    /// Writes the state of all usual objects and the events to the logs, for understanding a failure.
    pub fn dump_state(&self) {
        let program = text(self.kubernetes.bin("kubectl"));
        let config = text(self.kubeconfig());
        for (file, what) in [
            ("events.txt", vec!["get", "events", "-A", "--sort-by=.lastTimestamp"]),
            ("objects.txt", vec!["get", "nodes,pods,pvc,pv,svc,deploy,sts,job", "-A", "-o", "wide"]),
            ("pods.txt", vec!["describe", "pods", "-A"]),
        ] {
            let mut args = vec!["--kubeconfig", &config, "--request-timeout=5s"];
            args.extend(what);
            let said = tool::run(&program, &args).unwrap_or_else(|error| error.to_string());
            // The failure that leads here counts, not one of writing about it.
            let _ = std::fs::write(self.plan.logs().join(file), said);
        }
    }

    fn network(&self) -> Network {
        Network::of_slot(self.plan.slot)
    }

    fn no_component(&self, name: &str) -> Error {
        let known: Vec<&str> = self.components.iter().map(Component::name).collect();
        Error::NoComponent { site: self.plan.name.clone(), component: name.into(), known: known.join(", ") }
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Site").field("plan", &self.plan).field("times", &self.times).finish_non_exhaustive()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.lease.is_none() {
            return;
        }
        // A burnt site has no components any more; its end was intended.
        if !self.components.is_empty() {
            self.dump_state();
            eprintln!("testbed: logs of {}: {}", self.plan.name, self.plan.logs().display());
        }
        if let Err(error) = component::end(self.lease.take(), &mut self.components) {
            eprintln!("testbed: taking {} down: {error}", self.plan.name);
        }
    }
}
