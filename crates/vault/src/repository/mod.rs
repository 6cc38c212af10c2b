//! One restic v2 repository: its key, its configuration and its files.

mod config;
mod key_file;
mod polynomial;
pub(crate) mod unpacked;

use std::sync::Arc;

use zeroize::Zeroizing;

pub use key_file::KeyCost;

use crate::clock::Clock;
use crate::crypto::Key;
use crate::error::{Error, Result};
use crate::id::{FileId, SnapshotId};
use crate::index::{Catalogue, IndexSource};
use crate::snapshot::Snapshot;
use crate::store::Store;
use config::Config;

#[cfg(fuzzing)]
pub(crate) use {config::Config as ConfigFile, key_file::look_at as look_at_key_file};

/// The password that opens a repository. Never printed.
#[derive(Clone)]
pub struct RepositoryPassword(Zeroizing<String>);

impl RepositoryPassword {
    /// A password as the user or the tenant's key gives it.
    pub fn new(password: impl Into<String>) -> Self {
        Self(Zeroizing::new(password.into()))
    }

    /// The password itself, for `RESTIC_PASSWORD` and for a mover's pipe.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for RepositoryPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RepositoryPassword(secret)")
    }
}

/// How a repository is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct CreateOptions {
    /// What deriving the key from the password costs each time it is opened.
    pub key_cost: KeyCost,
}

/// Whether writers leave a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LockPolicy {
    /// A non-exclusive lock while writing, as stock restic does.
    #[default]
    Lock,
    /// None, for stores that refuse to delete. Stock `prune`, `forget --prune`, `rewrite --forget`
    /// and `repair` are then unsafe while a writer runs.
    NoLock,
}

/// How a repository is opened.
#[derive(Debug, Clone, Default)]
pub struct OpenOptions {
    /// Where the positions of blobs are read from.
    pub index: IndexSource,
    /// Whether writers leave a lock.
    pub locks: LockPolicy,
    /// The clock of locks and of periodic index files; the system's unless a test brings its own.
    pub clock: Clock,
}

/// One restic v2 repository. Cheap to clone.
#[derive(Clone)]
pub struct Repository {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) key: Key,
    pub(crate) config: Config,
    pub(crate) options: OpenOptions,
    pub(crate) catalogue: Catalogue,
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Repository({})", self.inner.store.address())
    }
}

impl Repository {
    /// Makes a repository at the store's prefix and opens it.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if there is one; [`Error::Storage`]
    pub async fn create(store: Store, password: &RepositoryPassword, options: CreateOptions) -> Result<Self> {
        if store.find(config::PATH).await?.is_some() {
            return Err(Error::AlreadyExists { what: "a repository", path: store.address() });
        }
        let clock = Clock::default();
        let key = key_file::create(&store, password, options.key_cost, &clock).await?;
        let config = Config::generate();
        config.save(&store, &key).await?;
        Ok(Self::assemble(store, key, config, OpenOptions::default()))
    }

    /// Opens the repository at the store's prefix.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::WrongKey`], [`Error::NewerFormat`], [`Error::Damaged`], [`Error::Storage`]
    pub async fn open(store: Store, password: &RepositoryPassword) -> Result<Self> {
        Self::open_with(store, password, OpenOptions::default()).await
    }

    /// Opens the repository, saying how.
    ///
    /// # Errors
    /// As [`Repository::open`].
    pub async fn open_with(
        store: Store,
        password: &RepositoryPassword,
        options: OpenOptions,
    ) -> Result<Self> {
        let key = key_file::open(&store, password).await?;
        match Config::load(&store, &key).await {
            // With a key alone it is one whose making was cut short; with an index it was whole once.
            Err(Error::NotFound { .. }) if !store.list("index").await?.is_empty() => {
                Err(Error::damaged(store.locate("config"), "it is gone"))
            }
            Err(error) => Err(error),
            Ok(config) => Ok(Self::assemble(store, key, config, options)),
        }
    }

    fn assemble(store: Store, key: Key, config: Config, options: OpenOptions) -> Self {
        let catalogue = Catalogue::default();
        Self { inner: Arc::new(Inner { store, key, config, options, catalogue }) }
    }

    /// The repository's own id.
    pub fn id(&self) -> &str {
        &self.inner.config.id
    }

    /// The store at the repository's prefix.
    pub fn store(&self) -> &Store {
        &self.inner.store
    }

    /// All snapshots, oldest first.
    ///
    /// # Errors
    /// The first one that cannot be read, by name; see [`Repository::snapshots_tolerant`].
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>> {
        let (snapshots, mut unreadable) = self.snapshots_tolerant().await?;
        match unreadable.pop() {
            None => Ok(snapshots),
            Some((_, error)) => Err(error),
        }
    }

    /// All snapshots that can be read, oldest first, and those that cannot, with the reason.
    ///
    /// # Errors
    /// Only if they cannot be listed.
    #[allow(clippy::type_complexity, reason = "two lists of pairs are clearer than two more names")]
    pub async fn snapshots_tolerant(&self) -> Result<(Vec<(SnapshotId, Snapshot)>, Vec<(String, Error)>)> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (name, loaded) in unpacked::load_all(&self.inner, "snapshots").await? {
            let parsed = loaded.and_then(|(id, json)| {
                let snapshot = unpacked::parse(&format!("snapshots/{name}"), &json)?;
                Ok((SnapshotId::from_bytes(*id.as_bytes()), snapshot))
            });
            match parsed {
                Ok(snapshot) => good.push(snapshot),
                Err(error) => bad.push((name, error)),
            }
        }
        good.sort_by(|(a_id, a), (b_id, b): &(SnapshotId, Snapshot)| (a.time, a_id).cmp(&(b.time, b_id)));
        Ok((good, bad))
    }

    /// One snapshot.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Storage`]
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot> {
        let path = format!("snapshots/{id}");
        let json = unpacked::load(&self.inner, &path, &FileId::from_bytes(*id.as_bytes())).await?;
        unpacked::parse(&path, &json)
    }
}
