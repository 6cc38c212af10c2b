//! Manifests in the home: one YAML file each, in a directory per kind.

use std::path::PathBuf;

use holdfast_model::id::is_dns_label;
use holdfast_model::manifest::{ClusterSpec, Document, Manifest, PolicySpec, VaultSpec};

use super::{Home, private};
use crate::error::{Error, Result};
use crate::yaml;

/// Kinds that live in the home. Applications do not: they live in their vault's catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A centre.
    Site,
    /// A cluster.
    Cluster,
    /// A vault.
    Vault,
    /// A policy.
    Policy,
}

impl Kind {
    fn directory(self) -> &'static str {
        match self {
            Kind::Site => "sites",
            Kind::Cluster => "clusters",
            Kind::Vault => "vaults",
            Kind::Policy => "policies",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Kind::Site => "site",
            Kind::Cluster => "cluster",
            Kind::Vault => "vault",
            Kind::Policy => "policy",
        }
    }

    fn hint(self) -> &'static str {
        match self {
            Kind::Vault => {
                "make one with `holdfast vault init`, or add an existing one with `holdfast vault add`"
            }
            _ => "declare it in a manifest and `holdfast apply -f FILE`",
        }
    }

    /// The kind of a manifest; none for an application.
    pub(crate) fn of(manifest: &Manifest) -> Option<Self> {
        match manifest {
            Manifest::Site(_) => Some(Kind::Site),
            Manifest::Cluster(_) => Some(Kind::Cluster),
            Manifest::Vault(_) => Some(Kind::Vault),
            Manifest::Policy(_) => Some(Kind::Policy),
            Manifest::Application(_) => None,
        }
    }
}

impl Home {
    /// Names of all manifests of a kind, sorted.
    pub(crate) fn names(&self, kind: Kind) -> Result<Vec<String>> {
        let directory = self.directory(kind.directory());
        let entries = match std::fs::read_dir(&directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("list", directory, error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            let name = entry.map_err(|error| Error::file("list", &directory, error))?.file_name();
            let name = name.to_str().and_then(|name| name.strip_suffix(".yaml"));
            names.extend(name.filter(|name| is_dns_label(name)).map(str::to_owned));
        }
        names.sort();
        Ok(names)
    }

    /// Whether there is such a manifest.
    pub(crate) fn has(&self, kind: Kind, name: &str) -> bool {
        is_dns_label(name) && self.manifest_path(kind, name).is_file()
    }

    /// Writes a manifest; `false` if it was there already, just so.
    ///
    /// # Errors
    /// If it is an application, which no home keeps, or cannot be written.
    pub(crate) fn put(&self, manifest: &Manifest) -> anyhow::Result<bool> {
        let Some(kind) = Kind::of(manifest) else {
            anyhow::bail!("application `{}` belongs in a vault's catalogue", manifest.name());
        };
        manifest.validate()?;
        if self.has(kind, manifest.name()) && self.read(kind, manifest.name())? == *manifest {
            return Ok(false);
        }
        let text = yaml::to_string(manifest)?;
        private::replace(&self.manifest_path(kind, manifest.name()), text.as_bytes())?;
        Ok(true)
    }

    /// The manifest of a vault.
    pub(crate) fn vault(&self, name: &str) -> Result<Document<VaultSpec>> {
        match self.read(Kind::Vault, name)? {
            Manifest::Vault(document) => Ok(document),
            other => Err(self.misplaced(Kind::Vault, name, &other)),
        }
    }

    /// The manifest of a policy.
    pub(crate) fn policy(&self, name: &str) -> Result<Document<PolicySpec>> {
        match self.read(Kind::Policy, name)? {
            Manifest::Policy(document) => Ok(document),
            other => Err(self.misplaced(Kind::Policy, name, &other)),
        }
    }

    /// The manifest of a cluster.
    pub(crate) fn cluster(&self, name: &str) -> Result<Document<ClusterSpec>> {
        match self.read(Kind::Cluster, name)? {
            Manifest::Cluster(document) => Ok(document),
            other => Err(self.misplaced(Kind::Cluster, name, &other)),
        }
    }

    fn read(&self, kind: Kind, name: &str) -> Result<Manifest> {
        if !self.has(kind, name) {
            let known = self.names(kind)?;
            return Err(Error::Unknown {
                what: kind.word(),
                name: name.to_owned(),
                known,
                hint: kind.hint(),
            });
        }
        let path = self.manifest_path(kind, name);
        let place = path.display().to_string();
        let mut found = yaml::manifests(&place, &private::read(&path)?)?;
        match (found.pop(), found.is_empty()) {
            (Some(manifest), true) if manifest.name() == name => Ok(manifest),
            _ => Err(Error::Unreadable {
                place,
                reason: format!("one manifest named `{name}` is expected in it"),
            }),
        }
    }

    fn misplaced(&self, kind: Kind, name: &str, found: &Manifest) -> Error {
        let place = self.manifest_path(kind, name).display().to_string();
        Error::Unreadable { place, reason: format!("it holds a {}, not a {}", found.kind(), kind.word()) }
    }

    fn manifest_path(&self, kind: Kind, name: &str) -> PathBuf {
        self.directory(kind.directory()).join(format!("{name}.yaml"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> (tempfile::TempDir, Home) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::locate(Some(dir.path().to_path_buf())).unwrap();
        (dir, home)
    }

    fn vault(name: &str) -> Manifest {
        Manifest::Vault(Document::new(name, VaultSpec { url: "file:///srv".into(), ..VaultSpec::default() }))
    }

    #[test]
    fn what_is_put_is_read_back_and_putting_it_again_changes_nothing() {
        let (_dir, home) = home();
        assert!(home.put(&vault("v")).unwrap());
        assert!(!home.put(&vault("v")).unwrap());
        assert_eq!(home.vault("v").unwrap().spec.url, "file:///srv");
        assert_eq!(home.names(Kind::Vault).unwrap(), ["v"]);
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let (_dir, home) = home();
        home.put(&vault("tokyo")).unwrap();
        home.put(&vault("osaka")).unwrap();
        let error = home.vault("kyoto").unwrap_err();
        assert_eq!(error.to_string(), "there is no vault `kyoto`; there is: osaka, tokyo");
        assert_eq!(home.vault("../x").unwrap_err().code(), "cli.unknown");
    }

    #[test]
    fn a_file_that_holds_something_else_is_refused() {
        let (_dir, home) = home();
        home.put(&vault("v")).unwrap();
        let path = home.manifest_path(Kind::Vault, "v");
        std::fs::copy(&path, home.manifest_path(Kind::Vault, "w")).unwrap();
        assert!(home.vault("w").unwrap_err().to_string().contains("named `w` is expected"));
    }
}
