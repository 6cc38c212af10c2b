//! One tenant's part of a vault: its key, its applications' repositories, its catalogue.

use std::collections::BTreeSet;

use bytes::Bytes;
use holdfast_model::{AppId, TenantId};
use serde::{Deserialize, Serialize};

use super::Vault;
use super::root_key::RootKey;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::repository::{
    CreateOptions, KeyCost, LockPolicy, OpenOptions, Repository, RepositoryPassword, unpacked,
};
use crate::store::{Claim, Store};

const KEY_CHECK: &str = "key-check";

/// One tenant's part of a vault. Cheap to clone; holds the tenant's key and never prints it.
#[derive(Clone)]
pub struct Tenant {
    id: TenantId,
    vault: String,
    /// At the tenant's prefix.
    pub(super) store: Store,
    root: RootKey,
    /// Seals the catalogue and plans.
    pub(super) seal: Key,
    locks: LockPolicy,
}

impl std::fmt::Debug for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tenant({} in {})", self.id, self.vault)
    }
}

/// What the sealed `key-check` says. That it opens proves the key; the names guard against a file
/// copied from elsewhere.
#[derive(Serialize, Deserialize, PartialEq, Eq)]
struct KeyCheck {
    vault: String,
    tenant: TenantId,
}

pub(super) async fn create(vault: &Vault, id: &TenantId, key: &RootKey) -> Result<Tenant> {
    let tenant = Tenant::new(vault, id, key);
    let exists = || Error::AlreadyExists { what: "a tenant", path: tenant.store.address() };
    if tenant.store.find(KEY_CHECK).await?.is_some() {
        return Err(exists());
    }
    let check = KeyCheck { vault: vault.id().to_owned(), tenant: id.clone() };
    let json = serde_json::to_vec(&check).map_err(|error| Error::Internal(error.to_string()))?;
    let sealed = Bytes::from(unpacked::encode(&tenant.seal, &json)?);
    match tenant.store.create_claim(KEY_CHECK, sealed.clone()).await {
        Ok(Claim::Won) => {}
        Ok(Claim::Lost(_)) => return Err(exists()),
        Err(Error::Unsupported { .. }) => tenant.store.put_unique(KEY_CHECK, sealed).await?,
        Err(error) => return Err(error),
    }
    Ok(tenant)
}

pub(super) async fn open(vault: &Vault, id: &TenantId, key: &RootKey) -> Result<Tenant> {
    let tenant = Tenant::new(vault, id, key);
    let path = tenant.store.locate(KEY_CHECK);
    let Some(sealed) = tenant.store.find(KEY_CHECK).await? else {
        return Err(Error::NotFound { what: "tenant", path: tenant.store.address() });
    };
    let wrong = || Error::WrongKey { what: format!("tenant `{id}` of vault `{}`", vault.store().address()) };
    let json = unpacked::decode(&tenant.seal, &path, &mut sealed.to_vec()).map_err(|_| wrong())?;
    let check: KeyCheck = unpacked::parse(&path, &json)?;
    if check != (KeyCheck { vault: vault.id().to_owned(), tenant: id.clone() }) {
        return Err(Error::damaged(path, "it belongs to another vault or tenant"));
    }
    Ok(tenant)
}

pub(super) async fn list(vault: &Vault) -> Result<Vec<TenantId>> {
    let listed = vault.store().list_directories("tenants").await?;
    Ok(listed.iter().filter_map(|name| name.parse().ok()).collect())
}

impl Tenant {
    fn new(vault: &Vault, id: &TenantId, key: &RootKey) -> Self {
        let purpose = format!("vault {} tenant {id} seal", vault.id());
        Self {
            id: id.clone(),
            vault: vault.id().to_owned(),
            store: vault.store().scoped(&format!("tenants/{id}")),
            root: key.clone(),
            seal: Key::from_bytes(&key.derive(&purpose)),
            locks: if vault.features().delete { LockPolicy::Lock } else { LockPolicy::NoLock },
        }
    }

