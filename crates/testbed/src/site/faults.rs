//! What can befall a site: its line, one of its servers, or all of it.

use super::Site;
use super::node::Machine;
use crate::component::Component;
use crate::error::Result;
use crate::kernel::network::Network;
use crate::kernel::switch::Switch;
use crate::record::Record;
use crate::teardown;
use crate::tool::blocking;

/// How a site is cut off from everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partition {
    /// The cable is out: others learn within seconds that the site is not reachable.
    Unplugged,
    /// Packets vanish at the site's edge: connections hang, as behind a broken router.
    Blackhole,
}

impl Site {
    /// Cuts the site off from host, S3 and other sites. What is inside goes on, also between its nodes.
    pub fn partition(&self, how: Partition) -> Result<()> {
        match how {
            Partition::Unplugged if self.plan.has_several_nodes() => self.switch().plug(false),
            Partition::Unplugged => self.network().plug(false),
            Partition::Blackhole => {
                let inside = self.inside();
                self.networks().iter().try_for_each(|network| network.blackhole(&inside))
            }
        }
    }

    /// Ends any partition, also of single nodes.
    pub fn heal(&self) -> Result<()> {
        self.networks().iter().try_for_each(Network::clear)?;
        if self.plan.has_several_nodes() {
            self.switch().plug(true)?;
        }
        self.network().plug(true)?;
        // The cable of a node without power stays out.
        let alive = self.machines.iter().filter(|machine| machine.is_on());
        alive.map(|machine| machine.plan.network()).try_for_each(|network| network.plug(true))
    }

    /// Stops a component in its tracks (SIGSTOP): connections to it hang.
    pub fn pause(&mut self, component: &str) -> Result<()> {
        self.component(component).map(|component| component.pause())
    }

    /// Lets a paused component go on.
    pub fn resume(&mut self, component: &str) -> Result<()> {
        self.component(component).map(|component| component.resume())
    }

    /// Kills one component, `kube-apiserver` say, and leaves it dead.
    pub fn kill_component(&mut self, component: &str) -> Result<()> {
        self.component(component)?.kill()
    }

    /// Kills one component if it runs and starts it as it was; [`Self::ready`] waits for the API server.
    pub fn restart_component(&mut self, component: &str) -> Result<()> {
        self.component(component)?.restart()
    }

    /// Burns the site: every process dies by SIGKILL at once, containers too, and all its data is gone.
    ///
    /// Its logs and the administrator's kubeconfig stay, and its address stays unused while this value lives.
    pub async fn kill(&mut self) -> Result<()> {
        let records: Vec<Record> = self.leases.iter().map(|lease| lease.record().clone()).collect();
        let mut components = self.take_components();
        blocking("killing a site", move || {
            teardown::of_slots(&records)?;
            components.iter_mut().try_for_each(Component::kill)
        })
        .await
    }

    /// Waits until the API server answers, as after [`Self::restart_component`].
    pub async fn ready(&mut self) -> Result<()> {
        self.wait_for_api().await
    }

    pub(super) fn component(&mut self, name: &str) -> Result<&mut Component> {
        let missing = self.no_component(name);
        let of_nodes = self.machines.iter_mut().flat_map(Machine::components_mut);
        let mut all = self.components.iter_mut().chain(of_nodes);
        all.find(|component| component.name() == name).ok_or(missing)
    }

    fn switch(&self) -> Switch {
        Switch::of_slot(self.plan.slot)
    }

    /// The network of the control plane and those of all nodes beside it.
    fn networks(&self) -> Vec<Network> {
        let others = self.machines.iter().filter(|machine| machine.plan.number > 0);
        std::iter::once(self.network()).chain(others.map(|machine| machine.plan.network())).collect()
    }

    /// From and to where packets go that pass between nodes of the site.
    fn inside(&self) -> Vec<String> {
        if !self.plan.has_several_nodes() {
            return Vec::new();
        }
        let nodes = self.machines.iter().map(|machine| machine.plan.address.clone());
        nodes.chain([self.plan.pod_cidr()]).collect()
    }
}
