//! A vault: `holdfast.json`, and below it the parts of its tenants.
//!
//! ```text
//! holdfast.json                             id, format version, what the storage can do
//! tenants/<tenant>/key-check                tells whether a root key is the tenant's
//! tenants/<tenant>/apps/<application id>/   one restic v2 repository
//! tenants/<tenant>/catalogue/<kind>/<id>/   sealed revisions of one entry
//! ```

mod catalogue;
mod features;
mod root_key;
mod tenant;

use bytes::Bytes;
use holdfast_model::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use catalogue::Entry;
pub use features::Features;
pub use root_key::RootKey;
pub use tenant::Tenant;

use crate::error::{Error, Result};
use crate::store::{Claim, Store};

const PATH: &str = "holdfast.json";
/// Version of the layout above; docs/format.md describes it.
const FORMAT: u64 = 1;

/// What is needed to make a vault.
#[derive(Debug, Clone)]
pub struct VaultInit {
    /// Sixteen random bytes that become the vault's id.
    pub random: [u8; 16],
    /// The present time.
    pub now: Timestamp,
}

/// A place for recovery points. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Store,
    header: Header,
}

/// What `holdfast.json` says; nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    format: u64,
    id: String,
    created: Timestamp,
    features: Features,
}

impl Vault {
    /// Makes a vault at the store's prefix, after probing what the storage can do. The probe leaves
    /// at most one object of a few bytes, under `probe/`, on storage that refuses to delete.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Storage`]
    pub async fn init(store: Store, init: VaultInit) -> Result<(Self, Features)> {
        let exists = || Error::AlreadyExists { what: "a vault", path: store.address() };
        if store.find(PATH).await?.is_some() {
            return Err(exists());
        }
        let id = hex::encode(init.random);
        let features = features::probe(&store, &id).await?;
        let header = Header { format: FORMAT, id, created: init.now, features };
        let json = serde_json::to_vec_pretty(&header).map_err(|error| Error::Internal(error.to_string()))?;
        match store.create_claim(PATH, Bytes::from(json.clone())).await {
            Ok(Claim::Won) => {}
            Ok(Claim::Lost(_)) => return Err(exists()),
            Err(Error::Unsupported { .. }) => store.put_unique(PATH, json.into()).await?,
            Err(error) => return Err(error),
        }
        let features = header.features.clone();
        Ok((Self { store, header }, features))
    }

    /// Opens the vault at the store's prefix.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NewerFormat`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn open(store: Store) -> Result<Self> {
        let not_found = || Error::NotFound { what: "vault", path: store.address() };
        let json = store.find(PATH).await?.ok_or_else(not_found)?;
        let damaged = |error: serde_json::Error| Error::damaged(store.locate(PATH), error);
        // The version first: what a newer one adds or changes must not hide it.
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        let Version { format } = serde_json::from_slice(&json).map_err(damaged)?;
        if format > FORMAT {
            let what = format!("vault `{}`", store.address());
            return Err(Error::NewerFormat { what, found: format, supported: FORMAT });
        }
        let header = serde_json::from_slice(&json).map_err(damaged)?;
        Ok(Self { store, header })
    }

    /// What its storage was found to do when it was made.
    pub fn features(&self) -> &Features {
        &self.header.features
    }

    /// Its id: 32 hexadecimal digits.
    pub fn id(&self) -> &str {
        &self.header.id
    }

    /// When it was made.
    pub fn created(&self) -> Timestamp {
        self.header.created
    }

    /// The store at the vault's prefix.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Makes room for a tenant and fixes the key: [`Vault::tenant`] refuses any other.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Storage`]
    pub async fn create_tenant(&self, id: &TenantId, key: RootKey) -> Result<Tenant> {
        tenant::create(self, id, &key).await
    }

    /// A tenant's part, after verifying the key.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongKey`], [`Error::Storage`]
    pub async fn tenant(&self, id: &TenantId, key: RootKey) -> Result<Tenant> {
        tenant::open(self, id, &key).await
    }

    /// Ids of all tenants.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn tenants(&self) -> Result<Vec<TenantId>> {
        tenant::list(self).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init() -> VaultInit {
        VaultInit { random: [7; 16], now: "2026-11-22T10:00:00Z".parse().unwrap() }
    }

    #[tokio::test]
    async fn a_vault_is_made_once_and_opened_often() {
        let store = Store::in_memory();
        let (vault, features) = Vault::init(store.clone(), init()).await.unwrap();
        assert!(features.conditional_create && features.delete, "{features:?}");
        let again = Vault::open(store.clone()).await.unwrap();
        assert_eq!((again.id(), again.features()), (vault.id(), &features));
        assert_eq!(Vault::init(store, init()).await.unwrap_err().code(), "vault.already_exists");
    }

    #[tokio::test]
    async fn a_newer_vault_is_refused_with_what_to_do() {
        let store = Store::in_memory();
        assert_eq!(Vault::open(store.clone()).await.unwrap_err().code(), "vault.not_found");
        store.put_unique(PATH, Bytes::from_static(br#"{"format":2,"id":[]}"#)).await.unwrap();
        let error = Vault::open(store).await.unwrap_err();
        assert_eq!(error.code(), "vault.newer_format");
        assert!(error.to_string().contains("use a newer holdfast"), "{error}");
    }
}
