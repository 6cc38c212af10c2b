//! `holdfast apply`: declares what the manifests of a file say.
//!
//! Sites, clusters, vaults and policies go to the home; an application goes to the catalogue of
//! its vault, where every machine with that vault's key sees it.

use std::path::PathBuf;

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::manifest::{ApplicationSpec, Document, Manifest};
use serde::Serialize;

use crate::catalogue::Application;
use crate::error::Error;
use crate::home::private;
use crate::session::Session;
use crate::vaults::OpenVault;
use crate::{edge, interrupt, yaml};

/// Declares manifests.
#[derive(Debug, Args)]
pub(crate) struct Apply {
    /// YAML or JSON file with one or more manifests; `-` is standard input
    #[arg(short, long, value_name = "FILE")]
    file: PathBuf,
}

/// What became of one manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Verdict {
    /// It is new.
    Created,
    /// It replaced another.
    Configured,
    /// It was declared just so.
    Unchanged,
}

#[derive(Serialize)]
struct Applied {
    kind: &'static str,
    name: String,
    verdict: Verdict,
}

impl Apply {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let manifests = read(&self.file)?;
        let mut applied = Vec::new();
        // Vaults come before the applications that name them, wherever they stand in the file.
        let (applications, others): (Vec<_>, Vec<_>) =
            manifests.into_iter().partition(|manifest| matches!(manifest, Manifest::Application(_)));
        for manifest in &others {
            let known = crate::home::manifests::Kind::of(manifest)
                .is_some_and(|kind| session.home.has(kind, manifest.name()));
            let verdict = match (session.home.put(manifest)?, known) {
                (false, _) => Verdict::Unchanged,
                (true, true) => Verdict::Configured,
                (true, false) => Verdict::Created,
            };
            applied.push(Applied { kind: manifest.kind(), name: manifest.name().to_owned(), verdict });
        }
        for manifest in applications {
            if let Manifest::Application(document) = manifest {
                let name = document.metadata.name.clone();
                let verdict = interrupt::query(async || declare(session, document, Existing::Replace).await)?;
                applied.push(Applied { kind: "Application", name, verdict });
            }
        }
        session.output.show(&applied, |_| {
            let word = |v| match v {
                Verdict::Created => "created",
                Verdict::Configured => "configured",
                Verdict::Unchanged => "unchanged",
            };
            applied
                .iter()
                .map(|a| format!("{}/{} {}\n", a.kind.to_lowercase(), a.name, word(a.verdict)))
                .collect()
        })?;
        Ok(Outcome::Completed)
    }
}

/// Reads the manifests of a file, or of standard input if it is `-`.
pub(crate) fn read(file: &std::path::Path) -> anyhow::Result<Vec<Manifest>> {
    let place =
        if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() };
    let text = match file.as_os_str() == "-" {
        true => private::read_bounded(std::io::stdin().lock())
            .map_err(|error| Error::file("read", file, error))?,
        false => private::read(file)?,
    };
    let manifests = yaml::manifests(&place, &text)?;
    if manifests.is_empty() {
        return Err(Error::Unreadable { place, reason: "there is no manifest in it".to_owned() }.into());
    }
    Ok(manifests)
}

/// What to do if there is an application of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Existing {
    /// Give it the new manifest.
    Replace,
    /// Refuse.
    Refuse,
}

/// Writes an application's manifest to the catalogue of its vault.
///
/// # Errors
/// If the vault is not clear, or the name is taken and that is not wanted.
pub(crate) async fn declare(
    session: &Session,
    document: Document<ApplicationSpec>,
    existing: Existing,
) -> anyhow::Result<Verdict> {
    let vault = vault_of(session, &document).await?;
    let Document { metadata, spec, .. } = document;
    let known = vault.applications().await?.into_iter().find(|a| a.name == metadata.name && !a.removed);
    match known {
        None => {
            let id = holdfast_model::AppId::from_random(edge::random()?);
            let epoch = holdfast_model::Epoch::default();
            let application = Application { id, name: metadata.name, spec, epoch, removed: false };
            vault.put_application(&application).await?;
            Ok(Verdict::Created)
        }
        Some(known) if known.spec == spec && existing == Existing::Replace => Ok(Verdict::Unchanged),
        Some(known) if existing == Existing::Replace => {
            vault.put_application(&Application { spec, ..known }).await?;
            Ok(Verdict::Configured)
        }
        Some(_) => {
            let hint = "change it with `holdfast apply -f FILE`, or choose another name";
            Err(Error::NameTaken { what: "application", name: metadata.name, hint }.into())
        }
    }
}

/// The command line says which vault, or else the manifest, or else there is only one.
async fn vault_of(session: &Session, document: &Document<ApplicationSpec>) -> anyhow::Result<OpenVault> {
    let name = match (&session.vault, &document.spec.vault) {
        (Some(named), Some(declared)) if named != declared => {
            let what = format!("the manifest says vault `{declared}` and the command line `{named}`");
            return Err(Error::Usage { what, hint: "leave out one of the two" }.into());
        }
        (Some(name), _) | (None, Some(name)) => name.clone(),
        (None, None) => session.only_vault()?,
    };
    session.open_vault(&name).await
}
