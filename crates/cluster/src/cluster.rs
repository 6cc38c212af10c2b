//! The handle on one cluster that all calls go through.

use std::sync::Arc;

use jiff::Timestamp;

use crate::limiter::Limiter;
use crate::login::Login;
use crate::server_clock::ServerClock;
use crate::settings::Settings;

/// One Kubernetes cluster. Cheap to clone; clones share connections and the limit on requests.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
}

struct Shared {
    login: Login,
    name: String,
    address: String,
    settings: Settings,
    limiter: Limiter,
    clock: ServerClock,
}

impl Cluster {
    pub(crate) fn assemble(login: Login, name: String, address: String, settings: Settings) -> Self {
        let limiter = Limiter::new(settings.concurrency);
        let clock = ServerClock::default();
        Self { shared: Arc::new(Shared { login, name, address, settings, limiter, clock }) }
    }

    /// What the cluster is called: the name of its context, or `in-cluster`.
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Address of the API server.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// The time by the API server's clock, to about a second; `None` before its first reply.
    pub fn server_now(&self) -> Option<Timestamp> {
        self.shared.clock.now()
    }

    /// How many requests may be under way now; less than what was set while the server is overloaded.
    pub fn concurrency(&self) -> usize {
        self.shared.limiter.limit()
    }

    pub(crate) fn login(&self) -> &Login {
        &self.shared.login
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn limiter(&self) -> &Limiter {
        &self.shared.limiter
    }

    pub(crate) fn server_clock(&self) -> &ServerClock {
        &self.shared.clock
    }
}

impl std::fmt::Debug for Cluster {
    /// Name and address only: the client holds credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name()).field("address", &self.address()).finish()
    }
}
