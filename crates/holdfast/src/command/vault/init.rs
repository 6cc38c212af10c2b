//! `holdfast vault init`: makes a vault, its key, and insists that the key is escrowed.

use std::path::{Path, PathBuf};

use clap::Args;
use holdfast_model::manifest::{Document, Manifest, VaultSpec};
use holdfast_model::{Outcome, TenantId};
use holdfast_vault::{Error as VaultError, Features, RootKey, Store, Vault, VaultInit};
use serde::Serialize;

use super::location::Location;
use crate::error::Error;
use crate::home::private;
use crate::output::{Details, View};
use crate::session::Session;
use crate::{edge, interrupt, vaults};

/// Makes a vault.
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// Name by which this machine will know it
    name: String,

    #[command(flatten)]
    location: Location,

    /// New file for the recovery key; keep it where it survives the loss of this machine
    #[arg(long, value_name = "FILE")]
    recovery_key: PathBuf,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    name: String,
    id: String,
    url: String,
    features: Features,
    verdict: Vec<String>,
    recovery_key: PathBuf,
}

impl Init {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let manifest = self.location.manifest(session, &self.name)?;
        let recovery = outside_home(session, &self.recovery_key)?;
        let store = vaults::connect(&manifest)?.store;
        let key = RootKey::from_random(edge::random()?);
        // The key is escrowed before there is anything that only it can open.
        private::create(&recovery, recovery_file(&manifest, &key).as_bytes())?;
        let vault = interrupt::query(async || make(store).await);
        let vault = vault.inspect_err(|_| discard(&recovery))?;
        if let Some(error) = interrupt::query(async || Ok(create_tenant(&vault, &key).await.err()))? {
            if matches!(error.downcast_ref(), Some(Error::VaultExists { .. })) {
                discard(&recovery);
            }
            return Err(error);
        }
        let features = vault.features().clone();
        session.home.put_key(&self.name, &key)?;
        session.home.put(&Manifest::Vault(manifest.clone()))?;
        let made = Made {
            name: self.name,
            id: vault.id().to_owned(),
            url: manifest.spec.url,
            verdict: features.verdict(),
            features,
            recovery_key: recovery,
        };
        session.output.show(&made, |view| details(&made, view))?;
        Ok(Outcome::Completed)
    }
}

/// Makes the vault, or opens one whose making was interrupted before it had a key.
async fn make(store: Store) -> anyhow::Result<Vault> {
    let init = VaultInit { random: edge::random()?, now: edge::now() };
    match Vault::init(store.clone(), init).await {
        Ok((vault, _)) => Ok(vault),
        Err(VaultError::AlreadyExists { .. }) => Ok(Vault::open(store).await?),
        Err(error) => Err(error.into()),
    }
}

/// Puts the key in force. After any error but `VaultExists` it may be in force nevertheless.
async fn create_tenant(vault: &Vault, key: &RootKey) -> anyhow::Result<()> {
    match vault.create_tenant(&TenantId::default(), key.clone()).await {
        Ok(_) => Ok(()),
        Err(VaultError::AlreadyExists { path, .. }) => {
            let hint = "add it to this machine with `holdfast vault add NAME --recovery-key FILE`, or choose another prefix";
            Err(Error::VaultExists { path, hint }.into())
        }
        Err(error) => {
            let context =
                "the key may be in force already, so the recovery key is kept; try `holdfast vault add`";
            Err(anyhow::Error::new(error).context(context))
        }
    }
}

/// Removes a recovery key that opens nothing; that it could not be removed is no harm.
fn discard(recovery: &Path) {
    let _ = private::remove(recovery);
}

/// The recovery key must survive this machine, so it may not lie in the home.
fn outside_home(session: &Session, path: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| Error::file("locate", path, error))?;
    if session.home.contains(&path) {
        return Err(Error::RecoveryKeyInHome { home: session.home.root().to_path_buf() }.into());
    }
    Ok(path)
}

fn recovery_file(manifest: &Document<VaultSpec>, key: &RootKey) -> String {
    format!(
        "# Recovery key of the holdfast vault `{}` at {}\n\
         # Whoever has it can read every recovery point in that vault. Without it, none can be read.\n\
         {}\n",
        manifest.metadata.name,
        manifest.spec.url,
        key.recovery_text()
    )
}

fn details(made: &Made, view: &View) -> String {
    let mut details = Details::new();
    details.field("Vault", &made.name).field("Id", &made.id).field("Address", &made.url);
    details.section("What its storage can do");
    for sentence in &made.verdict {
        details.item(sentence);
    }
    details
        .section("Recovery key")
        .item(format!("written to {}", made.recovery_key.display()))
        .item("Escrow it now: keep it where it survives the loss of this machine, and of this site.")
        .item("Whoever has it can read every recovery point; without it, none can be read.")
        .section("Next")
        .item("holdfast app add NAME --namespace NAMESPACE");
    details.render(view)
}
