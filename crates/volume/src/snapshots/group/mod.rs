//! Snapshots of several claims that the storage takes as one, so that they fit together.
//!
//! A VolumeGroupSnapshot names its claims by a label, which ours get for the time that takes. The group
//! belongs to the application's namespace and its members can only be deleted together, so it is not
//! taken over as a single snapshot is: its VolumeGroupSnapshotContent is kept whatever becomes of the
//! namespace ([`settle`](Group::settle)), each member is read through a content of ours that deletes
//! nothing ([`member`]), and when nobody reads any more the content has the storage delete all of them
//! ([`end`]).

mod api;
mod cut;
mod end;
mod member;

use std::collections::BTreeMap;

use holdfast_model::RunId;
use jiff::Timestamp;
use serde_json::Value;
use tokio::sync::OnceCell;

pub(super) use api::GroupApi;
pub(super) use end::{OF_GROUP, clear_groups, forget_member};
pub(super) use member::{adopt, give_back};

use crate::manifest::name;

/// Who takes snapshots of several claims at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupClass {
    pub(crate) api: GroupApi,
    /// VolumeGroupSnapshotClass.
    pub(crate) class: String,
    /// Its CSI driver.
    pub(crate) driver: String,
}

/// Claims of one namespace that one driver is to cut at one moment.
#[derive(Debug)]
pub(crate) struct Group {
    class: GroupClass,
    run: RunId,
    namespace: String,
    /// Name of the VolumeGroupSnapshot.
    name: String,
    /// Value of the label on its members: the run, and which of its groups.
    mark: String,
    /// Handles of the volumes, by claim.
    members: BTreeMap<String, String>,
    /// What came of it, once it was tried.
    cut: OnceCell<Result<Whole, String>>,
    settled: OnceCell<()>,
}

/// A group that the storage has cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Its VolumeGroupSnapshotContent.
    pub(super) content: String,
    /// What the storage calls it.
    handle: String,
    driver: String,
    class: String,
    /// Snapshots by the handle of their volume.
    snapshots: BTreeMap<String, Member>,
}

/// One snapshot of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Member {
    /// What the storage calls it.
    pub(super) handle: String,
    /// When it was cut.
    pub(super) at: Timestamp,
}

impl Group {
    /// Of these claims, with the handle of the volume of each.
    pub(crate) fn new(
        run: &RunId,
        namespace: &str,
        class: GroupClass,
        members: BTreeMap<String, String>,
    ) -> Self {
        let name = name("holdfast-group", &[run.as_str(), namespace, &class.driver]);
        let of_run = name.rsplit('-').next().unwrap_or_default();
        Self {
            mark: format!("{run}.{of_run}"),
            name,
            run: run.clone(),
            namespace: namespace.to_owned(),
            class,
            members,
            cut: OnceCell::new(),
            settled: OnceCell::new(),
        }
    }

    /// The run that set a mark.
    fn run_of(mark: &str) -> &str {
        mark.rsplit_once('.').map_or(mark, |(run, _)| run)
    }

    /// Whether the claim is one of it.
    pub(crate) fn has(&self, namespace: &str, claim: &str) -> bool {
        self.namespace == namespace && self.members.contains_key(claim)
    }
}

/// What the storage or its controller complained of last.
fn complaint(object: &Value) -> String {
    super::cut::complaint(object)
}
