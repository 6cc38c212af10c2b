//! What the pool holds, written down: one file per volume, snapshot and group, renamed into place when its data is there.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::{At, Error, Result};

/// How a volume is shown to pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Mode {
    /// A directory, mounted into pods.
    Filesystem,
    /// A device.
    Block,
}

/// How the pool keeps what is in a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Form {
    /// A directory: a subvolume with a limit.
    Tree,
    /// A file of the volume's size: a block device, with a file system on it or not.
    Image,
}

/// What a volume was filled with when it was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Origin {
    Snapshot(String),
    Volume(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Volume {
    pub(super) id: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) mode: Mode,
    pub(super) form: Form,
    pub(super) origin: Option<Origin>,
    /// The nodes that may mount it; none means all.
    pub(super) nodes: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Snapshot {
    pub(super) id: String,
    pub(super) volume: String,
    /// In bytes.
    pub(super) size: u64,
    pub(super) form: Form,
    /// Nanoseconds since 1970.
    pub(super) taken: i64,
    /// The group that it was taken with and goes with.
    pub(super) group: Option<String>,
}

/// Snapshots of one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Group {
    pub(super) id: String,
    pub(super) volumes: BTreeSet<String>,
    pub(super) snapshots: BTreeSet<String>,
    /// Nanoseconds since 1970.
    pub(super) taken: i64,
}

/// A kind of thing that is written down.
pub(super) trait Kept: Serialize + DeserializeOwned {
    /// What its ids begin with.
    const PREFIX: &'static str;

    fn id(&self) -> &str;

    /// The id that follows from the name its maker chose, so that a repeated request finds what the first one made.
    fn id_of(name: &str) -> String {
        let hash = hex::encode(Sha256::digest(name));
        format!("{}{}", Self::PREFIX, &hash[..20])
    }
}

impl Kept for Volume {
    const PREFIX: &'static str = "v-";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Kept for Snapshot {
    const PREFIX: &'static str = "s-";

    fn id(&self) -> &str {
        &self.id
    }
}

impl Kept for Group {
    const PREFIX: &'static str = "g-";

    fn id(&self) -> &str {
        &self.id
    }
}

#[derive(Debug)]
pub(super) struct Catalogue {
    dir: PathBuf,
}

impl Catalogue {
    pub(super) fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The thing with this id, if it is of this kind and there.
    pub(super) fn get<T: Kept>(&self, id: &str) -> Result<Option<T>> {
        if !id.starts_with(T::PREFIX) || id.contains('/') {
            return Ok(None);
        }
        let path = self.dir.join(id);
        match std::fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .map(Some)
                .map_err(|error| Error::Record { path, reason: error.to_string() }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).at("read", path),
        }
    }

    pub(super) fn put<T: Kept>(&self, thing: &T) -> Result<()> {
        let (path, draft) = (self.dir.join(thing.id()), self.dir.join(format!(".{}", thing.id())));
        let content = serde_json::to_vec(thing).at("write", &draft)?;
        std::fs::write(&draft, content).at("write", &draft)?;
        std::fs::rename(&draft, path).at("rename", draft)
    }

    pub(super) fn remove(&self, id: &str) -> Result<()> {
        match std::fs::remove_file(self.dir.join(id)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).at("remove", self.dir.join(id))
            }
            _ => Ok(()),
        }
    }

    /// All of a kind, in the order of their ids.
    pub(super) fn all<T: Kept>(&self) -> Result<Vec<T>> {
        let mut ids: Vec<String> = std::fs::read_dir(&self.dir)
            .at("list", &self.dir)?
            .flatten()
            .map(|item| item.file_name().to_string_lossy().into_owned())
            .collect();
        ids.sort();
        let mut all = Vec::new();
        for id in ids {
            all.extend(self.get(&id)?);
        }
        Ok(all)
    }
}
