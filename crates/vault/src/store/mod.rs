//! A place that keeps objects: any object store below a prefix, with retries and counters.

mod claim;
mod connect;
mod receive;
mod retry;
mod throttle;

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, GetResult, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
};

pub use claim::Claim;
pub use connect::{Credentials, StoreOptions};
pub use retry::RetryPolicy;

use self::throttle::Throttle;
use crate::error::{Error, Result};

/// A place that keeps objects below a prefix. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
    prefix: Path,
}

struct Inner {
    objects: Arc<dyn ObjectStore>,
    address: String,
    retry: RetryPolicy,
    throttle: Option<Throttle>,
    counters: Counters,
}

#[derive(Default)]
struct Counters {
    requests: AtomicU64,
    retries: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// What a store was asked to do since it was connected, over all its clones and scopes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreStats {
    /// Requests, retries included.
    pub requests: u64,
    /// Requests that were repeated because the one before failed.
    pub retries: u64,
    /// Bytes of objects sent, retries included.
    pub sent: u64,
    /// Bytes of objects received.
    pub received: u64,
}

/// One object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Path below the listed directory.
    pub name: String,
    /// Size in bytes.
    pub size: u64,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({}/{})", self.inner.address, self.prefix)
    }
}

impl Store {
    /// Connects to the store at `url`: `s3://bucket/prefix`, `gs://bucket/prefix`,
    /// `az://container/prefix` or `file:///directory`. No request is made yet.
    ///
    /// # Errors
    /// An address, option or credential that cannot be understood.
    pub fn connect(url: &str, options: &StoreOptions, credentials: &Credentials) -> Result<Self> {
        connect::connect(url, options, credentials)
    }

    /// A store in this process's memory, for tests and rehearsals.
    pub fn in_memory() -> Self {
        let objects = Arc::new(object_store::memory::InMemory::new());
        Self::from_object_store(objects, RetryPolicy::none())
    }

    /// A store over any object store.
    pub fn from_object_store(objects: Arc<dyn ObjectStore>, retry: RetryPolicy) -> Self {
        let address = objects.to_string();
        Self::new(objects, address, retry, Path::default())
    }

    fn new(objects: Arc<dyn ObjectStore>, address: String, retry: RetryPolicy, prefix: Path) -> Self {
        Self::limited(objects, address, retry, None, prefix)
    }

    /// The same with at most so many bytes a second.
    fn limited(
        objects: Arc<dyn ObjectStore>,
        address: String,
        retry: RetryPolicy,
        bandwidth: Option<u64>,
        prefix: Path,
    ) -> Self {
        let throttle = bandwidth.map(Throttle::new);
        let inner = Inner { objects, address, retry, throttle, counters: Counters::default() };
        Self { inner: Arc::new(inner), prefix }
    }

    /// Waits for the turn of so many bytes on the line.
    async fn pass(&self, bytes: usize) {
        if let Some(throttle) = &self.inner.throttle {
            throttle.pass(bytes).await;
        }
    }

    /// The same store, seen from a directory below.
    pub fn scoped(&self, prefix: &str) -> Self {
        Self { inner: Arc::clone(&self.inner), prefix: self.path(prefix) }
    }

    /// Path of an object in the underlying store, for messages.
    pub fn locate(&self, path: &str) -> String {
        self.path(path).to_string()
    }

    /// Address and prefix, for messages.
    pub fn address(&self) -> String {
        format!("{}/{}", self.inner.address, self.prefix)
    }

    /// What was done so far.
    pub fn stats(&self) -> StoreStats {
        let counters = &self.inner.counters;
        StoreStats {
            requests: counters.requests.load(Ordering::Relaxed),
            retries: counters.retries.load(Ordering::Relaxed),
            sent: counters.sent.load(Ordering::Relaxed),
            received: counters.received.load(Ordering::Relaxed),
        }
    }

    fn path(&self, below: &str) -> Path {
        let parts = below.split('/').filter(|part| !part.is_empty());
        self.prefix.parts().chain(parts.map(Into::into)).collect()
    }

    /// The whole object.
    ///
    /// # Errors
    /// [`Error::Storage`]; [`Error::is_not_found`] tells an absent object apart.
    pub async fn get(&self, path: &str) -> Result<Bytes> {
        self.fetch(path, None).await
    }

