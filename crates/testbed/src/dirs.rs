//! Where the testbed keeps what it builds, runs and records.

use std::path::{Path, PathBuf};

use crate::error::{At, Error, Result};

/// Records of what runs on this machine; kernel names are machine-wide, so there is one such place.
const RUNTIME: &str = "/run/holdfast-testbed";

/// The cache of built parts and images and the directories of runs.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// `$HOLDFAST_CACHE`, else `$XDG_CACHE_HOME/holdfast`, else `~/.cache/holdfast`.
    pub fn of_user() -> Result<Self> {
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let root = from("HOLDFAST_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|dir| dir.join("holdfast")))
            .or_else(|| from("HOME").map(|dir| dir.join(".cache/holdfast")))
            .ok_or_else(|| Error::MissingTool {
                tool: "a cache directory".into(),
                hint: "set HOLDFAST_CACHE or HOME".into(),
            })?;
        Self::at(root)
    }

    /// A cache at `root`, which is created.
    pub fn at(root: impl Into<PathBuf>) -> Result<Self> {
        let root = root.into();
        std::fs::create_dir_all(&root).at("create", &root)?;
        let root = root.canonicalize().at("resolve", &root)?;
        Ok(Self { root })
    }

    /// Its directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Built programs, one directory per part and version.
    pub(crate) fn parts(&self) -> PathBuf {
        self.root.join("parts")
    }

    /// Image archives.
    pub(crate) fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Directories of runs: what sites keep on disk, and their logs.
    pub(crate) fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }
}

/// Directory of the records of slots.
pub(crate) fn leases() -> PathBuf {
    Path::new(RUNTIME).join("leases")
}

/// Lock over what all sites share: the bridge.
pub(crate) fn network_lock() -> PathBuf {
    Path::new(RUNTIME).join("network.lock")
}

/// Short paths of one slot, for unix sockets and containers' state.
pub(crate) fn runtime(slot: u16) -> PathBuf {
    Path::new(RUNTIME).join(slot.to_string())
}
