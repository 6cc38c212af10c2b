//! From a name on the command line to a connected cluster.

use holdfast_cluster::{Cluster, Connect};
use holdfast_model::manifest::ClusterSpec;

use crate::home::manifests::Kind;
use crate::session::Session;

/// A connected cluster, and what its manifest says of it.
pub(crate) struct OpenCluster {
    /// The cluster.
    pub(crate) cluster: Cluster,
    /// Its manifest, or that of a cluster of which nothing was declared.
    pub(crate) spec: ClusterSpec,
}

impl Session {
    /// Connects to the cluster that was named: one declared in the home, or a context of the
    /// kubeconfig; without a name to the current context.
    pub(crate) async fn open_cluster(&self, name: Option<&str>) -> anyhow::Result<OpenCluster> {
        let spec = match name {
            Some(name) if self.home.has(Kind::Cluster, name) => self.home.cluster(name)?.spec,
            _ => ClusterSpec::default(),
        };
        let context = spec.context.clone().or_else(|| name.map(str::to_owned));
        let kubeconfig = self.kubeconfig.clone();
        let cluster = Cluster::connect(Connect { kubeconfig, context, ..Connect::default() }).await?;
        Ok(OpenCluster { cluster, spec })
    }
}
