//! The kubeconfig: which cluster a user means, and how it is reached.

use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use crate::error::{Error, Result};
use crate::failure;
use crate::settings::Settings;

/// Which cluster to connect to, and how.
#[derive(Debug, Clone, Default)]
pub struct Connect {
    /// Kubeconfig file; `None` is what `$KUBECONFIG` or `~/.kube/config` says, or the service
    /// account when there is neither and the process runs in a pod.
    pub kubeconfig: Option<PathBuf>,
    /// Context in it; `None` is the current one.
    pub context: Option<String>,
    /// Whether large replies are compressed. It costs the API server time and helps only where
    /// the line is slow; a kubeconfig's `disable-compression` wins.
    pub compress: bool,
    /// Patience and concurrency.
    pub settings: Settings,
}

/// Names of the contexts of a kubeconfig, for completion and for error messages.
pub fn contexts(kubeconfig: Option<&Path>) -> Result<Vec<String>> {
    let config = load(kubeconfig).map_err(|error| refused(kubeconfig, None, &error))?;
    Ok(names(&config))
}

fn names(config: &Kubeconfig) -> Vec<String> {
    config.contexts.iter().map(|context| context.name.clone()).collect()
}

fn load(path: Option<&Path>) -> std::result::Result<Kubeconfig, KubeconfigError> {
    match path {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    }
}

fn refused(path: Option<&Path>, context: Option<&str>, error: &(dyn std::error::Error + 'static)) -> Error {
    Error::Kubeconfig {
        path: path.map(Path::to_path_buf),
        context: context.map(str::to_owned),
        // A parser quotes the lines around the error, and there may be a token in them.
        reason: failure::root(error).lines().next().unwrap_or_default().to_owned(),
    }
}

/// The context's name and configuration; `None` to use the pod's service account.
pub(crate) async fn read(connect: &Connect) -> Result<Option<(String, Config)>> {
    let (path, context) = (connect.kubeconfig.as_deref(), connect.context.as_deref());
    let kubeconfig = match load(path) {
        Ok(kubeconfig) => kubeconfig,
        Err(_) if path.is_none() && context.is_none() && in_a_pod() => return Ok(None),
        Err(error) => return Err(refused(path, context, &error)),
    };
    let Some(name) = context.map(str::to_owned).or_else(|| kubeconfig.current_context.clone()) else {
        return Err(no_context(connect, &kubeconfig, "no current context is set"));
    };
    if !names(&kubeconfig).contains(&name) {
        return Err(no_context(connect, &kubeconfig, &format!("there is no context {name}")));
    }
    let options = KubeConfigOptions { context: Some(name.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| refused(path, Some(&name), &error))?;
    Ok(Some((name, config)))
}

fn no_context(connect: &Connect, kubeconfig: &Kubeconfig, what: &str) -> Error {
    let known = names(kubeconfig);
    let reason = match known.is_empty() {
        true => format!("{what}, and it has no contexts at all"),
        false => format!("{what}; it has: {}", known.join(", ")),
    };
    Error::Kubeconfig { path: connect.kubeconfig.clone(), context: connect.context.clone(), reason }
}

/// The kubeconfig was there when the program connected, and is no longer.
pub(crate) fn gone(connect: &Connect) -> Error {
    no_context(connect, &Kubeconfig::default(), "the kubeconfig is gone")
}

fn in_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}
