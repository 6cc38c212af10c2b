//! `holdfast vault add`: makes a vault that exists known to this machine, by its recovery key.

use std::path::{Path, PathBuf};

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::manifest::Manifest;
use holdfast_vault::RootKey;

use super::location::Location;
use crate::error::Error;
use crate::home::private;
use crate::interrupt;
use crate::output::amount::counted;
use crate::session::Session;
use crate::vaults::{self, OpenVault};

/// Makes a vault known.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name by which this machine will know it
    name: String,

    #[command(flatten)]
    location: Location,

    /// File with the recovery key; `-` is standard input
    #[arg(long, value_name = "FILE")]
    recovery_key: PathBuf,
}

impl Add {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let manifest = self.location.manifest(session, &self.name)?;
        let key = read(&self.recovery_key)?;
        let connection = vaults::connect(&manifest)?;
        let (id, applications) = interrupt::query(async || {
            let opened = OpenVault::open(manifest.clone(), connection, key.clone()).await?;
            let applications = opened.applications().await?;
            Ok((opened.vault.id().to_owned(), applications.iter().filter(|a| !a.removed).count()))
        })?;
        session.home.put_key(&self.name, &key)?;
        session.home.put(&Manifest::Vault(manifest))?;
        session.output.raw(format!("vault/{} added\n", self.name).as_bytes())?;
        session.note(&format!("vault {id} holds {}", counted(applications as u64, "application")));
        Ok(Outcome::Completed)
    }
}

/// Reads a recovery key: the lines that are no comments.
fn read(path: &Path) -> anyhow::Result<RootKey> {
    let text = match path.as_os_str() == "-" {
        true => private::read_bounded(std::io::stdin().lock())
            .map_err(|error| Error::file("read", path, error))?,
        false => private::read(path)?,
    };
    let key: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    RootKey::parse(&key).map_err(|error| anyhow::Error::new(error).context(format!("`{}`", path.display())))
}
