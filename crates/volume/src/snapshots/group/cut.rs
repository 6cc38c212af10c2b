//! Has a group cut, once for all of its members.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use holdfast_cluster::{Cluster, Write, kinds};
use holdfast_model::label::{self, SNAPSHOT_GROUP};
use holdfast_model::point::Cut;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Group, GroupApi, Member, Whole, complaint, end};
use crate::error::{Error, Result};
use crate::manifest::{labels, part};
use crate::snapshots::cut::{Origin, Taken};

/// Claims that are marked at once.
const AT_ONCE: usize = 16;
/// How long a controller may take for what it does at once.
const CONTROLLER: Duration = Duration::from_secs(60);

impl Group {
    /// Marks the members by the label that the group selects them by.
    pub(crate) async fn mark(&self, cluster: &Cluster) -> Result<()> {
        self.label(cluster, json!(self.mark)).await
    }

    /// Takes the label away again. What cannot be now is swept.
    pub(crate) async fn unmark(&self, cluster: &Cluster) {
        if let Err(error) = self.label(cluster, Value::Null).await {
            tracing::warn!(%error, namespace = self.namespace, "claims keep a label until the next sweep");
        }
    }

    async fn label(&self, cluster: &Cluster, value: Value) -> Result<()> {
        let patch = json!({"metadata": {"labels": {SNAPSHOT_GROUP: value}}});
        let claims = kinds::persistent_volume_claims();
        let one = |claim: &String| {
            let (claim, patch, claims) = (claim.clone(), &patch, &claims);
            async move {
                let namespace = Some(self.namespace.as_str());
                match cluster.merge_patch(claims, namespace, &claim, patch, &Write::default()).await {
                    Err(error) if error.is_not_found() => Ok(()),
                    other => other.map(drop),
                }
            }
        };
        stream::iter(self.members.keys().map(one)).buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        Ok(())
    }

    /// Has the group cut, if that has not been done yet, and gives the snapshot of a member.
    ///
    /// # Errors
    /// Why there is none of any of them, in words.
    pub(crate) async fn taken(
        &self,
        cluster: &Cluster,
        claim: &str,
        patience: Duration,
    ) -> Result<Taken, String> {
        let cut = || async {
            let cut = self.cut(cluster, patience).await;
            if cut.is_err() {
                end::abandon(cluster, self).await;
            }
            cut.map_err(|error| error.to_string())
        };
        let whole = self.cut.get_or_init(cut).await.as_ref().map_err(String::clone)?;
        let volume = self.members.get(claim).map(String::as_str).unwrap_or_default();
        let Some(member) = whole.snapshots.get(volume) else {
            return Err(format!("the group has no snapshot of {volume}"));
        };
        let cut = Cut {
            at: member.at,
            driver: whole.driver.clone(),
            class: whole.class.clone(),
            group: Some(whole.handle.clone()),
        };
        Ok(Taken {
            cut,
            origin: Origin::Group { group: whole.content.clone(), handle: member.handle.clone() },
        })
    }

    /// The group if it was cut.
    pub(super) fn whole(&self) -> Option<&Whole> {
        self.cut.get().and_then(|cut| cut.as_ref().ok())
    }

    /// The application is held meanwhile: at the first complaint of the storage this gives up.
    async fn cut(&self, cluster: &Cluster, patience: Duration) -> Result<Whole> {
        let end = Instant::now() + patience;
        let left = || end.saturating_duration_since(Instant::now());
        let api = self.class.api;
        cluster.create(&api.groups(), &self.manifest(), &Write::default()).await?;
        let bound = |group: &Value| {
            group["status"]["boundVolumeGroupSnapshotContentName"].as_str().map(str::to_owned)
        };
        let what = format!("a group snapshot in {} to be begun", self.namespace);
        let namespace = Some(self.namespace.as_str());
        let group = cluster
            .wait(&api.groups(), namespace, &self.name, &what, left(), |group| {
                group.is_none_or(|group| bound(group).is_some() || !complaint(group).is_empty())
            })
            .await?
            .ok_or_else(|| self.failed("it was deleted"))?;
        let content = bound(&group).ok_or_else(|| self.failed(&complaint(&group)))?;

        let what = format!("a group snapshot in {} to be cut", self.namespace);
        let seen = cluster
            .wait(&api.contents(), None, &content, &what, left(), |content| {
                content.is_none_or(|content| members(content).is_some() || !complaint(content).is_empty())
            })
            .await?
            .ok_or_else(|| self.failed("its VolumeGroupSnapshotContent was deleted"))?;
        if members(&seen).is_none() {
            return Err(self.failed(&complaint(&seen)));
        }
        self.whole_of(content, &seen)
    }

