//! The volume in a snapshot: its own directory, its entries, and what its capture met.

use holdfast_vault::{BlobId, BlobKind, Node, Reader, Tree};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Findings, REPORT_FILE, VOLUME_DIR};
use crate::error::{Error, Result};

/// A volume of files as it lies in the vault.
#[derive(Debug, Clone)]
pub struct StoredVolume {
    /// The volume's own directory.
    pub node: Node,
    /// Its entries.
    pub tree: BlobId,
    /// What the capture met; nothing in a snapshot of another program's. If it cannot be read, why.
    pub findings: std::result::Result<Findings, String>,
}

/// What is needed of the report beside the volume.
#[derive(Deserialize)]
struct Report {
    #[serde(default)]
    findings: Findings,
    /// Told of block devices alone.
    #[serde(default)]
    blocks: Option<IgnoredAny>,
}

impl StoredVolume {
    /// The volume in the snapshot whose root tree is `root`.
    ///
    /// # Errors
    /// [`Error::NoVolume`], [`Error::NoFiles`], [`Error::Vault`] for a root that cannot be read
    pub async fn of(reader: &Reader, root: &BlobId) -> Result<Self> {
        let none = |reason: &str| Error::NoVolume { snapshot: root.short(), reason: reason.to_owned() };
        let entries = reader.tree(root).await?;
        let node =
            entries.get(VOLUME_DIR.as_bytes()).ok_or_else(|| none("its root has no directory `volume`"))?;
        let tree = node.subtree.ok_or_else(|| none("`volume` is not a directory"))?;
        let findings = match report(reader, &entries).await {
            Ok(Some(Report { blocks: Some(_), .. })) => {
                return Err(Error::NoFiles { snapshot: root.short() });
            }
            Ok(report) => Ok(report.map(|report| report.findings).unwrap_or_default()),
            Err(reason) => Err(reason),
        };
        Ok(Self { node: node.clone(), tree, findings })
    }
}

async fn report(reader: &Reader, root: &Tree) -> std::result::Result<Option<Report>, String> {
    let Some(node) = root.get(REPORT_FILE.as_bytes()) else { return Ok(None) };
    let mut text = Vec::new();
    for blob in node.blobs() {
        let piece = reader.blob(BlobKind::Data, blob).await.map_err(|error| error.to_string())?;
        text.extend_from_slice(&piece);
    }
    serde_json::from_slice(&text).map(Some).map_err(|error| error.to_string())
}
