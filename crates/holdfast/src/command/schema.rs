//! `holdfast schema`: the JSON Schema of each kind of manifest, for editors and for admission.

use clap::{Args, ValueEnum};
use holdfast_model::Outcome;
use holdfast_model::manifest::schemas;

use crate::output::Format;
use crate::session::Session;
use crate::yaml;

/// The kinds of manifests.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Site,
    Cluster,
    Vault,
    Application,
    Policy,
}

/// Prints a schema.
#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Kind of manifest
    #[arg(ignore_case = true)]
    kind: Kind,
}

impl Schema {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let wanted = match self.kind {
            Kind::Site => "site",
            Kind::Cluster => "cluster",
            Kind::Vault => "vault",
            Kind::Application => "application",
            Kind::Policy => "policy",
        };
        for (name, schema) in schemas() {
            if name == wanted {
                let text = match session.output.format() {
                    Format::Yaml => yaml::to_string(&schema)?,
                    _ => format!("{}\n", serde_json::to_string_pretty(&schema)?),
                };
                session.output.raw(text.as_bytes())?;
            }
        }
        Ok(Outcome::Completed)
    }
}