    /// The tenant's id.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// The password of one application's repository: 256 bits in hexadecimal, derived from the
    /// tenant's key, the vault and the application.
    pub fn repository_password(&self, app: &AppId) -> RepositoryPassword {
        let purpose = format!("vault {} tenant {} application {app} repository", self.vault, self.id);
        RepositoryPassword::new(hex::encode(*self.root.derive::<32>(&purpose)))
    }

    /// Where an application's repository lies below the vault.
    pub fn repository_prefix(&self, app: &AppId) -> String {
        format!("tenants/{}/apps/{app}", self.id)
    }

    /// Makes an application's repository.
    ///
    /// # Errors
    /// As [`Repository::create`].
    pub async fn create_repository(&self, app: &AppId) -> Result<Repository> {
        let options = CreateOptions { key_cost: KeyCost::RandomPassword };
        let password = self.repository_password(app);
        Repository::create(self.repository_store(app), &password, options).await?;
        self.open_repository(app).await
    }

    /// Opens an application's repository.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn open_repository(&self, app: &AppId) -> Result<Repository> {
        self.open_repository_with(app, OpenOptions { locks: self.locks, ..OpenOptions::default() }).await
    }

    /// Opens an application's repository, saying how.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn open_repository_with(&self, app: &AppId, options: OpenOptions) -> Result<Repository> {
        Repository::open_with(self.repository_store(app), &self.repository_password(app), options).await
    }

    fn repository_store(&self, app: &AppId) -> Store {
        self.store.scoped(&format!("apps/{app}"))
    }

    /// Ids of all applications that have a repository here.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn applications(&self) -> Result<BTreeSet<AppId>> {
        let listed = self.store.list_directories("apps").await?;
        Ok(listed.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::VaultInit;
    use super::*;

    async fn vault(random: u8) -> Vault {
        let init = VaultInit { random: [random; 16], now: "2026-11-22T10:00:00Z".parse().unwrap() };
        Vault::init(Store::in_memory(), init).await.unwrap().0
    }

    #[tokio::test]
    async fn a_wrong_key_is_named_at_once() {
        let vault = vault(1).await;
        let tenant = TenantId::default();
        let (right, wrong) = (RootKey::from_random([1; 32]), RootKey::from_random([2; 32]));
        assert_eq!(vault.tenant(&tenant, right.clone()).await.unwrap_err().code(), "vault.not_found");
        vault.create_tenant(&tenant, right.clone()).await.unwrap();
        vault.tenant(&tenant, right.clone()).await.unwrap();
        assert_eq!(vault.tenant(&tenant, wrong.clone()).await.unwrap_err().code(), "vault.wrong_key");
        assert_eq!(vault.create_tenant(&tenant, wrong).await.unwrap_err().code(), "vault.already_exists");
        assert_eq!(vault.tenants().await.unwrap(), [tenant]);
    }

    #[tokio::test]
    async fn passwords_differ_by_vault_tenant_and_application() {
        let key = RootKey::from_random([1; 32]);
        let mut passwords = BTreeSet::new();
        for vault_id in [1, 2] {
            let vault = vault(vault_id).await;
            for tenant in ["a", "b"] {
                let tenant = vault.create_tenant(&tenant.parse().unwrap(), key.clone()).await.unwrap();
                for app in ["x", "y"] {
                    let password = tenant.repository_password(&app.parse().unwrap());
                    assert_eq!(password.expose().len(), 64);
                    passwords.insert(password.expose().to_owned());
                }
            }
        }
        assert_eq!(passwords.len(), 8);
    }

    #[tokio::test]
    async fn repositories_are_made_below_the_tenant() {
        let vault = vault(1).await;
        let tenant = vault.create_tenant(&TenantId::default(), RootKey::from_random([1; 32])).await.unwrap();
        let app: AppId = "a0".parse().unwrap();
        assert_eq!(tenant.open_repository(&app).await.unwrap_err().code(), "vault.not_found");
        let made = tenant.create_repository(&app).await.unwrap();
        assert_eq!(tenant.open_repository(&app).await.unwrap().id(), made.id());
        let config = format!("{}/config", tenant.repository_prefix(&app));
        assert!(vault.store().find(&config).await.unwrap().is_some());
        assert_eq!(tenant.applications().await.unwrap(), BTreeSet::from([app]));
    }
}
