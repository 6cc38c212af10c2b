//! A client of the Kubernetes API from a kubeconfig of a site.

use std::path::Path;

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::error::{Error, Result};

/// Connects with the current context of `kubeconfig`; no request is sent yet.
pub(crate) async fn connect(kubeconfig: &Path) -> Result<kube::Client> {
    let unusable = |reason: String| Error::Kubeconfig { path: kubeconfig.to_owned(), reason };
    let read = Kubeconfig::read_from(kubeconfig).map_err(|error| unusable(error.to_string()))?;
    let mut config = kube::Config::from_custom_kubeconfig(read, &KubeConfigOptions::default())
        .await
        .map_err(|error| unusable(error.to_string()))?;
    // A proxy of the machine's surroundings knows no way into its network namespaces.
    config.proxy_url = None;
    kube::Client::try_from(config).map_err(|error| unusable(error.to_string()))
}
