//! A real node: a machine in a network namespace of its own with containerd, kubelet and kube-proxy.
//!
//! Each has its own directories, so that many fit one machine. Of a site's nodes the first shares the slot of the
//! control plane; every other has a slot to itself.

mod containerd;
mod kubelet;
mod plan;
mod pods;

use std::path::PathBuf;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Node, NodeCondition};
use serde_json::{Value, json};

use super::plan::text;
use crate::component::{Component, Spec};
use crate::error::{At, Result};
use crate::kernel::{freeze, mounts};
use crate::parts::Built;
use crate::record::Record;
use crate::teardown::{self, LIMIT, PROMPTLY, remove_tree};
use crate::tool::blocking;
pub(crate) use plan::{NodePlan, kubelet_root};

/// Name of the annotation that tells movers where volumes of pods are.
const KUBELET_ROOT: &str = "holdfast.dev/kubelet-root";

/// What a node runs: containerd, which finds its shim beside it, and the plugins that connect pods.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    pub(super) kubernetes: Built,
    pub(super) containerd: Built,
    pub(super) cni: Built,
}

/// One real node of a site.
#[derive(Debug)]
pub(super) struct Machine {
    pub(super) plan: NodePlan,
    record: Record,
    programs: Programs,
    /// In the order in which they are started.
    components: Vec<Component>,
    on: bool,
}

impl Machine {
    /// Lays out the node's directory; its namespace and cgroup are there.
    pub(super) fn prepare(plan: NodePlan, record: &Record, programs: &Programs) -> Result<Self> {
        mounts::share_root()?;
        for dir in [plan.dir.join("cni"), plan.kubelet_root()] {
            std::fs::create_dir_all(&dir).at("create", &dir)?;
        }
        let write = |name: &str, content: String| {
            let path = plan.dir.join(name);
            std::fs::write(&path, content).at("write", path)
        };
        write("cni/10-bridge.conflist", pods::configuration(&plan))?;
        write("containerd.toml", containerd::configuration(&plan, &programs.cni))?;
        write("kubelet.json", kubelet::configuration(&plan, &record.cgroup()))?;
        create_sockets(&plan)?;
        pods::masquerade(&plan)?;
        let (record, programs) = (record.clone(), programs.clone());
        Ok(Self { plan, record, programs, components: Vec::new(), on: true })
    }

    /// Starts one more component in the node.
    pub(super) fn start(&mut self, spec: Spec) -> Result<()> {
        self.components.push(Component::start(spec, &self.record)?);
        Ok(())
    }

    /// Starts what runs containers. What is given gives it `images`, once it answers.
    pub(super) fn start_containerd(
        &mut self,
        images: Vec<PathBuf>,
        limit: Duration,
    ) -> Result<impl Future<Output = Result<()>> + Send + use<>> {
        let (plan, program) = (self.plan.clone(), self.programs.containerd.clone());
        self.start(containerd::spec(&plan, &program))?;
        Ok(async move {
            containerd::ready(&plan, &program, limit).await?;
            containerd::import(&plan, &program, images).await
        })
    }

    /// Starts what obeys the control plane.
    pub(super) fn start_kubelet(&mut self) -> Result<()> {
        self.start(kubelet::spec(&self.plan, &self.programs.kubernetes))?;
        self.start(kubelet::proxy(&self.plan, &self.programs.kubernetes))
    }

    /// Gives an image archive to the node.
    pub(super) async fn import(&self, archive: PathBuf) -> Result<()> {
        containerd::import(&self.plan, &self.programs.containerd, vec![archive]).await
    }

    /// Whether it has power.
    pub(super) fn is_on(&self) -> bool {
        self.on
    }

    pub(super) fn components(&self) -> &[Component] {
        &self.components
    }

    pub(super) fn components_mut(&mut self) -> &mut [Component] {
        &mut self.components
    }

    /// Hands its processes over to whoever ends them.
    pub(super) fn take_components(&mut self) -> Vec<Component> {
        std::mem::take(&mut self.components)
    }

    /// Takes the power away: nothing is closed, nobody is told, and what is in memory only is gone.
    ///
    /// The cable goes first, else the kernel would close the connections of dying processes; but that of the first
    /// node is the control plane's too, and stays. Pages that were not written yet are the host's, and are not lost.
    pub(super) async fn power_off(&mut self) -> Result<()> {
        self.on = false;
        let (plan, cgroup) = (self.plan.clone(), self.record.cgroup());
        blocking("killing a node", move || {
            if plan.number > 0 {
                plan.network().plug(false)?;
            }
            cgroup.kill_node(PROMPTLY).or_else(|_| {
                // Its CSI driver died in the middle of a snapshot, and who writes to what that held still hangs.
                freeze::thaw_below(&plan.kubelet_root());
                cgroup.kill_node(LIMIT)
            })?;
            for dir in [plan.kubelet_root(), plan.runtime.clone(), plan.dir.join("containerd")] {
                teardown::unmount_below(&dir)?;
            }
            remove_tree(&plan.runtime)
        })
        .await?;
        self.components.iter_mut().try_for_each(Component::kill)
    }

    /// Gives the power back and starts everything as it was, containerd first.
    pub(super) async fn power_on(&mut self, limit: Duration) -> Result<()> {
        create_sockets(&self.plan)?;
        self.plan.network().plug(true)?;
        self.on = true;
        let Some((first, rest)) = self.components.split_first_mut() else { return Ok(()) };
        first.restart()?;
        containerd::ready(&self.plan, &self.programs.containerd, limit).await?;
        rest.iter_mut().try_for_each(Component::restart)
    }
}

/// Tells all nodes, and the host, where the pods of each are; needless where there is one.
pub(super) fn join(machines: &[Machine]) -> Result<()> {
    let plans: Vec<&NodePlan> = machines.iter().map(|machine| &machine.plan).collect();
    if plans.len() > 1 { pods::join(&plans) } else { Ok(()) }
}

/// Makes the directory of sockets, which a machine without power loses.
fn create_sockets(plan: &NodePlan) -> Result<()> {
    let dir = plan.runtime.join("s");
    std::fs::create_dir_all(&dir).at("create", dir)
}

/// What the control plane cannot know of a node: where volumes of pods are, for movers, and which addresses they have.
pub(super) fn facts(plan: &NodePlan) -> Value {
    let mut facts = json!({ "metadata": { "annotations": { KUBELET_ROOT: text(plan.kubelet_root()) } } });
    if plan.site.has_several_nodes() {
        facts["spec"] = json!({ "podCIDR": plan.pod_cidr(), "podCIDRs": [plan.pod_cidr()] });
    }
    facts
}

/// Whether the control plane takes the node for ready, real or not.
pub(super) fn is_ready(node: &Node) -> bool {
    ready_condition(node).is_some_and(|condition| condition.status == "True")
}

/// What the control plane last heard of the node's being ready.
pub(super) fn ready_condition(node: &Node) -> Option<&NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == "Ready")
}
