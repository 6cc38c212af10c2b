//! `holdfast app`: applications in the catalogues of vaults.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use holdfast_model::Outcome;
use holdfast_model::manifest::{ApplicationSpec, Document, Manifest};
use holdfast_model::scope::Scope;

use crate::catalogue::Application;
use crate::command::apply::{self, Existing};
use crate::error::Error;
use crate::interrupt;
use crate::session::Session;

mod list;
mod show;

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Declare an application: namespaces to protect, or a manifest
    Add(Add),
    /// List the applications of all vaults
    List,
    /// Show what an application consists of
    Show(Named),
    /// Forget an application; its recovery points are kept
    Remove(Named),
}

/// Declares an application.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Name; may be left out with --file
    #[arg(required_unless_present = "file")]
    name: Option<String>,

    /// Namespace to protect, or a glob; may be given several times, `!NAME` leaves out
    #[arg(short, long, value_name = "NAMESPACE", required_unless_present = "file")]
    namespace: Vec<String>,

    /// Kinds of objects to protect, e.g. `deployments.apps`; all if left out
    #[arg(long, value_name = "KIND", conflicts_with = "file")]
    kind: Vec<String>,

    /// Label selector of the objects to protect
    #[arg(short = 'l', long, value_name = "SELECTOR", conflicts_with = "file")]
    selector: Option<String>,

    /// Policy to follow
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    policy: Option<String>,

    /// Manifest with kind Application; `-` is standard input
    #[arg(short, long, value_name = "FILE", conflicts_with = "namespace")]
    file: Option<PathBuf>,
}

/// One application.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// Name or id of the application
    #[arg(value_name = "APP")]
    app: String,
}

impl Command {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        match self {
            Command::Add(add) => add.run(session),
            Command::List => list::run(session),
            Command::Show(named) => show::run(session, &named.app),
            Command::Remove(named) => remove(session, &named.app),
        }
    }
}

impl Add {
    fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let document = self.document(session)?;
        Manifest::Application(document.clone()).validate()?;
        let name = document.metadata.name.clone();
        interrupt::query(async || apply::declare(session, document, Existing::Refuse).await)?;
        session.output.raw(format!("application/{name} created\n").as_bytes())?;
        Ok(Outcome::Completed)
    }

    fn document(self, session: &Session) -> anyhow::Result<Document<ApplicationSpec>> {
        let name = self.name.unwrap_or_default();
        let Some(file) = self.file else {
            let scope = Scope {
                namespaces: self.namespace,
                kinds: self.kind,
                labels: self.selector.unwrap_or_default(),
                ..Scope::default()
            };
            let cluster = session.context.clone();
            let spec = ApplicationSpec { scope, cluster, policy: self.policy, ..ApplicationSpec::default() };
            return Ok(Document::new(name, spec));
        };
        let mut manifests = apply::read(&file)?;
        match (manifests.pop(), manifests.is_empty()) {
            (Some(Manifest::Application(document)), true)
                if name.is_empty() || document.metadata.name == name =>
            {
                Ok(document)
            }
            _ => {
                let what = format!("`{}` does not hold exactly that one application", file.display());
                Err(Error::Usage { what, hint: "use `holdfast apply -f FILE` for several manifests" }.into())
            }
        }
    }
}

fn remove(session: &Session, name: &str) -> anyhow::Result<Outcome> {
    let application = interrupt::query(async || {
        let found = session.find_application(name).await?;
        if !found.application.removed {
            let gone = Application { removed: true, ..found.application.clone() };
            found.vault.put_application(&gone).await?;
        }
        Ok(found.application)
    })?;
    let (name, id) = (&application.name, &application.id);
    session.output.raw(format!("application/{name} removed\n").as_bytes())?;
    session.note(&format!("its recovery points are kept and found by its id: holdfast points {id}"));
    Ok(Outcome::Completed)
}
