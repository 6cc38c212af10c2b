//! What can befall one real node of a site, which loses power or its line, and what can befall its storage.

use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::Api;

use super::boot::NODE_LIMIT;
use super::node::{self, Machine};
use super::{Partition, Site};
use crate::csi::Trouble;
use crate::error::{Error, Result};

impl Site {
    /// Takes a node's power away: kubelet, containerd, pods, drivers and their mounts are gone at once.
    ///
    /// Nodes count from 0. The first shares its machine with the control plane, which goes on; DNS and the controllers
    /// of storage are with it too, and are away until [`Self::start_node`].
    ///
    /// # Errors
    /// If there is no such node, or a process does not die.
    pub async fn kill_node(&mut self, number: u16) -> Result<()> {
        self.machine(number)?.power_off().await
    }

    /// Gives a killed node its power back, and waits until the control plane has heard from it.
    ///
    /// # Errors
    /// If there is no such node, or it does not become Ready; with the end of its kubelet's log.
    pub async fn start_node(&mut self, number: u16) -> Result<()> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let plan = self.machine(number)?.plan.clone();
        let name = plan.name();
        let before = nodes.get(&name).await.map_err(Error::kubernetes(format!("reading node {name}")))?;
        let before = heard(&before);
        self.machine(number)?.power_on(NODE_LIMIT).await?;
        self.wait_for(&plan.numbered("kubelet"), "its node is not Ready again", NODE_LIMIT, || async {
            let now = nodes.get(&name).await?;
            Ok(node::is_ready(&now) && heard(&now) != before)
        })
        .await
    }

    /// Brings the storage with snapshots of all nodes into trouble; the default ends it.
    ///
    /// # Errors
    /// If the site has no such storage.
    pub fn trouble_csi(&self, trouble: &Trouble) -> Result<()> {
        trouble.tell(&self.csi_pool())
    }

    /// Cuts one node off from everything, other nodes included. The first takes the control plane with it.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn partition_node(&mut self, number: u16, how: Partition) -> Result<()> {
        let network = self.machine(number)?.plan.network();
        match how {
            Partition::Unplugged => network.plug(false),
            Partition::Blackhole => network.blackhole(&[]),
        }
    }

    /// Ends a partition of one node.
    ///
    /// # Errors
    /// If there is no such node.
    pub fn heal_node(&mut self, number: u16) -> Result<()> {
        let machine = self.machine(number)?;
        machine.plan.network().clear()?;
        // The cable of a node without power stays out.
        if machine.is_on() { machine.plan.network().plug(true) } else { Ok(()) }
    }

    fn machine(&mut self, number: u16) -> Result<&mut Machine> {
        let known = self.node_names().join(", ");
        let (site, component) = (self.plan.name.clone(), format!("node {number}"));
        self.machines.get_mut(usize::from(number)).ok_or(Error::NoComponent { site, component, known })
    }
}

/// When the control plane last heard that a node is ready or not.
fn heard(node: &Node) -> Option<Time> {
    node::ready_condition(node)?.last_heartbeat_time.clone()
}
