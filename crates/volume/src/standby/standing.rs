//! What stands by in a cluster, as it is written there.

use holdfast_cluster::{Cluster, ListOptions, kinds};
use holdfast_model::label::{APPLICATION, PART, SYSTEM_NAMESPACE};
use holdfast_model::{AppId, PointId, quantity};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::record;
use crate::error::Result;
use crate::manifest::part;

/// A claim that stands by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Standing {
    /// Name of the claim of ours, in `holdfast-system`.
    pub name: String,
    /// The application.
    pub application: AppId,
    /// The claim that it stands by for, `namespace/name` at this cluster.
    pub claim: String,
    /// What it holds whole; nothing while it is on its way.
    pub holds: Option<Holds>,
    /// The snapshot that it is being brought to.
    pub applying: Option<String>,
    /// Bytes of its volume.
    pub capacity: u64,
}

/// A whole snapshot on a standing claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Holds {
    /// The snapshot in the vault.
    pub snapshot: String,
    /// Its point.
    pub point: PointId,
    /// When the capture of that point started.
    pub started: Timestamp,
    /// When it was brought here.
    pub applied: Timestamp,
}

/// What stands by, of one application or of all, by claim.
///
/// # Errors
/// The claims cannot be listed.
pub async fn standing(cluster: &Cluster, application: Option<&AppId>) -> Result<Vec<Standing>> {
    let of = application.map(|id| format!(",{APPLICATION}={id}")).unwrap_or_default();
    let labels = Some(format!("{PART}={}{of}", part::STANDBY));
    let options = ListOptions { labels, ..ListOptions::in_namespace(SYSTEM_NAMESPACE) };
    let found = cluster.list_all(&kinds::persistent_volume_claims(), options).await?;
    let mut all: Vec<Standing> =
        found.iter().filter_map(|claim| Standing::of(&claim.parse().ok()?)).collect();
    all.sort_by(|a, b| (&a.application, &a.claim, &a.name).cmp(&(&b.application, &b.claim, &b.name)));
    Ok(all)
}

impl Standing {
    pub(super) fn of(claim: &Value) -> Option<Self> {
        let metadata = &claim["metadata"];
        let annotation = |key: &str| metadata["annotations"][key].as_str().map(str::to_owned);
        let holds = || {
            Some(Holds {
                snapshot: annotation(record::HOLDS)?,
                point: annotation(record::POINT)?.parse().ok()?,
                started: annotation(record::STARTED)?.parse().ok()?,
                applied: annotation(record::APPLIED)?.parse().ok()?,
            })
        };
        let applying = annotation(record::APPLYING);
        Some(Self {
            name: metadata["name"].as_str()?.to_owned(),
            application: metadata["labels"][APPLICATION].as_str()?.parse().ok()?,
            claim: annotation(record::SUBJECT)?,
            // Being on the way to another is said before anything is touched.
            holds: if applying.is_none() { holds() } else { None },
            applying,
            capacity: claim["status"]["capacity"]["storage"]
                .as_str()
                .and_then(quantity::bytes)
                .unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_claim_on_its_way_holds_nothing_whole() {
        let mut claim = json!({
            "metadata": {
                "name": "standby-1",
                "labels": {APPLICATION: "a0123456789abcdef"},
                "annotations": {
                    record::SUBJECT: "shop/data", record::HOLDS: "s", record::POINT: "20260101t000000-aaaaaa",
                    record::STARTED: "2026-01-01T00:00:00Z", record::APPLIED: "2026-01-01T00:00:09Z",
                },
            },
            "status": {"capacity": {"storage": "1Gi"}},
        });
        let standing = Standing::of(&claim).unwrap();
        assert_eq!((standing.capacity, standing.holds.unwrap().snapshot.as_str()), (1 << 30, "s"));
        claim["metadata"]["annotations"][record::APPLYING] = json!("t");
        assert_eq!(Standing::of(&claim).unwrap().holds, None);
        claim["metadata"]["annotations"][record::SUBJECT] = Value::Null;
        assert_eq!(Standing::of(&claim), None);
    }
}
