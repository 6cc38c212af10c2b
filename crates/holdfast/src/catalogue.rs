//! Applications in the sealed catalogues of vaults: whoever has a vault and its key sees them.

use futures::future::join_all;
use holdfast_model::manifest::{ApplicationSpec, Document};
use holdfast_model::{AppId, Epoch};
use holdfast_vault::Entry;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::session::Session;
use crate::vaults::OpenVault;

/// Kind of the catalogue's entries that describe applications.
const KIND: &str = "application";

/// What the catalogue says of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Application {
    /// Its generated identity: the name of its repository.
    pub(crate) id: AppId,
    /// Its name.
    pub(crate) name: String,
    /// Its manifest.
    pub(crate) spec: ApplicationSpec,
    /// Its current activation.
    #[serde(default)]
    pub(crate) epoch: Epoch,
    /// No longer protected; its points are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) removed: bool,
}

impl Application {
    /// The application as the manifest that declared it.
    pub(crate) fn manifest(&self) -> Document<ApplicationSpec> {
        Document::new(self.name.clone(), self.spec.clone())
    }

    fn read(vault: &str, entry: Entry) -> anyhow::Result<Self> {
        serde_json::from_value(entry.value).map_err(|error| {
            let place = format!("entry `{}` of the catalogue of vault `{vault}`", entry.id);
            Error::Unreadable { place, reason: error.to_string() }.into()
        })
    }
}

/// An application in one vault.
#[derive(Clone)]
pub(crate) struct Found {
    /// The vault that holds it.
    pub(crate) vault: OpenVault,
    /// What the catalogue says of it.
    pub(crate) application: Application,
}

impl OpenVault {
    /// All applications of the catalogue, by name; those that were removed too.
    pub(crate) async fn applications(&self) -> anyhow::Result<Vec<Application>> {
        let entries = self.tenant.entries(KIND).await?;
        let mut applications = entries
            .into_iter()
            .map(|entry| Application::read(self.name(), entry))
            .collect::<Result<Vec<_>, _>>()?;
        applications.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        Ok(applications)
    }

    /// Writes what the catalogue shall say of an application from now on.
    pub(crate) async fn put_application(&self, application: &Application) -> anyhow::Result<()> {
        let value = serde_json::to_value(application)?;
        self.tenant.put_entry(KIND, application.id.as_str(), &value).await?;
        Ok(())
    }
}

impl Session {
    /// Opens the vaults that the command works on, side by side. One that cannot be opened does not
    /// hide the others: recovery must work with one surviving vault. Each failure is told, and is an
    /// error if no vault is left.
    pub(crate) async fn open_vaults(&self) -> anyhow::Result<Vec<OpenVault>> {
        let names = self.vault_names()?;
        let mut opened = Vec::new();
        let mut failures = Vec::new();
        for result in join_all(names.iter().map(|name| self.open_vault(name))).await {
            match result {
                Ok(vault) => opened.push(vault),
                Err(error) => failures.push(error),
            }
        }
        match (opened.is_empty(), failures.pop()) {
            (true, Some(error)) => Err(error),
            (_, last) => {
                for error in failures.iter().chain(&last) {
                    self.warn(&format!("left out: {}", crate::failure::Failure::of(error)));
                }
                Ok(opened)
            }
        }
    }

    /// The applications of all those vaults.
    pub(crate) async fn applications(&self) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        for vault in self.open_vaults().await? {
            for application in vault.applications().await? {
                found.push(Found { vault: vault.clone(), application });
            }
        }
        Ok(found)
    }

    /// The application of that name or id.
    ///
    /// # Errors
    /// If there is none (the known names are listed), or several of that name.
    pub(crate) async fn find_application(&self, name: &str) -> anyhow::Result<Found> {
        choose(name, self.applications().await?)
    }
}

/// One that was removed is found by its id alone, or by its name if no other has that name now.
fn choose(name: &str, all: Vec<Found>) -> anyhow::Result<Found> {
    let matches = |found: &&Found| found.application.name == name || found.application.id.as_str() == name;
    let (gone, present): (Vec<_>, Vec<_>) =
        all.iter().filter(matches).partition(|found| found.application.removed);
    let candidates = if present.is_empty() { gone } else { present };
    match candidates.as_slice() {
        [one] => Ok(Found::clone(one)),
        [] => {
            let mut known: Vec<_> =
                all.iter().filter(|f| !f.application.removed).map(|f| f.application.name.clone()).collect();
            known.dedup();
            let hint = "declare it with `holdfast app add NAME --namespace NAMESPACE`";
            Err(Error::Unknown { what: "application", name: name.to_owned(), known, hint }.into())
        }
        several => {
            let place = |f: &&Found| format!("{} in vault {}", f.application.id, f.vault.name());
            let what = format!("there are several applications `{name}`");
            let candidates = several.iter().map(place).collect();
            let hint = "use the id in place of the name, or choose with --vault NAME";
            Err(Error::Ambiguous { what, candidates, hint }.into())
        }
    }
}
