//! What of a point is restored and how, as it is given on the command line.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use holdfast_model::restore::{Layer, Modifier, Modifiers, Policies, Selection, Terms};

use super::mapping::MappingArgs;
use crate::error::Error;
use crate::yaml;

/// What is restored, under which names, and what it may do to what is there.
#[derive(Debug, Args)]
pub(super) struct TermsArgs {
    #[command(flatten)]
    names: MappingArgs,

    #[command(flatten)]
    modifiers: ModifierArgs,

    /// What to do about objects that are there and differ: none (leave and name them), merge (apply what the point has, and force nothing), replace (make them as in the point), recreate (the same; where the server takes no update, delete and create them anew, never data, after a point of what is there was made), prune (the same, and delete what the point does not have, never data); KIND=WHAT or KIND:LABELS=WHAT for some, the last that matches decides
    #[arg(long, value_name = "[KIND[:LABELS]=]WHAT")]
    existing: Vec<String>,

    /// Write objects that give power over the cluster or its nodes, too: bindings of roles, webhooks, privileged pods
    #[arg(long)]
    allow_privileged: bool,

    /// Do not run the hooks that the application has for restores
    #[arg(long)]
    no_hooks: bool,

    #[command(flatten)]
    selection: SelectionArgs,
}

/// Which objects of a point.
#[derive(Debug, Args)]
pub(super) struct SelectionArgs {
    /// Only these namespaces of the point, globs allowed; a leading ! leaves out
    #[arg(long, value_name = "NAMESPACE", value_delimiter = ',', help_heading = SELECTION)]
    namespaces: Vec<String>,

    /// Only these kinds: secrets, Deployment, deployments.apps, *.istio.io; a leading ! leaves out
    #[arg(long, value_name = "KIND", value_delimiter = ',', help_heading = SELECTION)]
    kinds: Vec<String>,

    /// Only objects with these labels, as kubectl has it
    #[arg(short = 'l', long, value_name = "LABELS", default_value = "", hide_default_value = true, help_heading = SELECTION)]
    selector: String,

    /// Only objects of which this CEL expression is true: object.spec.replicas > 1
    #[arg(long = "where", value_name = "EXPRESSION", default_value = "", hide_default_value = true, help_heading = SELECTION)]
    condition: String,

    /// Only this object, globs allowed; may be given several times
    #[arg(long, value_name = "KIND/[NAMESPACE/]NAME", help_heading = SELECTION)]
    only: Vec<String>,

    /// Objects of namespaces, of the cluster (definitions, cluster roles, classes), or both
    #[arg(long, value_enum, default_value_t, value_name = "WHICH", help_heading = SELECTION)]
    layer: Which,
}

const SELECTION: &str = "A part of the point";

/// [`Layer`] on the command line.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum Which {
    #[default]
    Both,
    Namespaced,
    Cluster,
}

impl TermsArgs {
    pub(super) fn terms(&self) -> anyhow::Result<Terms> {
        let selection = self.selection.selection()?;
        let existing = Policies::parse(&self.existing).map_err(usage)?;
        let mapping = self.names.mapping()?;
        let modifiers = self.modifiers.modifiers()?;
        let (allow_privileged, no_hooks) = (self.allow_privileged, self.no_hooks);
        Ok(Terms { selection, mapping, modifiers, existing, allow_privileged, no_hooks })
    }
}

/// Other changes to objects.
#[derive(Debug, Args)]
pub(super) struct ModifierArgs {
    /// Change objects as the modifiers of this file say: a YAML list of `select` with `patch` (RFC 6902) or `merge` (RFC 7386); may be given several times
    #[arg(long, value_name = "FILE")]
    modify: Vec<PathBuf>,
}

impl ModifierArgs {
    pub(super) fn modifiers(&self) -> anyhow::Result<Vec<Modifier>> {
        let mut all: Vec<Modifier> = Vec::new();
        for path in &self.modify {
            let text = std::fs::read_to_string(path).map_err(|error| Error::file("read", path, error))?;
            all.extend(yaml::parse::<Vec<Modifier>>(&path.display().to_string(), &text)?);
        }
        Modifiers::new(&all).map_err(usage)?;
        Ok(all)
    }
}

impl SelectionArgs {
    pub(super) fn selection(&self) -> anyhow::Result<Selection> {
        let selection = Selection {
            namespaces: self.namespaces.clone(),
            kinds: self.kinds.clone(),
            labels: self.selector.clone(),
            condition: self.condition.clone(),
            objects: self.only.clone(),
            layer: match self.layer {
                Which::Both => Layer::Both,
                Which::Namespaced => Layer::Namespaced,
                Which::Cluster => Layer::Cluster,
            },
        };
        selection.chooser().map_err(usage)?;
        Ok(selection)
    }
}

fn usage(invalid: impl std::fmt::Display) -> Error {
    Error::Usage { what: invalid.to_string(), hint: "see --help of the command" }
}
