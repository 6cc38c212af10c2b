//! Finds a cluster's address and credential, and makes sure that it answers.

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::{HeaderValue, header};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

use crate::call::Call;
use crate::cluster::{Cluster, Settings};
use crate::error::{Error, Result};
use crate::facts::Version;
use crate::failure;
use crate::login::Login;
use crate::refusal::Reason;
use crate::transport::Outgoing;

/// How long a TCP and TLS handshake may take: long enough for a far site, short enough at night.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

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

impl Cluster {
    /// Connects and asks for the server's version, so that a wrong address or credential is
    /// told now and by name. Exec plugins, proxies, client certificates and tokens of the
    /// kubeconfig are honoured.
    pub async fn connect(connect: Connect) -> Result<Cluster> {
        let (name, config) = match read(&connect).await? {
            Some(found) => found,
            None => return Cluster::in_cluster(connect).await,
        };
        open(name, config, connect).await
    }

    /// Connects with the service account of the pod that this process runs in.
    pub async fn in_cluster(connect: Connect) -> Result<Cluster> {
        let config =
            Config::incluster().map_err(|error| Error::NotInCluster { reason: failure::root(&error) })?;
        open(IN_CLUSTER.to_owned(), config, connect).await
    }
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
async fn read(connect: &Connect) -> Result<Option<(String, Config)>> {
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

fn in_a_pod() -> bool {
    std::env::var_os("KUBERNETES_SERVICE_HOST").is_some()
}

async fn open(name: String, config: Config, connect: Connect) -> Result<Cluster> {
    let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = make_client(&name, config, &connect).await?;
    let settings = connect.settings.clone();
    let source = (name != IN_CLUSTER).then_some(connect);
    let cluster = Cluster::assemble(Login::new(client, source), name, address, settings);
    cluster.greet().await?;
    Ok(cluster)
}

/// Reads the kubeconfig again and makes a new client of it.
pub(crate) async fn log_in(connect: &Connect) -> Result<Client> {
    match read(connect).await? {
        Some((name, config)) => make_client(&name, config, connect).await,
        None => Err(no_context(connect, &Kubeconfig::default(), "the kubeconfig is gone")),
    }
}

const IN_CLUSTER: &str = "in-cluster";
const USER_AGENT: &str = concat!("holdfast/", env!("CARGO_PKG_VERSION"));

/// Exec plugins run while the client is made, and they block.
async fn make_client(name: &str, mut config: Config, connect: &Connect) -> Result<Client> {
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

impl Cluster {
    /// The server's version.
    pub async fn version(&self) -> Result<Version> {
        self.send_for(version_request()).await
    }

    async fn greet(&self) -> Result<()> {
        let outcome: Result<Version> = self.send_for(version_request().first_contact()).await;
        match outcome {
            // Whoever may not even see the version is at least known to the server.
            Err(error) if error.reason() == Some(&Reason::Forbidden) => Ok(()),
            other => other.map(drop),
        }
    }
}

fn version_request() -> Outgoing {
    Outgoing::get(Call::path("get", "/version"), "/version".to_owned())
}