    /// The whole object, or `None` if there is none.
    ///
    /// # Errors
    /// [`Error::Storage`] for anything but absence.
    pub async fn find(&self, path: &str) -> Result<Option<Bytes>> {
        match self.get(path).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// These bytes of the object; fewer if it ends before.
    ///
    /// # Errors
    /// [`Error::Storage`], also if the object ends before the range begins.
    pub async fn get_range(&self, path: &str, range: Range<u64>) -> Result<Bytes> {
        self.fetch(path, Some(range)).await
    }

    /// As [`Self::get_range`], into the memory of `buffer`: who reads much saves the pages of its own
    /// that each answer would have.
    ///
    /// # Errors
    /// [`Error::Storage`], also if the object ends before the range begins.
    pub async fn get_range_into(&self, path: &str, range: Range<u64>, buffer: Vec<u8>) -> Result<Vec<u8>> {
        let location = self.path(path);
        // An attempt that fails takes it along, and the next one starts with new memory.
        let buffer = Mutex::new(buffer);
        let attempt = || async {
            let found = self.ask(&location, Some(range.clone())).await?;
            let memory = std::mem::take(&mut *buffer.lock().unwrap_or_else(PoisonError::into_inner));
            let bytes = receive::receive(found, memory).await?;
            self.received(bytes.len()).await;
            Ok(bytes)
        };
        self.retried("read", &location, attempt).await
    }

    async fn fetch(&self, path: &str, range: Option<Range<u64>>) -> Result<Bytes> {
        let location = self.path(path);
        let attempt = || async {
            let bytes = self.ask(&location, range.clone()).await?.bytes().await?;
            self.received(bytes.len()).await;
            Ok(bytes)
        };
        self.retried("read", &location, attempt).await
    }

    async fn ask(&self, location: &Path, range: Option<Range<u64>>) -> object_store::Result<GetResult> {
        let range = range.map(GetRange::Bounded);
        self.inner.objects.get_opts(location, GetOptions { range, ..GetOptions::default() }).await
    }

    async fn received(&self, bytes: usize) {
        self.pass(bytes).await;
        self.inner.counters.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Size of the object in bytes.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn size(&self, path: &str) -> Result<u64> {
        let location = self.path(path);
        let attempt = || async { Ok(self.inner.objects.head(&location).await?.size) };
        self.retried("look at", &location, attempt).await
    }

    /// Creates an object whose name is unique to its content. That it exists already is success:
    /// an earlier attempt got through and its reply was lost.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn put_unique(&self, path: &str, content: Bytes) -> Result<()> {
        let location = self.path(path);
        let attempt = || async {
            match self.put_once(&location, &content, PutMode::Create).await {
                Err(object_store::Error::AlreadyExists { .. }) => {
                    self.expect_stored(&location, &content).await
                }
                // Such a store knows no conditional requests; the name is unique all the same.
                Err(
                    object_store::Error::NotImplemented { .. } | object_store::Error::NotSupported { .. },
                ) => self.put_once(&location, &content, PutMode::Overwrite).await,
                other => other,
            }
        };
        self.retried("write", &location, attempt).await
    }

    /// "Exists" may also mean that an attempt of ours is still in flight and may yet fail.
    async fn expect_stored(&self, location: &Path, content: &Bytes) -> object_store::Result<()> {
        let unsettled =
            |source: String| object_store::Error::Generic { store: "vault", source: source.into() };
        match self.inner.objects.head(location).await {
            Ok(meta) if meta.size == content.len() as u64 => Ok(()),
            Ok(meta) => {
                Err(unsettled(format!("it exists with {} bytes instead of {}", meta.size, content.len())))
            }
            Err(object_store::Error::NotFound { .. }) => {
                Err(unsettled("409: another write is in flight".into()))
            }
            Err(error) => Err(error),
        }
    }

    async fn put_once(&self, location: &Path, content: &Bytes, mode: PutMode) -> object_store::Result<()> {
        self.pass(content.len()).await;
        self.inner.counters.sent.fetch_add(content.len() as u64, Ordering::Relaxed);
        let options = PutOptions { mode, ..PutOptions::default() };
        let payload = PutPayload::from_bytes(content.clone());
        self.inner.objects.put_opts(location, payload, options).await.map(drop)
    }

    /// All objects below a directory, in no particular order; none if there is no such directory.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn list(&self, directory: &str) -> Result<Vec<Listed>> {
        let location = self.path(directory);
        let attempt = || async {
            let objects = self.inner.objects.list(Some(&location));
            let listed = objects.map_ok(|meta| {
                let below = meta.location.prefix_match(&location);
                let parts: Vec<_> =
                    below.into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
                Listed { name: parts.join("/"), size: meta.size }
            });
            listed.try_collect().await
        };
        match self.retried("list", &location, attempt).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other,
        }
    }

    /// Names of the directories directly below a directory.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn list_directories(&self, directory: &str) -> Result<Vec<String>> {
        let location = self.path(directory);
        let attempt = || async {
            let listed = self.inner.objects.list_with_delimiter(Some(&location)).await?;
            let names = listed.common_prefixes.iter().filter_map(|path| path.filename().map(str::to_owned));
            Ok(names.collect())
        };
        match self.retried("list", &location, attempt).await {
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            other => other,
        }
    }

    /// Whether an overwritten object stays as an old version, found out by overwriting `path` with
    /// the same content and asking for what was there; `None` if the storage does not say or does not let us.
    pub(crate) async fn keeps_versions(&self, path: &str) -> Result<Option<bool>> {
        let location = self.path(path);
        let content = self.get(path).await?;
        let write = || async {
            let payload = PutPayload::from_bytes(content.clone());
            Ok(self.inner.objects.put_opts(&location, payload, PutOptions::default()).await?.version)
        };
        let old = match self.retried("write", &location, write).await {
            Err(error) if error.is_refusal() => return Ok(None),
            old => old?,
        };
        match old.as_deref() {
            Some("null") => return Ok(Some(false)),
            Some(_) => {}
            None => return Ok(None),
        }
        self.retried("write", &location, write).await?;
        // Google numbers what is written whether or not the numbers before are kept.
        let read = || async {
            let options = GetOptions { version: old.clone(), ..GetOptions::default() };
            self.inner.objects.get_opts(&location, options).await.map(drop)
        };
        match self.retried("read", &location, read).await {
            Ok(()) => Ok(Some(true)),
            Err(error) if error.is_not_found() => Ok(Some(false)),
            Err(error) if error.is_refusal() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether objects can be locked against deletion; `None` if the storage cannot be asked.
    pub(crate) async fn has_object_lock(&self) -> Result<Option<bool>> {
        Ok(None)
    }

    /// Removes an object; that it is absent already is success.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn delete(&self, path: &str) -> Result<()> {
        let location = self.path(path);
        let attempt = || async {
            match self.inner.objects.delete(&location).await {
                Err(object_store::Error::NotFound { .. }) => Ok(()),
                other => other,
            }
        };
        self.retried("remove", &location, attempt).await
    }

    /// Runs `attempt` until it succeeds, fails for good, or the policy gives up.
    async fn retried<T, F, A>(&self, action: &'static str, location: &Path, attempt: F) -> Result<T>
    where
        F: Fn() -> A,
        A: Future<Output = object_store::Result<T>>,
    {
        let counters = &self.inner.counters;
        let counted = || {
            counters.requests.fetch_add(1, Ordering::Relaxed);
            attempt()
        };
        let on_retry = |error: &object_store::Error, pause: std::time::Duration| {
            counters.retries.fetch_add(1, Ordering::Relaxed);
            tracing::debug!(%error, ?pause, "{action} {location}: trying again");
        };
        self.inner.retry.run(counted, on_retry).await.map_err(|source| Error::Storage {
            action,
            path: location.to_string(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn scopes_nest_and_listings_are_relative() {
        let store = Store::in_memory();
        let inner = store.scoped("a/b").scoped("c");
        inner.put_unique("d/e", Bytes::from_static(b"x")).await.unwrap();
        assert_eq!(store.get("a/b/c/d/e").await.unwrap(), "x");
        let listed = store.list("a/b").await.unwrap();
        assert_eq!(listed, [Listed { name: "c/d/e".into(), size: 1 }]);
        assert!(store.list("nowhere").await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_unique_object_is_never_overwritten() {
        let store = Store::in_memory();
        store.put_unique("x", Bytes::from_static(b"first")).await.unwrap();
        store.put_unique("x", Bytes::from_static(b"again")).await.unwrap();
        assert_eq!(store.get("x").await.unwrap(), "first");
        let error = store.put_unique("x", Bytes::from_static(b"longer")).await.unwrap_err();
        assert!(error.to_string().contains("5 bytes instead of 6"), "{error}");
    }

    #[tokio::test]
    async fn ranges_are_read_into_memory_that_was_used() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("file://{}", directory.path().display());
        let on_disk = Store::connect(&url, &StoreOptions::default(), &Credentials::none()).unwrap();
        for store in [Store::in_memory(), on_disk] {
            store.put_unique("x", Bytes::from_static(b"0123456789")).await.unwrap();
            let mut memory = Vec::with_capacity(64);
            memory.extend_from_slice(b"what was there before");
            let used = memory.as_ptr();
            for (range, content) in [(2..7, &b"23456"[..]), (8..12, b"89"), (0..10, b"0123456789")] {
                memory = store.get_range_into("x", range, memory).await.unwrap();
                assert_eq!((memory.as_slice(), memory.as_ptr()), (content, used));
            }
            assert!(store.get_range_into("x", 11..12, memory).await.is_err());
            assert_eq!(store.stats().received, 17);
        }
    }

    #[tokio::test]
    async fn absence_is_told_apart_and_deleting_it_is_success() {
        let store = Store::in_memory();
        assert!(store.get("x").await.unwrap_err().is_not_found());
        assert_eq!(store.find("x").await.unwrap(), None);
        store.delete("x").await.unwrap();
    }
}
