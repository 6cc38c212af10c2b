//! `holdfast rbac`: the least rights that a backup or a restore needs, as manifests to be applied.

use clap::{Args, ValueEnum};
use holdfast_model::Outcome;
use holdfast_protect::rbac::{Purpose, Reach, manifests};
use serde_json::json;

use crate::output::Format;
use crate::session::Session;
use crate::yaml;

/// Prints roles.
#[derive(Debug, Args)]
pub(crate) struct Rbac {
    /// What the rights are for
    #[arg(value_enum, default_value_t)]
    purpose: For,

    /// Only for applications in this namespace; may be given several times [default: all namespaces]
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Vec<String>,
}

/// [`Purpose`] on the command line.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum For {
    /// Backups, and sweeping up after them
    #[default]
    Backup,
    /// Restores, and sweeping up after them
    Restore,
}

impl Rbac {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let purpose = match self.purpose {
            For::Backup => Purpose::Backup,
            For::Restore => Purpose::Restore,
        };
        let reach = match self.namespace.is_empty() {
            true => Reach::Cluster,
            false => Reach::Namespaces(self.namespace),
        };
        let manifests = manifests(purpose, &reach);
        let text = match session.output.format() {
            Format::Json => {
                let list = json!({"apiVersion": "v1", "kind": "List", "items": manifests});
                format!("{}\n", serde_json::to_string_pretty(&list)?)
            }
            _ => manifests.iter().map(yaml::to_string).collect::<anyhow::Result<Vec<_>>>()?.join("---\n"),
        };
        session.output.raw(text.as_bytes())?;
        Ok(Outcome::Completed)
    }
}
