//! Holdfast's home: a directory with the manifests, keys and run journals of one user of the command line.
//!
//! ```text
//! vaults/NAME.yaml  clusters/NAME.yaml  sites/NAME.yaml  policies/NAME.yaml   manifests
//! keys/NAME.key                                          the root key of vault NAME, mode 0600
//! runs/ID.json                                           what a run has begun and not yet cleaned up
//! reports/ID.json                                        what the newest ended runs did
//! ```
//! Nothing in it is the only copy of anything: applications and points are in the vaults, and the
//! recovery keys were escrowed when the vaults were made.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(crate) mod credentials;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod manifests;
pub(crate) mod private;
pub(crate) mod reports;

/// A home directory, which need not exist before something is written to it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// The home at `explicit`, or else at `holdfast` below the user's configuration directory
    /// (`$XDG_CONFIG_HOME`, `~/.config`).
    pub(crate) fn locate(explicit: Option<PathBuf>) -> Result<Self> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let root = explicit
            .or_else(|| set("XDG_CONFIG_HOME").map(|dir| dir.join("holdfast")))
            .or_else(|| set("HOME").map(|dir| dir.join(".config/holdfast")))
            .ok_or(Error::NoHome)?;
        let root = std::path::absolute(&root).map_err(|error| Error::file("locate", &root, error))?;
        Ok(Self { root })
    }

    /// The directory itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Whether `path` lies in this home, symlinks of its directory resolved.
    pub(crate) fn contains(&self, path: &Path) -> bool {
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => real(parent),
            _ => real(Path::new(".")),
        };
        directory.starts_with(real(&self.root))
    }

    fn directory(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_in_the_home_is_recognised_through_a_symlink() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().join("home"))).unwrap();
        std::fs::create_dir_all(home.root().join("keys")).unwrap();
        std::os::unix::fs::symlink(home.root(), dir.path().join("link")).unwrap();
        assert!(home.contains(&home.root().join("key")));
        assert!(home.contains(&dir.path().join("link/keys/key")));
        assert!(!home.contains(&dir.path().join("key")));
    }
}
