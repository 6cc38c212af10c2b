//! A site: one whole Kubernetes cluster in a network namespace of its own.

mod boot;
mod builder;
mod control_plane;
mod csi;
mod faults;
mod ground;
mod kubeconfig;
mod kwok;
mod node;
mod outages;
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
pub use csi::{
    CSI_CLASS, CSI_IMAGE_CLASS, CSI_LATE_CLASS, CSI_PLAIN_CLASS, CSI_SECOND_CLASS, CSI_SHARED_CLASS,
    SNAPSHOT_CLASS,
};
pub use faults::Partition;
use node::Machine;
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
    /// Until all nodes, if any, were Ready, from the start of the control plane.
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
    client: kube::Client,
    /// The real nodes, the first beside the control plane.
    machines: Vec<Machine>,
    kwok_nodes: Vec<String>,
    components: Vec<Component>,
    times: Times,
    /// The site's own and one for every node but the first; none once the site has ended.
    leases: Vec<Lease>,
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

    /// Name of the first real node, if the site was asked to have one.
    #[must_use]
    pub fn node_name(&self) -> String {
        self.plan.node(0)
    }

    /// Names of all real nodes, in the order of their numbers.
    #[must_use]
    pub fn node_names(&self) -> Vec<String> {
        self.machines.iter().map(|machine| machine.plan.name()).collect()
    }

    /// Names of the nodes that only kwok plays.
    #[must_use]
    pub fn kwok_nodes(&self) -> &[String] {
        &self.kwok_nodes
    }

    /// Address of the first node and of the API server; the host reaches NodePorts there.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.plan.address
    }

    /// The root directory of the first node's kubelet on the host: volumes of pods are below.
    ///
    /// That of every node is in an annotation of its Node.
    #[must_use]
    pub fn kubelet_root(&self) -> PathBuf {
        node::kubelet_root(&self.plan.dir)
    }

    /// The directory in which every provisioned volume has one called as its PersistentVolume.
    #[must_use]
    pub fn volumes_dir(&self) -> PathBuf {
        self.plan.volumes()
    }

    /// One log per component, `pods/` for those of containers; they stay when the site is gone.
    ///
    /// Nodes beside the first have theirs in a directory of their own, called as the site with `.n1` and so on.
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
        let processes = self.leases.iter().map(|lease| lease.record().cgroup().processes());
        Ok(processes::resident_mib(&processes.collect::<Result<Vec<_>>>()?.concat()))
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

    /// A command in the network namespace of the first node: ClusterIPs and pods answer there.
    pub fn command_in_netns(&self, program: impl AsRef<OsStr>) -> std::process::Command {
        self.network().command(program)
    }

    /// Gives an image archive to all nodes.
    pub async fn import_image(&self, archive: impl Into<PathBuf>) -> Result<()> {
        let archive = archive.into();
        if self.machines.is_empty() {
            return Err(self.no_component("containerd"));
        }
        let imports = self.machines.iter().map(|machine| machine.import(archive.clone()));
        futures::future::try_join_all(imports).await.map(drop)
    }

    /// Takes the site down and leaves nothing but its logs.
    pub async fn stop(mut self) -> Result<()> {
        let (leases, mut components) = (std::mem::take(&mut self.leases), self.take_components());
        blocking("stopping a site", move || component::end(&leases, &mut components)).await
    }

    /// Lets the site outlive this process. `holdfast-testbed down NAME` ends it.
    pub fn keep(mut self) -> Result<()> {
        std::mem::take(&mut self.leases).into_iter().try_for_each(Lease::keep)
    }

    /// All processes that are our children, those of nodes included.
    fn take_components(&mut self) -> Vec<Component> {
        let mut all = std::mem::take(&mut self.components);
        all.extend(self.machines.iter_mut().flat_map(Machine::take_components));
        all
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
        let nodes = self.machines.iter().flat_map(Machine::components);
        let known: Vec<&str> = self.components.iter().chain(nodes).map(Component::name).collect();
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
        if self.leases.is_empty() {
            return;
        }
        // A burnt site has no components any more; its end was intended.
        if !self.components.is_empty() {
            self.dump_state();
            for record in self.leases.iter().map(Lease::record) {
                eprintln!("testbed: logs of {}: {}", record.title(), record.dir.join("log").display());
            }
        }
        let (leases, mut components) = (std::mem::take(&mut self.leases), self.take_components());
        if let Err(error) = component::end(&leases, &mut components) {
            eprintln!("testbed: taking {} down: {error}", self.plan.name);
        }
    }
}
