//! restic's locks: one small file per writer, refreshed while it works.
//!
//! Not a mutual exclusion by itself, but what stock restic goes by: `prune` and the like take an
//! exclusive lock and refuse to run beside ours, and we refuse to run beside theirs.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::host;
use crate::id::FileId;
use crate::repository::{Inner, Repository, unpacked};

/// Others may remove a lock that was not refreshed for this long.
const STALE_AFTER: SignedDuration = SignedDuration::from_mins(30);
/// How often a lock is refreshed.
pub(crate) const REFRESH_EVERY: SignedDuration = SignedDuration::from_mins(5);
/// From this age on we no longer rely on a lock of ours: clocks differ, and a commit takes time.
const RELIED_ON_FOR: SignedDuration = SignedDuration::from_mins(25);

/// What a lock file says; fields are restic's.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct LockFile {
    time: Timestamp,
    exclusive: bool,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    pid: i32,
    #[serde(default)]
    uid: u32,
    #[serde(default)]
    gid: u32,
}

impl LockFile {
    fn ours(now: Timestamp, owner: &str) -> Self {
        let (uid, gid) = host::ids();
        let username = if owner.is_empty() { host::user_name() } else { owner.to_owned() };
        let pid = std::process::id() as i32;
        Self { time: now, exclusive: false, hostname: host::name(), username, pid, uid, gid }
    }

    /// Whether its owner is gone: not refreshed for long, or a process of this host that ended.
    fn is_stale(&self, now: Timestamp) -> bool {
        now.duration_since(self.time) > STALE_AFTER
            || (self.hostname == host::name() && !host::is_running(self.pid))
    }

    fn holder(&self) -> String {
        format!("process {} of {}@{} since {}", self.pid, self.username, self.hostname, self.time)
    }
}

impl Repository {
    /// Removes the locks that writers of these owners left, and gives their number. They must be
    /// known to be dead; other locks stay until they are stale.
    ///
    /// # Errors
    /// [`Error::Storage`]
    pub async fn remove_locks_of(&self, dead: &[String]) -> Result<usize> {
        remove_of(&self.inner, dead).await
    }
}

/// A lock that this process holds.
pub(crate) struct Lock {
    inner: Arc<Inner>,
    owner: String,
    state: Mutex<State>,
    /// Held while the lock file is replaced or removed; `true` once it was removed.
    released: tokio::sync::Mutex<bool>,
}

struct State {
    file: FileId,
    refreshed: Timestamp,
}

impl Lock {
    /// Takes a non-exclusive lock in the name of `owner`.
    pub(crate) async fn acquire(inner: &Arc<Inner>, owner: &str) -> Result<Self> {
        refuse_beside_exclusive(inner, None).await?;
        let (file, refreshed) = create(inner, owner).await?;
        let state = Mutex::new(State { file, refreshed });
        let lock =
            Self { inner: Arc::clone(inner), owner: owner.to_owned(), state, released: Default::default() };
        // Whoever came in between has either seen our lock or is seen here.
        if let Err(error) = refuse_beside_exclusive(inner, Some(file)).await {
            lock.release().await?;
            return Err(error);
        }
        Ok(lock)
    }

    /// Time since the last refresh.
    pub(crate) fn age(&self) -> SignedDuration {
        let refreshed = self.state.lock().unwrap_or_else(PoisonError::into_inner).refreshed;
        self.inner.options.clock.now().duration_since(refreshed)
    }

    /// Replaces the lock file by a fresh one, unless it is too late for that.
    pub(crate) async fn refresh(&self) -> Result<()> {
        let released = self.released.lock().await;
        if *released {
            return Ok(());
        }
        self.expect_fresh()?;
        let (file, refreshed) = create(&self.inner, &self.owner).await?;
        let before = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *state, State { file, refreshed }).file
        };
        self.inner.store.delete(&path(&before)).await
    }

    /// Makes sure that nobody can have taken this writer for dead.
    pub(crate) async fn verify(&self) -> Result<()> {
        self.expect_fresh()?;
        let file = self.state.lock().unwrap_or_else(PoisonError::into_inner).file;
        match self.inner.store.size(&path(&file)).await {
            Err(error) if error.is_not_found() && self.is_current(file) => {
                Err(Error::LockLost { minutes: self.age().as_mins() })
            }
            Err(error) if !error.is_not_found() => Err(error),
            _ => self.expect_fresh(),
        }
    }

    fn is_current(&self, file: FileId) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).file == file
    }

    fn expect_fresh(&self) -> Result<()> {
        let age = self.age();
        if age > RELIED_ON_FOR {
            return Err(Error::LockLost { minutes: age.as_mins() });
        }
        Ok(())
    }

    /// Removes the lock file; a second call does nothing.
    pub(crate) async fn release(&self) -> Result<()> {
        let mut released = self.released.lock().await;
        if std::mem::replace(&mut *released, true) {
            return Ok(());
        }
        let file = self.state.lock().unwrap_or_else(PoisonError::into_inner).file;
        self.inner.store.delete(&path(&file)).await
    }
}

fn path(file: &FileId) -> String {
    format!("locks/{file}")
}

async fn create(inner: &Inner, owner: &str) -> Result<(FileId, Timestamp)> {
    let now = inner.options.clock.now();
    let json = serde_json::to_vec(&LockFile::ours(now, owner))
        .map_err(|error| Error::Internal(error.to_string()))?;
    Ok((unpacked::save(inner, "locks", json).await?, now))
}

/// Removes the locks of owners that are known to be dead.
async fn remove_of(inner: &Inner, dead: &[String]) -> Result<usize> {
    let mut removed = 0;
    for (name, loaded) in unpacked::load_all(inner, "locks").await? {
        let path = format!("locks/{name}");
        // What cannot be read, or is no longer there, is nobody's that is known.
        let Ok((_, json)) = loaded else { continue };
        let Ok(lock) = unpacked::parse::<LockFile>(&path, &json) else { continue };
        if dead.contains(&lock.username) {
            inner.store.delete(&path).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

async fn refuse_beside_exclusive(inner: &Inner, own: Option<FileId>) -> Result<()> {
    let now = inner.options.clock.now();
    for (name, loaded) in unpacked::load_all(inner, "locks").await? {
        let (id, json) = match loaded {
            Ok(loaded) => loaded,
            // Removed since it was listed.
            Err(error) if error.is_not_found() => continue,
            Err(error) => return Err(error),
        };
        let path = format!("locks/{name}");
        let lock: LockFile = unpacked::parse(&path, &json)?;
        if lock.is_stale(now) {
            // What a killed process left. Removing it is a kindness to stock restic, no need of ours.
            if let Err(error) = inner.store.delete(&path).await {
                tracing::debug!(%error, "a stale lock stays");
            }
        } else if Some(id) != own && lock.exclusive {
            return Err(Error::Locked { holder: lock.holder() });
        }
    }
    Ok(())
}
