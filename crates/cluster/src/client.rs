//! The client that carries requests, with the credential that a kubeconfig or a pod gives it.

use std::time::Duration;

use http::{HeaderValue, header};
use kube::{Client, Config};

use crate::error::{Error, Result};
use crate::failure;
use crate::kubeconfig::{self, Connect};

/// How long a TCP and TLS handshake may take: long enough for a far site, short enough at night.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const USER_AGENT: &str = concat!("holdfast/", env!("CARGO_PKG_VERSION"));

/// Exec plugins run while the client is made, and they block.
pub(crate) async fn make(name: &str, mut config: Config, connect: &Connect) -> Result<Client> {
    install_tls_provider();
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    // Retrying is done in one place: transport.rs, which knows what may be repeated.
    config.default_retry = false;
    config.disable_compression |= !connect.compress;
    config.headers.push((header::USER_AGENT, HeaderValue::from_static(USER_AGENT)));
    let reason = match tokio::task::spawn_blocking(move || Client::try_from(config)).await {
        Ok(Ok(client)) => return Ok(client),
        Ok(Err(kube::Error::Auth(error))) => {
            let reason = failure::credential(&error);
            return Err(Error::Credential { cluster: name.to_owned(), reason });
        }
        Ok(Err(error)) => failure::root(&error),
        Err(error) => error.to_string(),
    };
    Err(Error::Kubeconfig { path: connect.kubeconfig.clone(), context: Some(name.to_owned()), reason })
}

/// Two TLS providers may be linked in by way of other crates; then rustls needs to be told which
/// to use. If the program has chosen already, its choice stands.
fn install_tls_provider() {
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Fails only if another thread was quicker, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
}

/// Reads the kubeconfig again and makes a new client of it.
pub(crate) async fn log_in(connect: &Connect) -> Result<Client> {
    match kubeconfig::read(connect).await? {
        Some((name, config)) => make(&name, config, connect).await,
        None => Err(kubeconfig::gone(connect)),
    }
}
