//! Root keys of vaults, one file each that only its owner may read.

use std::path::PathBuf;

use holdfast_vault::RootKey;

use super::{Home, private};
use crate::error::{Error, Result};

impl Home {
    /// Keeps the key of a vault.
    pub(crate) fn put_key(&self, vault: &str, key: &RootKey) -> Result<()> {
        private::replace(&self.key_path(vault), format!("{}\n", key.recovery_text()).as_bytes())
    }

    /// Whether the key of a vault is here.
    pub(crate) fn has_key(&self, vault: &str) -> bool {
        self.key_path(vault).is_file()
    }

    /// The key of a vault.
    ///
    /// # Errors
    /// If it is missing, readable by others, or damaged.
    pub(crate) fn key(&self, vault: &str) -> anyhow::Result<RootKey> {
        if !self.has_key(vault) {
            let hint = "a vault that exists: `holdfast vault add NAME --recovery-key FILE`; a new one: `holdfast vault init NAME`";
            let name = vault.to_owned();
            return Err(Error::Unknown { what: "key for vault", name, known: Vec::new(), hint }.into());
        }
        let path = self.key_path(vault);
        let text = private::read_secret(&path)?;
        RootKey::parse(&text)
            .map_err(|error| anyhow::Error::new(error).context(format!("key file `{}`", path.display())))
    }

    fn key_path(&self, vault: &str) -> PathBuf {
        self.directory("keys").join(format!("{vault}.key"))
    }
}
