//! Connects to a cluster, and makes sure that it answers.

use kube::Config;

use crate::call::Call;
use crate::client;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::facts::Version;
use crate::failure;
use crate::kubeconfig::{self, Connect};
use crate::login::Login;
use crate::refusal::Reason;
use crate::transport::Outgoing;

const IN_CLUSTER: &str = "in-cluster";

impl Cluster {
    /// Connects and asks for the server's version, so that a wrong address or credential is
    /// told now and by name. Exec plugins, proxies, client certificates and tokens of the
    /// kubeconfig are honoured.
    pub async fn connect(connect: Connect) -> Result<Cluster> {
        let (name, config) = match kubeconfig::read(&connect).await? {
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

async fn open(name: String, config: Config, connect: Connect) -> Result<Cluster> {
    let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
    let client = client::make(&name, config, &connect).await?;
    let settings = connect.settings.clone();
    let source = (name != IN_CLUSTER).then_some(connect);
    let cluster = Cluster::assemble(Login::new(client, source), name, address, settings);
    cluster.greet().await?;
    Ok(cluster)
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
