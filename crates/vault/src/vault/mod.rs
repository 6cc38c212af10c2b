//! A vault.
use holdfast_model::{AppId, TenantId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use crate::error::{Error, Result};
use crate::repository::{Repository, RepositoryPassword};
use crate::store::Store;

/// What is needed to make a vault.
#[derive(Debug, Clone)]
pub struct VaultInit {
    /// Sixteen random bytes that become the vault's id.
    pub random: [u8; 16],
    /// The present time.
    pub now: Timestamp,
}

/// What a vault's storage was found to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Of 16 racing creates of one key exactly one won.
    pub conditional_create: bool,
    /// Objects can be deleted (locks need it).
    pub delete: bool,
    /// Deleted and overwritten objects stay as old versions; `None` if the storage cannot be asked.
    pub versioning: Option<bool>,
    /// Objects are locked against deletion for a time; `None` if the storage cannot be asked.
    pub object_lock: Option<bool>,
}

impl Features {
    /// What these mean for the user, one sentence each.
    pub fn verdict(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A place for recovery points.
#[derive(Clone, Debug)]
pub struct Vault {
    _store: Store,
}

/// The key of one tenant in one vault, from which all others are derived. Never printed.
#[derive(Clone)]
pub struct RootKey(());

impl RootKey {
    /// The key made of 32 random bytes.
    pub fn from_random(_bytes: [u8; 32]) -> Self {
        Self(())
    }
    /// The form to be written down and kept elsewhere, with a checksum.
    pub fn recovery_text(&self) -> String {
        String::new()
    }
    /// Reads the recovery text; case, blanks and dashes do not matter.
    ///
    /// # Errors
    /// [`Error::InvalidRecoveryKey`]
    pub fn parse(_text: &str) -> Result<Self> {
        Err(Error::Internal("under construction".into()))
    }
}

/// One tenant's part of a vault.
#[derive(Clone)]
pub struct Tenant {
    _store: Store,
}

/// One entry of the sealed catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its id within its kind.
    pub id: String,
    /// 1 for the first, one more for each that replaced it.
    pub revision: u64,
    /// Its content.
    pub value: Value,
}

impl Vault {
    /// Makes a vault at the store's prefix, after probing what the storage can do.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Storage`]
    pub async fn init(_store: Store, _init: VaultInit) -> Result<(Self, Features)> {
        Err(Error::Internal("under construction".into()))
    }
    /// Opens the vault at the store's prefix.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NewerFormat`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn open(_store: Store) -> Result<Self> {
        Err(Error::Internal("under construction".into()))
    }
    /// What its storage was found to do when it was made.
    pub fn features(&self) -> &Features {
        unreachable!()
    }
    /// Its id.
    pub fn id(&self) -> &str {
        ""
    }
    /// Makes room for a tenant and fixes the key: a later [`Vault::tenant`] with another key is refused.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`], [`Error::Storage`]
    pub async fn create_tenant(&self, _id: &TenantId, _key: RootKey) -> Result<Tenant> {
        Err(Error::Internal("under construction".into()))
    }
    /// A tenant's part, after verifying the key.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongKey`], [`Error::Storage`]
    pub async fn tenant(&self, _id: &TenantId, _key: RootKey) -> Result<Tenant> {
        Err(Error::Internal("under construction".into()))
    }
}

impl Tenant {
    /// The password of one application's repository: 256 bits in hexadecimal.
    pub fn repository_password(&self, _app: &AppId) -> RepositoryPassword {
        RepositoryPassword::new("")
    }
    /// Where an application's repository lies below the vault.
    pub fn repository_prefix(&self, _app: &AppId) -> String {
        String::new()
    }
    /// Makes an application's repository.
    ///
    /// # Errors
    /// As [`Repository::create`].
    pub async fn create_repository(&self, _app: &AppId) -> Result<Repository> {
        Err(Error::Internal("under construction".into()))
    }
    /// Opens an application's repository.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn open_repository(&self, _app: &AppId) -> Result<Repository> {
        Err(Error::Internal("under construction".into()))
    }
    /// Stores a new revision of a catalogue entry; older ones stay.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn put_entry(&self, _kind: &str, _id: &str, _value: &Value) -> Result<u64> {
        Err(Error::Internal("under construction".into()))
    }
    /// The newest revision of every entry of a kind, by id.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn entries(&self, _kind: &str) -> Result<Vec<Entry>> {
        Err(Error::Internal("under construction".into()))
    }
    /// The newest revision of one entry.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn entry(&self, _kind: &str, _id: &str) -> Result<Option<Entry>> {
        Err(Error::Internal("under construction".into()))
    }
}
