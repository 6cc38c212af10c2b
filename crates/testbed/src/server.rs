//! A server on the bridge, where the host and the pods of all sites reach it, in a slot of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::component::{self, Component, Spec, until};
use crate::dirs::Cache;
use crate::error::{At, Result};
use crate::kernel::bridge::{self, HOST_ADDRESS};
use crate::lease::Lease;
use crate::parts::{Built, Part};
use crate::record::Record;
use crate::report::Reporter;
use crate::tool::blocking;
use crate::{guard, host, sweep};

/// The port of slot 0; a server's port is this plus its slot.
const PORTS: u16 = 19_000;

/// How long a server may take to answer.
const LIMIT: Duration = Duration::from_secs(60);

/// A running server. Dropping it takes it down with all data; so does the death of this process.
pub(crate) struct Server {
    address: SocketAddr,
    record: Record,
    component: Component,
    lease: Option<Lease>,
}

impl Server {
    /// Builds `part` if it is missing and starts it as `spec` says, given its programs, its directory and its
    /// address. It is not waited for.
    pub(crate) async fn start(
        name: &str,
        part: Part,
        cache: Cache,
        report: Reporter,
        spec: impl FnOnce(&Built, PathBuf, SocketAddr) -> Result<Spec> + Send + 'static,
    ) -> Result<Self> {
        let name = name.to_owned();
        blocking("starting a server", move || {
            host::prepare(&report)?;
            let built = part.build(&cache, &report)?;
            sweep::sweep(&cache, &report)?;
            guard::ensure(&cache)?;
            let lease = Lease::take(&name, &cache)?;
            let record = lease.record().clone();
            match serve(&record, |address| spec(&built, record.dir.clone(), address)) {
                Ok((address, component)) => Ok(Self { address, record, component, lease: Some(lease) }),
                Err(error) => lease.end().and(Err(error)),
            }
        })
        .await
    }

    /// Waits until `probe` says that it answers.
    pub(crate) async fn answers<F: Future<Output = bool>>(&mut self, probe: impl Fn() -> F) -> Result<()> {
        let begun = Instant::now();
        let component = &mut self.component;
        let up = until(LIMIT, || {
            let (alive, answer) = (component.check(), probe());
            async move {
                alive?;
                Ok(answer.await)
            }
        })
        .await?;
        if up { Ok(()) } else { Err(self.component.not_ready("it does not answer", begun.elapsed())) }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its directory; `log` in it stays when it is gone.
    pub(crate) fn dir(&self) -> PathBuf {
        self.record.dir.clone()
    }

    pub(crate) fn component(&mut self) -> &mut Component {
        &mut self.component
    }

    /// Stops it in its tracks (SIGSTOP): connections are taken and hang.
    pub(crate) fn pause(&self) {
        self.component.pause();
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.component.resume();
    }

    /// Takes it down with all data.
    pub(crate) async fn stop(mut self) -> Result<()> {
        let lease = self.lease.take();
        blocking("stopping a server", move || {
            let ended = lease.as_ref().map_or(Ok(()), Lease::end);
            self.component.kill().and(ended)
        })
        .await
    }

    /// Lets it outlive this process. `holdfast-testbed down NAME` ends it.
    pub(crate) fn keep(mut self) -> Result<()> {
        self.lease.take().map_or(Ok(()), Lease::keep)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(lease) = self.lease.take() else { return };
        if let Err(error) = component::end(&[lease], std::slice::from_mut(&mut self.component)) {
            eprintln!("testbed: taking {} down: {error}", self.record.name);
        }
    }
}

fn serve(record: &Record, spec: impl FnOnce(SocketAddr) -> Result<Spec>) -> Result<(SocketAddr, Component)> {
    bridge::ensure()?;
    record.cgroup().create()?;
    let address = free_address(record.slot)?;
    Ok((address, Component::start(spec(address)?.on_host_network(), record)?))
}

/// The slot's own port on the bridge, or any free one if another program has it.
fn free_address(slot: u16) -> Result<SocketAddr> {
    let listener = TcpListener::bind((HOST_ADDRESS, PORTS + slot))
        .or_else(|_| TcpListener::bind((HOST_ADDRESS, 0)))
        .at("listen on", HOST_ADDRESS)?;
    listener.local_addr().at("listen on", HOST_ADDRESS)
}

/// Random bytes for keys of servers.
pub(crate) fn random<const N: usize>() -> Result<[u8; N]> {
    use std::io::Read;
    let mut bytes = [0; N];
    let source = "/dev/urandom";
    std::fs::File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).at("read", source)?;
    Ok(bytes)
}
