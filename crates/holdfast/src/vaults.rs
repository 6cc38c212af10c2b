//! From a vault's name in the home to an open vault: address, credentials and key put together.

use std::path::Path;

use holdfast_model::manifest::{Document, VaultSpec};
use holdfast_model::{AppId, TenantId};
use holdfast_vault::{Credentials, RootKey, Store, StoreOptions, Tenant, Vault};
use holdfast_volume::RepositoryAccess;

use crate::error::Error;
use crate::home::manifests::Kind;
use crate::home::{credentials, private};
use crate::session::Session;

/// An open vault.
#[derive(Clone)]
pub(crate) struct OpenVault {
    /// Its manifest; the name is the one this home knows it by.
    pub(crate) manifest: Document<VaultSpec>,
    /// The vault.
    pub(crate) vault: Vault,
    /// Our part of it.
    pub(crate) tenant: Tenant,
    connection: Connection,
}

impl OpenVault {
    /// Opens the vault at a place.
    pub(crate) async fn open(
        manifest: Document<VaultSpec>,
        connection: Connection,
        key: RootKey,
    ) -> anyhow::Result<Self> {
        let vault = Vault::open(connection.store.clone()).await?;
        let tenant = vault.tenant(&TenantId::default(), key).await?;
        Ok(Self { manifest, vault, tenant, connection })
    }

    /// The name this home knows it by.
    pub(crate) fn name(&self) -> &str {
        &self.manifest.metadata.name
    }

    /// What a mover is given to reach one application's repository; none if the vault is a directory
    /// of this machine, which no pod can reach.
    pub(crate) fn mover_access(&self, application: &AppId) -> Option<RepositoryAccess> {
        let url = &self.manifest.spec.url;
        let reachable = !url.starts_with("file://");
        let Connection { options, credentials, .. } = &self.connection;
        let (prefix, password) =
            (self.tenant.repository_prefix(application), self.tenant.repository_password(application));
        reachable.then(|| RepositoryAccess::new(url, options, credentials, &prefix, &password))
    }
}

/// A vault's place, and how it was reached.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// The place.
    pub(crate) store: Store,
    options: StoreOptions,
    credentials: Credentials,
}

/// Connects to the place that a manifest describes; nothing is asked of it yet.
pub(crate) fn connect(manifest: &Document<VaultSpec>) -> anyhow::Result<Connection> {
    let spec = &manifest.spec;
    let credentials = credentials::read(&spec.credentials, &spec.url)?;
    let ca_pem = spec.ca_file.as_deref().map(|path| private::read(Path::new(path))).transpose()?;
    let options = StoreOptions {
        endpoint: spec.endpoint.clone(),
        region: spec.region.clone(),
        ca_pem: ca_pem.map(String::into_bytes),
        ..StoreOptions::default()
    };
    let store = Store::connect(&spec.url, &options, &credentials)?;
    Ok(Connection { store, options, credentials })
}

impl Session {
    /// Opens a vault that the home knows.
    ///
    /// # Errors
    /// Prefixed with the vault's name.
    pub(crate) async fn open_vault(&self, name: &str) -> anyhow::Result<OpenVault> {
        let manifest = self.home.vault(name)?;
        let key = self.home.key(name)?;
        let opened = async {
            let connection = connect(&manifest)?;
            OpenVault::open(manifest.clone(), connection, key).await
        };
        opened.await.map_err(|error| error.context(format!("vault `{name}`")))
    }

    /// The vaults that a command works on: the one named, or all.
    ///
    /// # Errors
    /// If the one named is not known, or there is none at all.
    pub(crate) fn vault_names(&self) -> anyhow::Result<Vec<String>> {
        if let Some(name) = &self.vault {
            return Ok(vec![self.home.vault(name)?.metadata.name]);
        }
        let names = self.home.names(Kind::Vault)?;
        if names.is_empty() {
            let hint = "make one with `holdfast vault init NAME --url URL --recovery-key FILE`";
            let what = "this home has no vault yet".to_owned();
            return Err(Error::NotReady { what, hint }.into());
        }
        Ok(names)
    }

    /// The one vault that something new goes to: the one named, or the only one.
    ///
    /// # Errors
    /// If there are several and none is named.
    pub(crate) fn only_vault(&self) -> anyhow::Result<String> {
        let mut names = self.vault_names()?;
        match (names.pop(), names.is_empty()) {
            (Some(name), true) => Ok(name),
            (last, _) => {
                names.extend(last);
                let what = "there are several vaults".to_owned();
                Err(Error::Ambiguous { what, candidates: names, hint: "choose one with --vault NAME" }.into())
            }
        }
    }
}
