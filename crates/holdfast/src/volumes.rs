//! From what a user calls a volume of a point to the volume as it lies in the vault.

use std::str::FromStr;

use holdfast_model::point::{Point, VolumeCapture};
use holdfast_protect::point::{self, OpenPoint};
use holdfast_vault::{Error as VaultError, Node, Snapshot, SnapshotId};
use holdfast_volume::files::StoredVolume;

use crate::error::Error;
use crate::points::{Chosen, PointRef};
use crate::session::Session;

/// A claim as the user names it: `NAMESPACE/CLAIM`, or `CLAIM` where only one of the point is called so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimRef {
    namespace: Option<String>,
    claim: String,
}

impl FromStr for ClaimRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (namespace, claim) = match text.split_once('/') {
            Some((namespace, claim)) => (Some(namespace), claim),
            None => (None, text),
        };
        if claim.is_empty() || namespace == Some("") {
            return Err("use NAMESPACE/CLAIM".to_owned());
        }
        Ok(Self { namespace: namespace.map(str::to_owned), claim: claim.to_owned() })
    }
}

impl ClaimRef {
    /// Namespace and name, where the namespace was given.
    ///
    /// # Errors
    /// It was not.
    pub(crate) fn full(&self) -> Result<(String, String), Error> {
        match &self.namespace {
            Some(namespace) => Ok((namespace.clone(), self.claim.clone())),
            None => Err(Error::Usage {
                what: format!("`{}` does not say which namespace", self.claim),
                hint: "use NAMESPACE/CLAIM",
            }),
        }
    }

    /// The claim's volume in a point.
    ///
    /// # Errors
    /// The point does not hold it, or several of that name.
    pub(crate) fn find<'p>(&self, point: &'p Point) -> Result<&'p VolumeCapture, Error> {
        let is_meant = |volume: &&VolumeCapture| {
            volume.claim == self.claim && self.namespace.as_ref().is_none_or(|of| *of == volume.namespace)
        };
        let found: Vec<&VolumeCapture> = point.volumes.iter().filter(is_meant).collect();
        match *found {
            [only] => Ok(only),
            [] => Err(Error::Unknown {
                what: "volume",
                name: self.to_string(),
                known: point.volumes.iter().map(name).collect(),
                hint: "`holdfast point show POINT` says why a volume is not in it",
            }),
            _ => Err(Error::Ambiguous {
                what: format!("there are several volumes `{}`", self.claim),
                candidates: found.into_iter().map(name).collect(),
                hint: "use NAMESPACE/CLAIM",
            }),
        }
    }
}

impl std::fmt::Display for ClaimRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.claim),
            None => f.write_str(&self.claim),
        }
    }
}

/// `namespace/claim` of a volume in a point.
pub(crate) fn name(volume: &VolumeCapture) -> String {
    format!("{}/{}", volume.namespace, volume.claim)
}

/// A volume of files in the vault.
pub(crate) struct OpenVolume {
    /// The point that holds it, and where that lies.
    pub(crate) chosen: Chosen,
    /// The point, with a reader.
    pub(crate) open: OpenPoint,
    /// What the point says of it.
    pub(crate) capture: VolumeCapture,
    /// Its snapshot.
    pub(crate) snapshot: Snapshot,
    /// It itself.
    pub(crate) stored: StoredVolume,
}

impl Session {
    /// Opens a volume of a point.
    ///
    /// # Errors
    /// The point does not hold it, or it has no files.
    pub(crate) async fn open_volume(
        &self,
        wanted: &PointRef,
        claim: &ClaimRef,
    ) -> anyhow::Result<OpenVolume> {
        let chosen = self.find_point(wanted).await?;
        let open = point::open(&chosen.repository, &chosen.summary).await?;
        let capture = claim.find(&open.point)?.clone();
        let id: SnapshotId = capture.snapshot.parse().map_err(|error| Error::Unreadable {
            place: format!("point {}", open.point.id),
            reason: format!("snapshot of volume {}: {error}", name(&capture)),
        })?;
        let snapshot = chosen.repository.snapshot(&id).await?;
        let stored = StoredVolume::of(&open.reader, &snapshot.tree)
            .await
            .map_err(|error| anyhow::Error::new(error).context(format!("volume {}", name(&capture))))?;
        Ok(OpenVolume { chosen, open, capture, snapshot, stored })
    }
}

impl OpenVolume {
    /// The entry at exactly this path below the volume's root; the root itself for an empty one.
    ///
    /// # Errors
    /// A directory on the way cannot be read.
    pub(crate) async fn entry(&self, path: &[u8]) -> Result<Option<Node>, VaultError> {
        match path.iter().all(|&byte| byte == b'/') {
            true => Ok(Some(self.stored.node.clone())),
            false => self.open.reader.lookup(&self.stored.tree, path).await,
        }
    }

    /// The error of a path that is not there: it names the first part that is missing.
    ///
    /// # Errors
    /// A directory on the way cannot be read.
    pub(crate) async fn missing(&self, path: &[u8]) -> Result<Error, VaultError> {
        let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        let mut missing = shown(path);
        for end in 1..names.len() {
            let above = names[..end].join(&b'/');
            if self.entry(&above).await?.is_none_or(|node| node.subtree.is_none()) {
                missing = format!("{}, because there is no directory `/{}`", shown(path), shown(&above));
                break;
            }
        }
        let hint = "`holdfast files ls POINT CLAIM` lists what there is";
        Ok(Error::Missing { what: format!("{missing} in volume {}", name(&self.capture)), hint })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_may_go_without_its_namespace() {
        let named = |namespace: Option<&str>, claim: &str| ClaimRef {
            namespace: namespace.map(str::to_owned),
            claim: claim.into(),
        };
        assert_eq!("shop/data".parse(), Ok(named(Some("shop"), "data")));
        assert_eq!("data".parse(), Ok(named(None, "data")));
        assert!(named(None, "data").full().is_err() && named(Some("shop"), "data").full().is_ok());
        for wrong in ["", "/data", "shop/"] {
            assert!(wrong.parse::<ClaimRef>().is_err(), "{wrong}");
        }
    }
}
