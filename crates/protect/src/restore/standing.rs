//! The claims of a point as a restore would make them, for those who keep their volumes ready.

use futures::StreamExt;
use holdfast_cluster::{Cluster, kinds};
use holdfast_model::restore::{Mapping, Prepared, Terms, prepare, read};
use holdfast_model::{Problem, ResourceType};
use holdfast_volume::handover::ClaimRestore;

use super::session::Session;
use super::tally::Tally;
use super::{source, volumes};
use crate::error::Result;
use crate::point::OpenPoint;

/// The claims whose data is in a point, mapped as they will be at a cluster, and what is wrong with
/// others.
///
/// # Errors
/// [`crate::Error::Cluster`]
pub(crate) async fn claims_of(
    cluster: &Cluster,
    point: OpenPoint,
    mapping: &Mapping,
) -> Result<(Vec<ClaimRestore>, Vec<Problem>)> {
    let terms = Terms { mapping: mapping.clone(), ..Terms::default() };
    let session = Session::new(cluster.clone(), point, terms, Tally::silent()).await?;
    let claim = kinds::persistent_volume_claims().group_kind();
    let is_claim = move |of: &ResourceType| of.group_kind() == claim;
    let entries = session.point.objects_of(is_claim);
    let mut objects = std::pin::pin!(source::fetch(&session.point.reader, entries));
    let mut problems = Vec::new();
    while let Some(fetched) = objects.next().await {
        let (entry, json) = match fetched {
            Ok(fetched) => fetched,
            Err(lost) => {
                problems.push(lost.problem);
                continue;
            }
        };
        match read(&entry.resource, entry.namespace.as_deref(), &json) {
            Ok(object) => {
                if let Prepared::Send(sending) =
                    prepare(&entry.resource, object, mapping, &session.point.point.id)
                {
                    session.claims.take(&entry, &sending);
                }
            }
            Err(error) => problems.push(source::unusable(&entry, error.to_string())),
        }
    }
    let (wanted, failed) = volumes::restores(&session, session.claims.take_filled()).await;
    problems.extend(failed.into_iter().map(|(_, problem)| problem));
    Ok((wanted.into_iter().map(|(_, restore)| restore).collect(), problems))
}
