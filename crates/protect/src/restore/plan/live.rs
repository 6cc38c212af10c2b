//! What is at the target, a page at a time.

use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use holdfast_cluster::{Cluster, ListEvent, ListOptions, RawObject, Result};
use holdfast_model::ResourceType;

/// The objects of one type at the target, those of a namespace or all; or, where names are given, the
/// ones called so.
///
/// A list that had to begin anew gives some objects twice and none too few, unless they were deleted
/// meanwhile.
pub(super) fn pages(
    cluster: &Cluster,
    of: &ResourceType,
    namespace: Option<&str>,
    names: Option<Vec<String>>,
) -> BoxStream<'static, Result<Vec<RawObject>>> {
    let Some(names) = names else {
        let options = ListOptions { namespace: namespace.map(str::to_owned), ..ListOptions::default() };
        let pages = cluster.list(of, options).try_filter_map(async |event| {
            Ok(match event {
                ListEvent::Page { items, .. } => Some(items),
                ListEvent::Restarted | ListEvent::Done { .. } => None,
            })
        });
        return pages.boxed();
    };
    let (cluster, of, namespace) = (cluster.clone(), of.clone(), namespace.map(str::to_owned));
    let gets = async move {
        let found = names.iter().map(|name| cluster.get_raw(&of, namespace.as_deref(), name));
        let found = futures::future::try_join_all(found).await?;
        Ok::<Vec<RawObject>, holdfast_cluster::Error>(found.into_iter().flatten().collect())
    };
    stream::once(gets).boxed()
}