    fn whole_of(&self, content: String, seen: &Value) -> Result<Whole> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let snapshots = members(seen).unwrap_or_default();
        // Whoever else labels claims may have taken ours away before the controller looked.
        if let Some((claim, _)) = self.members.iter().find(|(_, volume)| !snapshots.contains_key(*volume)) {
            return Err(self.failed(&format!("it has no snapshot of claim {claim}")));
        }
        Ok(Whole {
            content,
            handle: text(&seen["status"]["volumeGroupSnapshotHandle"]),
            driver: self.class.driver.clone(),
            class: self.class.class.clone(),
            snapshots,
        })
    }

    fn manifest(&self) -> Value {
        json!({
            "apiVersion": self.class.api.api_version(),
            "kind": "VolumeGroupSnapshot",
            "metadata": {
                "name": self.name,
                "namespace": self.namespace,
                "labels": labels(&self.run, part::GROUP),
                "annotations": {label::EXCLUDE: "true"},
            },
            "spec": {
                "volumeGroupSnapshotClassName": self.class.class,
                "source": {"selector": {"matchLabels": {SNAPSHOT_GROUP: self.mark}}},
            },
        })
    }

    /// Has the group outlive the application's namespace, and takes what it no longer needs out of that.
    /// Done once, by the first who asks.
    pub(crate) async fn settle(&self, cluster: &Cluster) -> Result<()> {
        self.settled.get_or_try_init(|| self.settle_now(cluster)).await.copied()
    }

    async fn settle_now(&self, cluster: &Cluster) -> Result<()> {
        let Some(whole) = self.whole() else {
            self.unmark(cluster).await;
            return Ok(());
        };
        let api = self.class.api;
        let what = "the snapshot controller to have the group in hand";
        let seen = cluster
            .wait(&api.contents(), None, &whole.content, what, CONTROLLER, |content| {
                content.is_none_or(end::is_held)
            })
            .await?;
        let live = seen.filter(|content| !content["metadata"]["deletionTimestamp"].is_string());
        if live.is_none() {
            return Err(self.failed("its VolumeGroupSnapshotContent was deleted by somebody else"));
        }
        let patch = json!({
            "metadata": {"labels": labels(&self.run, part::GROUP)},
            "spec": {"deletionPolicy": "Retain"},
        });
        cluster.merge_patch(&api.contents(), None, &whole.content, &patch, &Write::default()).await?;
        self.unmark(cluster).await;
        end::delete_group(cluster, api, &self.namespace, &self.name).await;
        Ok(())
    }

    fn failed(&self, reason: &str) -> Error {
        Error::Snapshot {
            namespace: self.namespace.clone(),
            claim: self.members.keys().cloned().collect::<Vec<_>>().join(", "),
            reason: format!("group snapshot: {reason}"),
        }
    }

    /// Whether the members no longer carry its label.
    pub(super) fn is_settled(&self) -> bool {
        self.settled.initialized()
    }

    pub(super) fn api(&self) -> GroupApi {
        self.class.api
    }

    /// Namespace and name of the VolumeGroupSnapshot.
    pub(super) fn place(&self) -> (&str, &str) {
        (&self.namespace, &self.name)
    }
}

/// The members of a group by the handle of their volume, once the storage has cut it.
fn members(content: &Value) -> Option<BTreeMap<String, Member>> {
    let status = &content["status"];
    status["volumeGroupSnapshotHandle"].as_str().filter(|handle| !handle.is_empty())?;
    let of_group: Option<Timestamp> = status["creationTime"].as_str().and_then(|at| at.parse().ok());
    let list = ["volumeSnapshotInfoList", "volumeSnapshotHandlePairList"];
    let list = list.iter().find_map(|key| status[key].as_array())?;
    let member = |info: &Value| {
        // The group's own time has no fractions of a second.
        let nanos = info["creationTime"].as_i64();
        let at = nanos.and_then(|nanos| Timestamp::from_nanosecond(nanos.into()).ok()).or(of_group)?;
        let handle = info["snapshotHandle"].as_str()?.to_owned();
        Some((info["volumeHandle"].as_str()?.to_owned(), Member { handle, at }))
    };
    list.iter().map(member).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshots::group::GroupClass;

    fn content(status: Value) -> Value {
        json!({"status": status})
    }

    #[test]
    fn a_group_is_cut_once_the_storage_has_named_it_and_its_members() {
        let info = json!([{"volumeHandle": "v", "snapshotHandle": "s", "creationTime": 1_500_000_000_i64}]);
        assert_eq!(members(&content(json!({}))), None);
        assert_eq!(members(&content(json!({"volumeSnapshotInfoList": info}))), None);
        let cut = content(json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotInfoList": info}));
        assert_eq!(members(&cut).unwrap()["v"].at, "1970-01-01T00:00:01.5Z".parse().unwrap());
    }

    #[test]
    fn an_older_api_lists_pairs_and_one_time() {
        let pairs = json!([{"volumeHandle": "v", "snapshotHandle": "s"}]);
        let cut = content(json!({"volumeGroupSnapshotHandle": "g", "creationTime": "2026-01-01T00:00:00Z",
            "volumeSnapshotHandlePairList": pairs}));
        assert_eq!(members(&cut).unwrap()["v"].handle, "s");
    }

    #[test]
    fn two_drivers_of_a_namespace_do_not_select_each_others_claims() {
        let of = |driver: &str| {
            let class = GroupClass { api: GroupApi::newest(), class: "c".into(), driver: driver.into() };
            Group::new(&"20260101t000000-abcdef".parse().unwrap(), "shop", class, BTreeMap::new())
        };
        assert_ne!(of("d").mark, of("e").mark);
        assert_eq!(Group::run_of(&of("d").mark), "20260101t000000-abcdef");
        assert!(of("d").mark.len() <= 63, "the longest value of a label");
    }

    #[test]
    fn a_group_without_one_of_its_claims_is_none() {
        let class = GroupClass { api: GroupApi::newest(), class: "c".into(), driver: "d".into() };
        let claims = [("one".to_owned(), "v".to_owned()), ("two".to_owned(), "w".to_owned())];
        let group = Group::new(&"r1".parse().unwrap(), "shop", class, claims.into());
        let info = json!([{"volumeHandle": "v", "snapshotHandle": "s", "creationTime": 1}]);
        let cut = content(json!({"volumeGroupSnapshotHandle": "g", "volumeSnapshotInfoList": info}));
        assert!(group.whole_of("c".into(), &cut).unwrap_err().to_string().contains("claim two"));
    }
}
