//! What movers are made with, and what one is given to reach its repository.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use holdfast_vault::{Credentials, Repository, RepositoryPassword, Store, StoreOptions};
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// How mover pods are made. The same for all movers of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoverSettings {
    /// Image that holds `holdfast`.
    pub image: String,
    /// `imagePullPolicy` of the movers.
    pub pull_policy: String,
    /// Secrets of the namespace `holdfast-system` to pull the image with.
    pub pull_secrets: Vec<String>,
    /// Root of the nodes' kubelets where a node's annotation does not say otherwise.
    pub kubelet_root: String,
    /// Movers that run at once.
    pub concurrency: usize,
    /// Paths on nodes below which hostPath volumes may be read and filled; none by default.
    pub allowed_host_paths: Vec<String>,
    /// Movers that read beside pods of one node at once; those of snapshots are spread over nodes.
    pub per_node: usize,
    /// Resource requests and limits as in a container's `resources`; `null` for none.
    pub resources: serde_json::Value,
    /// Bytes a second that one mover may send to and receive from the vault; `None` for all there are.
    pub bandwidth: Option<u64>,
    /// PriorityClass of the movers' pods.
    pub priority_class: Option<String>,
    /// How long one mover may take in all; then Kubernetes ends it.
    pub deadline: Duration,
    /// How long a mover may take to start: scheduling, pulling the image, mounting.
    pub start_timeout: Duration,
    /// How long the storage may take to cut a snapshot, and again to make it readable.
    pub snapshot_timeout: Duration,
    /// Seconds after which ended Jobs that nobody collected are removed.
    pub ttl: Duration,
    /// Run movers with the SELinux type `spc_t`, where SELinux is enforced.
    pub selinux: bool,
    /// Restore device files.
    pub restore_devices: bool,
    /// Restore setuid bits and file capabilities.
    pub restore_setuid: bool,
}

impl MoverSettings {
    /// Settings for an image, everything else as is usual.
    pub fn new(image: impl Into<String>) -> Self {
        Self {
            image: image.into(),
            pull_policy: "IfNotPresent".to_owned(),
            pull_secrets: Vec::new(),
            kubelet_root: "/var/lib/kubelet".to_owned(),
            concurrency: 8,
            per_node: 4,
            bandwidth: None,
            priority_class: None,
            allowed_host_paths: Vec::new(),
            resources: serde_json::Value::Null,
            deadline: Duration::from_secs(24 * 3600),
            start_timeout: Duration::from_secs(300),
            snapshot_timeout: Duration::from_secs(600),
            ttl: Duration::from_secs(3600),
            selinux: false,
            restore_devices: false,
            restore_setuid: false,
        }
    }
}

/// What a mover needs to open one application's repository, and nothing more.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepositoryAccess {
    /// Address of the vault as the mover reaches it.
    pub url: String,
    /// Path of the repository below it.
    pub prefix: String,
    /// Endpoint of a server that is not the cloud's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// S3: region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    /// S3: bucket in the host name instead of the path.
    #[serde(default)]
    pub virtual_hosted: bool,
    /// PEM with the authority that signed the endpoint's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// Bytes a second that are not exceeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// The storage's credentials, by the names of its own tools.
    pub credentials: BTreeMap<String, String>,
    /// Password of the repository.
    pub password: String,
}

impl fmt::Debug for RepositoryAccess {
    /// Where, never with what.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RepositoryAccess")
            .field("url", &self.url)
            .field("prefix", &self.prefix)
            .field("endpoint", &self.endpoint)
            .field("credentials", &self.credentials.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl RepositoryAccess {
    /// From what a vault was connected with and one application's prefix and password.
    pub fn new(
        url: &str,
        options: &StoreOptions,
        credentials: &Credentials,
        prefix: &str,
        password: &RepositoryPassword,
    ) -> Self {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        Self {
            url: url.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: options.endpoint.clone(),
            region: options.region.clone(),
            virtual_hosted: options.virtual_hosted,
            ca_pem: options.ca_pem.as_deref().map(|pem| String::from_utf8_lossy(pem).into_owned()),
            bandwidth: options.bandwidth,
            credentials: credentials.variables().map(owned).collect(),
            password: password.expose().to_owned(),
        }
    }

    /// The same for a mover with these settings.
    pub(crate) fn limited(&self, settings: &MoverSettings) -> Self {
        Self { bandwidth: settings.bandwidth.or(self.bandwidth), ..self.clone() }
    }

    /// Opens the repository.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn open(&self) -> Result<Repository> {
        let options = StoreOptions {
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            virtual_hosted: self.virtual_hosted,
            ca_pem: self.ca_pem.clone().map(String::into_bytes),
            bandwidth: self.bandwidth,
            ..StoreOptions::default()
        };
        let credentials: Credentials = self.credentials.clone().into_iter().collect();
        let store = Store::connect(&self.url, &options, &credentials)?.scoped(&self.prefix);
        let password = RepositoryPassword::new(self.password.clone());
        Ok(Repository::open(store, &password).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_never_printed() {
        let access = RepositoryAccess::new(
            "s3://bucket",
            &StoreOptions::default(),
            &Credentials::s3("id", "storage-secret"),
            "tenants/default/apps/a1",
            &RepositoryPassword::new("repository-secret"),
        );
        let shown = format!("{access:?}");
        assert!(shown.contains("tenants/default/apps/a1") && !shown.contains("-secret"), "{shown}");
        let json = serde_json::to_string(&access).unwrap();
        assert_eq!(serde_json::from_str::<RepositoryAccess>(&json).unwrap(), access);
    }
}
