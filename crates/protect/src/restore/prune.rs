//! The deletion of what the point does not have. Only what a point holds just as it is goes: the one that was made
//! of the live state before.

use std::time::Duration;

use futures::{TryStreamExt, stream};
use holdfast_cluster::{Delete, Deleted, Error as Cause, Propagation, Reason};
use holdfast_model::restore::{Verdict, read};
use holdfast_model::{ObjectRef, PointId};
use holdfast_vault::Repository;
use serde_json::Value;
use tokio::time::Instant;

use super::booking::{failed, is_fatal, result};
use super::extras::{Extra, unclear};
use super::request::RestoreRequest;
use super::session::Session;
use super::state::state_of;
use crate::error::Result;
use crate::point::{self, OpenPoint};

/// Objects that are deleted at once; how many requests are under way the cluster decides.
const AT_ONCE: usize = 64;
/// How long all finalizers may take.
const GONE_WITHIN: Duration = Duration::from_secs(60);
/// How often an object is looked at again because its status changed.
const ATTEMPTS: usize = 5;

/// Deletes what the terms would have deleted, dependents first, and waits until it is gone.
///
/// # Errors
/// A cluster that cannot be reached, or a vault; what could not be deleted is booked.
pub(super) async fn prune(request: &RestoreRequest, session: &Session) -> Result<()> {
    let extras = session.extras().await?;
    extras.problems.into_iter().for_each(|problem| session.tally.problem(problem));
    let (kept, going): (Vec<Extra>, Vec<Extra>) =
        extras.objects.into_iter().partition(|extra| extra.kept.is_some());
    for extra in kept {
        let reason = extra.kept.unwrap_or_default();
        let of = extra.object.resource.clone();
        session.tally.object(&of, result(extra.object, Verdict::Kept, reason), 0);
    }
    if going.is_empty() {
        return Ok(());
    }
    let before = match &request.before {
        Some(id) => Some(open(&request.repository, id).await?),
        None => None,
    };
    let pruning = Pruning { session, before, until: Instant::now() + GONE_WITHIN };
    let mut going = going.into_iter().peekable();
    while let Some(level) = going.peek().map(|extra| extra.level) {
        let of_level: Vec<Result<Extra>> =
            std::iter::from_fn(|| going.next_if(|extra| extra.level == level)).map(Ok).collect();
        stream::iter(of_level).try_for_each_concurrent(AT_ONCE, |extra| pruning.one(extra)).await?;
    }
    Ok(())
}

async fn open(repository: &Repository, id: &PointId) -> Result<OpenPoint> {
    let points = point::list(repository).await?;
    point::open(repository, points.find(id.as_str())?).await
}

struct Pruning<'a> {
    session: &'a Session,
    /// The state that was captured for it.
    before: Option<OpenPoint>,
    until: Instant,
}

impl Pruning<'_> {
    async fn one(&self, extra: Extra) -> Result<()> {
        let (tally, of) = (&self.session.tally, &extra.object.resource);
        let refusal = match self.refusal(&extra).await? {
            Some(refusal) => Some(refusal),
            None => match self.delete(&extra).await {
                Ok(()) => None,
                Err(error) if is_fatal(&error) => return Err(error.into()),
                Err(error) => Some(error.to_string()),
            },
        };
        match refusal {
            None => {
                tally.object(
                    of,
                    result(extra.object.clone(), Verdict::Deleted, "not in the point".to_owned()),
                    0,
                );
            }
            Some(reason) => {
                tally.problem(unclear(extra.object.to_string(), &reason));
                tally.object(of, failed(extra.object.clone(), reason), 0);
            }
        }
        Ok(())
    }

    /// Why it must not be deleted.
    async fn refusal(&self, extra: &Extra) -> Result<Option<String>> {
        if let Some(as_planned) = &self.session.as_planned
            && !as_planned(&extra.object, &extra.live)
        {
            return Ok(Some("it was not planned to be deleted as it is now, and was left".to_owned()));
        }
        let Some(before) = &self.before else {
            return Ok(Some("no point of what is there was made before, and it was left".to_owned()));
        };
        let captured = captured(before, &extra.object).await?;
        let is_safe = captured
            .is_some_and(|captured| state_of(&extra.object.resource.group_kind(), &captured) == extra.live);
        let id = &before.point.id;
        Ok((!is_safe)
            .then(|| format!("point {id}, made before, does not hold it as it is now, and it was left")))
    }

    async fn delete(&self, extra: &Extra) -> std::result::Result<(), Cause> {
        let ObjectRef { resource: of, namespace, name } = &extra.object;
        let (cluster, namespace) = (&self.session.cluster, namespace.as_deref());
        let mut version = extra.resource_version.clone();
        for attempt in 1.. {
            let delete = Delete {
                uid: Some(extra.live.uid.clone()),
                resource_version: Some(version.clone()),
                propagation: Some(Propagation::Background),
                ..Delete::default()
            };
            let error = match cluster.delete(of, namespace, name, &delete).await {
                Ok(Deleted::Pending(_)) => return self.gone(extra).await,
                Ok(Deleted::Gone | Deleted::NotThere) => return Ok(()),
                Err(error) => error,
            };
            let has_moved = error.reason() == Some(&Reason::Conflict) && attempt < ATTEMPTS;
            match cluster.get(of, namespace, name).await? {
                None => return Ok(()),
                Some(now) if has_moved && state_of(&of.group_kind(), &now) == extra.live => {
                    version = now["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
                }
                Some(_) => return Err(error),
            }
        }
        Ok(())
    }

    async fn gone(&self, extra: &Extra) -> std::result::Result<(), Cause> {
        let ObjectRef { resource: of, namespace, name } = &extra.object;
        let what = format!("{} to be gone", extra.object);
        let uid = extra.live.uid.clone();
        let is_gone =
            move |found: Option<&Value>| found.is_none_or(|found| found["metadata"]["uid"] != uid.as_str());
        let left = self.until.saturating_duration_since(Instant::now());
        self.session.cluster.wait(of, namespace.as_deref(), name, &what, left, is_gone).await.map(drop)
    }
}

/// An object as the point holds it, at whatever version.
async fn captured(point: &OpenPoint, object: &ObjectRef) -> Result<Option<Value>> {
    let kind = object.resource.plural_group();
    for captured in point.point.kinds.iter().filter(|it| it.resource.plural_group() == kind) {
        let object = ObjectRef { resource: captured.resource.clone(), ..object.clone() };
        let Some(entry) = point.object(&object).await? else { continue };
        let json = point.read(&entry).await?;
        return Ok(read(&captured.resource, object.namespace.as_deref(), &json).ok());
    }
    Ok(None)
}
