//! A driver by itself, without a site: for its conformance test.

use std::path::PathBuf;
use std::time::Duration;

use crate::component::{self, Component, Spec, until};
use crate::dirs::Cache;
use crate::error::Result;
use crate::lease::Lease;
use crate::report::Reporter;
use crate::tool::blocking;
use crate::{guard, host, sweep};

const LIMIT: Duration = Duration::from_secs(30);

/// A running driver with a pool of its own. Dropping it takes both away; so does the death of this process.
#[derive(Debug)]
pub struct Alone {
    component: Component,
    socket: PathBuf,
    dir: PathBuf,
    lease: Option<Lease>,
}

impl Alone {
    /// Starts one called `name`, which answers when this returns.
    pub async fn start(name: &str, cache: Cache, report: Reporter) -> Result<Self> {
        let name = name.to_owned();
        let mut driver = blocking("starting a CSI driver", move || launch(&name, &cache, &report)).await?;
        let socket = driver.socket.clone();
        let up = until(LIMIT, || {
            let (alive, there) = (driver.component.check(), socket.exists());
            async move { alive.map(|()| there) }
        })
        .await?;
        if up { Ok(driver) } else { Err(driver.component.not_ready("it does not listen", LIMIT)) }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.socket.clone()
    }

    /// A directory that goes with it, mounts included.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    /// Ends it and removes its pool.
    pub async fn stop(mut self) -> Result<()> {
        let lease = self.lease.take();
        blocking("stopping a CSI driver", move || {
            component::end(lease.as_slice(), std::slice::from_mut(&mut self.component))
        })
        .await
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        if self.lease.is_some()
            && let Err(error) =
                component::end(self.lease.take().as_slice(), std::slice::from_mut(&mut self.component))
        {
            eprintln!("testbed: taking a CSI driver down: {error}");
        }
    }
}

fn launch(name: &str, cache: &Cache, report: &Reporter) -> Result<Alone> {
    host::prepare(report)?;
    sweep::sweep(cache, report)?;
    guard::ensure(cache)?;
    let lease = Lease::take(name, cache)?;
    let record = lease.record().clone();
    let socket = record.runtime().join("csi.sock");
    let started = record.cgroup().create().and_then(|()| {
        let driver = Spec::new("csi-driver", guard::program()?)
            .arg("csi")
            .flag("name", format!("{name}.csi.testbed.holdfast.dev"))
            .flag("node", name)
            .flag("pool", record.dir.join("csi"))
            .flag("socket", &socket);
        Component::start(driver.on_host_network(), &record)
    });
    match started {
        Ok(component) => Ok(Alone { component, socket, dir: record.dir.join("run"), lease: Some(lease) }),
        Err(error) => lease.end().and(Err(error)),
    }
}
