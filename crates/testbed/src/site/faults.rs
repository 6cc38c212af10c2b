//! What can befall a site: its line, one of its servers, or all of it.

use super::Site;
use crate::component::Component;
use crate::error::Result;
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
    /// Cuts the site off from host, S3 and other sites. What is inside goes on.
    pub fn partition(&self, how: Partition) -> Result<()> {
        let network = self.network();
        match how {
            Partition::Unplugged => network.plug(false),
            Partition::Blackhole => network.blackhole(true),
        }
    }

    /// Ends any partition.
    pub fn heal(&self) -> Result<()> {
        let network = self.network();
        network.blackhole(false)?;
        network.plug(true)
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
        let Some(lease) = &self.lease else { return Ok(()) };
        let record = lease.record().clone();
        let mut components = std::mem::take(&mut self.components);
        blocking("killing a site", move || {
            teardown::of_slot(&record)?;
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
        self.components.iter_mut().find(|component| component.name() == name).ok_or(missing)
    }
}
