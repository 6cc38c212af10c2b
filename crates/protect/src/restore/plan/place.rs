//! Where the objects of one directory of a point go: what is there of the namespace, which rights the
//! caller has in it, and which dry runs were made in it already.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use holdfast_cluster::{Cluster, kinds};
use holdfast_model::restore::plan::{Planned, Verdict};
use holdfast_model::restore::shape::Shape;
use holdfast_model::{ObjectRef, ResourceType};
use tokio::sync::OnceCell;

use super::DryRuns;
use super::findings::Findings;
use super::refusal::is_fatal_to_all;
use crate::error::Result;

/// What there is of the namespace that objects go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ground {
    /// They are cluster-scoped.
    Cluster,
    /// It is there.
    Here,
    /// The restore would create it.
    Promised,
    /// It is not there, and the point does not hold it.
    Missing,
    /// It is being deleted.
    Ending,
}

impl Ground {
    pub(super) async fn of_namespace(cluster: &Cluster, name: &str) -> Result<Self> {
        let namespace = cluster.get(&kinds::namespaces(), None, name).await;
        Ok(match namespace {
            Ok(None) => Ground::Missing,
            Ok(Some(namespace)) if namespace["metadata"]["deletionTimestamp"].is_string() => Ground::Ending,
            Ok(Some(_)) => Ground::Here,
            Err(error) if is_fatal_to_all(&error) => return Err(error.into()),
            // Who may not look at namespaces may have rights in this one.
            Err(_) => Ground::Here,
        })
    }

    /// Whether there can be objects to compare with.
    pub(super) fn may_hold_objects(self) -> bool {
        matches!(self, Ground::Cluster | Ground::Here | Ground::Ending)
    }
}

/// Whether the server takes what it is sent as it is, once that is known.
type Taken = Arc<OnceCell<bool>>;

/// Where the objects of one directory go.
pub(super) struct Place {
    /// The type in the point.
    pub(super) of: ResourceType,
    pub(super) level: usize,
    /// The namespace at the target.
    pub(super) namespace: Option<String>,
    pub(super) ground: Ground,
    may_create: OnceCell<bool>,
    may_update: OnceCell<bool>,
    may_patch: OnceCell<bool>,
    may_delete: OnceCell<bool>,
    dry_runs: DryRuns,
    /// Whether the server takes objects of a shape just as they are sent.
    shapes: Mutex<HashMap<(Write, Shape), Taken>>,
}

/// What a restore would do with an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Write {
    Create,
    Update,
    Patch,
    Delete,
}

impl Write {
    /// The verb of RBAC.
    pub(super) fn verb(self) -> &'static str {
        match self {
            Write::Create => "create",
            Write::Update => "update",
            Write::Patch => "patch",
            Write::Delete => "delete",
        }
    }
}

/// What came of a dry run, and whether the server would have the object just as it was sent: then it
/// is taken to treat others of its shape alike.
pub(super) struct Asked<T> {
    pub(super) reply: T,
    pub(super) as_sent: bool,
}

impl Place {
    pub(super) fn new(
        of: ResourceType,
        level: usize,
        namespace: Option<String>,
        ground: Ground,
        dry_runs: DryRuns,
    ) -> Self {
        let [may_create, may_update, may_patch, may_delete] = [const { OnceCell::const_new() }; 4];
        let shapes = Mutex::default();
        Self { of, level, namespace, ground, may_create, may_update, may_patch, may_delete, dry_runs, shapes }
    }

    /// An object of this place.
    pub(super) fn planned(&self, object: ObjectRef, verdict: Verdict) -> Planned {
        let (may_revert, privilege) = (Vec::new(), Vec::new());
        Planned { object, level: self.level, verdict, may_revert, privilege, live: None }
    }

