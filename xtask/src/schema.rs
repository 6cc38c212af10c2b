//! The published JSON Schemas of the manifests, and of restore plans.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

use crate::workspace;

/// Writes one file each to `docs/schema`.
pub fn write() -> Result<()> {
    for (path, text) in files()? {
        if let Some(directory) = path.parent() {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails if a published schema is not what the types say.
pub fn check() -> Result<()> {
    for (path, text) in files()? {
        if std::fs::read_to_string(&path).unwrap_or_default() != text {
            bail!("{} is not current; run `cargo xtask schema` and commit it", path.display());
        }
    }
    Ok(())
}

fn files() -> Result<Vec<(PathBuf, String)>> {
    let directory = workspace::root().join("docs/schema");
    let manifests = holdfast_model::manifest::schemas().into_iter();
    let manifests = manifests.map(|(kind, schema)| (format!("{kind}.v1alpha1.json"), schema));
    let plan = ("restore-plan.v1.json".to_owned(), holdfast_model::restore::plan::schema());
    manifests
        .chain([plan])
        .map(|(name, schema)| Ok((directory.join(name), serde_json::to_string_pretty(&schema)? + "\n")))
        .collect()
}
