//! A file or directory within a captured volume.

use std::str::FromStr;

use holdfast_model::point::VolumeCapture;
use holdfast_protect::point::OpenPoint;
use holdfast_vault::{BlobId, Node, Repository, SnapshotId};

use crate::error::Error;

/// A claim as the user names it: `NAMESPACE/CLAIM`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClaimRef {
    namespace: String,
    claim: String,
}

impl FromStr for ClaimRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some((namespace, claim)) if !namespace.is_empty() && !claim.is_empty() => {
                Ok(Self { namespace: namespace.to_owned(), claim: claim.to_owned() })
            }
            _ => Err("use NAMESPACE/CLAIM".to_owned()),
        }
    }
}

impl ClaimRef {
    /// Root directory of the volume in the point.
    ///
    /// # Errors
    /// If the point does not hold that volume.
    pub(super) async fn root(&self, repository: &Repository, open: &OpenPoint) -> anyhow::Result<BlobId> {
        let name = |volume: &VolumeCapture| format!("{}/{}", volume.namespace, volume.claim);
        let volumes = &open.point.volumes;
        let wanted = format!("{}/{}", self.namespace, self.claim);
        let Some(volume) = volumes.iter().find(|volume| name(volume) == wanted) else {
            let hint = "`holdfast point show POINT` says why a volume is not in it";
            let known = volumes.iter().map(name).collect();
            return Err(Error::Unknown { what: "volume", name: wanted, known, hint }.into());
        };
        let snapshot: SnapshotId = volume.snapshot.parse().map_err(|error| Error::Unreadable {
            place: format!("point {}", open.point.id),
            reason: format!("snapshot of volume {wanted}: {error}"),
        })?;
        Ok(repository.snapshot(&snapshot).await?.tree)
    }
}

/// The node at a path below a volume's root; none for the root itself.
///
/// # Errors
/// If there is nothing at the path.
pub(super) async fn node(open: &OpenPoint, root: &BlobId, path: &str) -> anyhow::Result<Option<Node>> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Ok(None);
    }
    match open.reader.lookup(root, path).await? {
        Some(node) => Ok(Some(node)),
        None => {
            let hint = "`holdfast point ls POINT --claim NAMESPACE/CLAIM DIRECTORY` lists what there is";
            Err(Error::Unknown { what: "file", name: path.to_owned(), known: Vec::new(), hint }.into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_has_a_namespace() {
        assert_eq!("shop/data".parse(), Ok(ClaimRef { namespace: "shop".into(), claim: "data".into() }));
        for wrong in ["data", "/data", "shop/"] {
            assert!(wrong.parse::<ClaimRef>().is_err(), "{wrong}");
        }
    }
}
