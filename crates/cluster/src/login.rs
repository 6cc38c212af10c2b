//! The client with its credential, and a new one when the server no longer accepts the old.
//!
//! Tokens that carry an expiry are renewed by the client itself. Others just stop working: a client
//! certificate from an exec plugin, a kubeconfig that a login tool rewrites. Then the kubeconfig is
//! read again, and its plugin run again, as kubectl would on its next call.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use kube::Client;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::client;
use crate::kubeconfig::Connect;

/// Plugins may ask a person or a slow server: not more often than this.
const PAUSE: Duration = Duration::from_secs(10);

/// A credential and where to get the next one.
pub(crate) struct Login {
    current: RwLock<Session>,
    /// The kubeconfig it came from; `None` for service accounts, whose tokens renew themselves.
    source: Option<Connect>,
    /// When it was renewed last; held while it is being renewed.
    renewed: Mutex<Option<Instant>>,
}

/// A client as it was at one time.
#[derive(Clone)]
pub(crate) struct Session {
    pub(crate) client: Client,
    number: u64,
}

impl Login {
    pub(crate) fn new(client: Client, source: Option<Connect>) -> Self {
        let current = RwLock::new(Session { client, number: 0 });
        Self { current, source, renewed: Mutex::new(None) }
    }

    /// The newest client.
    pub(crate) fn session(&self) -> Session {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Logs in again after `refused` was not accepted; whether there is another session to try.
    pub(crate) async fn again(&self, refused: &Session) -> bool {
        let Some(source) = &self.source else { return false };
        let mut renewed = self.renewed.lock().await;
        if self.session().number != refused.number {
            return true;
        }
        if renewed.is_some_and(|last| last.elapsed() < PAUSE) {
            return false;
        }
        *renewed = Some(Instant::now());
        match client::log_in(source).await {
            Ok(client) => {
                let session = Session { client, number: refused.number + 1 };
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = session;
                true
            }
            // The refusal that brought us here says more than why this did not help.
            Err(_) => false,
        }
    }
}