    /// Whether the caller may do this with objects sent as `of`. Who may not even ask is not held up:
    /// the dry run tells as well.
    pub(super) async fn may(&self, cluster: &Cluster, write: Write, of: &ResourceType) -> Result<bool> {
        let known = match write {
            Write::Create => &self.may_create,
            Write::Update => &self.may_update,
            Write::Patch => &self.may_patch,
            Write::Delete => &self.may_delete,
        };
        let asked = known.get_or_try_init(async || {
            let namespace = self.namespace.as_deref();
            match cluster.can_i(write.verb(), &of.group, &of.plural, namespace).await {
                Err(error) if is_fatal_to_all(&error) => Err(error.into()),
                answer => Ok(answer.unwrap_or(true)),
            }
        });
        asked.await.copied()
    }

    /// Makes a dry run, unless the server was seen to take an object of this shape just as it was
    /// sent; then there is no reply.
    pub(super) async fn ask<T>(
        &self,
        findings: &Findings,
        (write, shape): (Write, Shape),
        dry_run: impl Future<Output = Result<Asked<T>>>,
    ) -> Result<Option<T>> {
        let mut dry_run = Some(async {
            findings.dry_run_made();
            dry_run.await
        });
        let mut reply = None;
        let as_sent = match self.dry_runs {
            DryRuns::All => false,
            DryRuns::Sampled => {
                let shape = self.shape(write, shape);
                let first = shape.get_or_try_init(async || {
                    let Some(dry_run) = dry_run.take() else { return Ok(false) };
                    let asked = dry_run.await?;
                    reply = Some(asked.reply);
                    Ok::<_, crate::error::Error>(asked.as_sent)
                });
                *first.await?
            }
        };
        match (dry_run, as_sent) {
            (None, _) => Ok(reply),
            (Some(_), true) => {
                findings.inferred();
                Ok(None)
            }
            (Some(dry_run), false) => Ok(Some(dry_run.await?.reply)),
        }
    }

    fn shape(&self, write: Write, shape: Shape) -> Taken {
        let mut shapes = self.shapes.lock().unwrap_or_else(PoisonError::into_inner);
        shapes.entry((write, shape)).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;

    async fn dry_runs(dry_runs: DryRuns, as_sent: bool) -> u32 {
        let findings = Findings::silent();
        let place = Place::new(kinds::secrets(), 0, None, Ground::Cluster, dry_runs);
        let (made, shape) = (AtomicU32::new(0), Shape::of(&json!({"a": 1})));
        let asks = (0..10).map(|number| {
            let made = &made;
            let dry_run = async move {
                made.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok(Asked { reply: number, as_sent })
            };
            place.ask(&findings, (Write::Create, shape), dry_run)
        });
        let replies = futures::future::try_join_all(asks).await.unwrap();
        let answered = replies.iter().flatten().count() as u32;
        let made = made.load(Ordering::Relaxed);
        assert_eq!(answered, made, "who was asked for has the reply");
        let counted = findings.total().dry_runs;
        assert_eq!((counted.made, counted.made + counted.inferred), (u64::from(made), 10));
        made
    }

    #[tokio::test]
    async fn one_of_a_shape_is_asked_for_all_if_the_server_takes_it_as_it_is() {
        assert_eq!(dry_runs(DryRuns::Sampled, true).await, 1);
        assert_eq!(dry_runs(DryRuns::Sampled, false).await, 10);
        assert_eq!(dry_runs(DryRuns::All, true).await, 10);
    }

    #[tokio::test]
    async fn creates_and_updates_of_one_shape_are_asked_apart() {
        let findings = Findings::silent();
        let place = Place::new(kinds::secrets(), 0, None, Ground::Cluster, DryRuns::Sampled);
        let shape = Shape::of(&json!({}));
        for write in [Write::Create, Write::Update, Write::Create] {
            place
                .ask(&findings, (write, shape), async { Ok(Asked { reply: (), as_sent: true }) })
                .await
                .unwrap();
        }
        assert_eq!(findings.total().dry_runs.made, 2);
    }
}
