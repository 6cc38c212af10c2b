//! The claims of an application and what becomes of their data: captured, left out on purpose, or
//! a problem. There is no fourth.

use std::collections::BTreeSet;

use holdfast_cluster::{Cluster, ListOptions, RawObject, kinds};
use holdfast_model::Problem;
use holdfast_model::label::{EXCLUDE, EXCLUDE_DATA};
use holdfast_model::point::Exclusion;
use holdfast_model::scope::Selector;
use serde_json::Value;

use super::findings::marked;
use super::{Namespaces, unreadable};
use crate::error::Result;

/// A claim whose data is to be captured.
#[derive(Debug, Clone, PartialEq)]
pub struct Claim {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The claim as it is.
    pub object: Value,
}

/// All claims of an application.
#[derive(Debug, Default)]
pub struct Claims {
    /// Those whose data is to be captured, by namespace and name.
    pub capture: Vec<Claim>,
    /// Those whose data is left out on purpose, or that have none.
    pub excluded: Vec<Exclusion>,
    /// Those whose data cannot be captured.
    pub problems: Vec<Problem>,
    seen: BTreeSet<(String, String)>,
}

/// Finds the claims that the scope selects.
///
/// # Errors
/// A cluster that cannot be reached. A right that is missing is a problem in the result.
pub async fn claims(cluster: &Cluster, selector: &Selector, namespaces: &Namespaces) -> Result<Claims> {
    let of = kinds::persistent_volume_claims();
    let mut all = Claims::default();
    if !selector.takes_kind(&of) {
        let reason = "the scope's kinds leave claims out".to_owned();
        all.excluded.push(Exclusion { subject: "the data of all claims".to_owned(), reason });
        return Ok(all);
    }
    for namespace in namespaces.names() {
        let labels = selector.labels.clone();
        let options = ListOptions { labels, ..ListOptions::in_namespace(namespace) };
        match cluster.list_all(&of, options).await {
            Ok(found) => found.iter().for_each(|claim| all.sort_in(claim, selector)),
            Err(error) => all.problems.push(unreadable(&of, Some(namespace), error)?),
        }
    }
    all.capture.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(all)
}

impl Claims {
    /// A problem for each claim that was captured as an object but had not been there when the
    /// volumes were chosen: `(namespace, name)` as the objects have shown them.
    pub(crate) fn unknown_to_survey(&self, objects: &[(String, String)]) -> Vec<Problem> {
        let unknown = objects.iter().filter(|claim| !self.seen.contains(claim));
        unknown
            .map(|(namespace, name)| {
                let subject = format!("data of claim {namespace}/{name}");
                Problem::new("claim.appeared", subject, "the claim was made while the backup was under way")
                    .hint("make another backup")
            })
            .collect()
    }

    fn sort_in(&mut self, claim: &RawObject, selector: &Selector) {
        let metadata = &claim.metadata;
        let (namespace, name) = (metadata.namespace.clone().unwrap_or_default(), metadata.name.clone());
        self.seen.insert((namespace.clone(), name.clone()));
        let subject = format!("data of claim {namespace}/{name}");
        let object = match claim.parse() {
            Ok(object) => object,
            Err(error) => {
                return self.problems.push(Problem::new("claim.unreadable", subject, error.to_string()));
            }
        };
        let without =
            selector.without_data(&namespace, &name).map(|reason| format!("the scope says so: {reason}"));
        let out = marked(metadata, EXCLUDE).or_else(|| marked(metadata, EXCLUDE_DATA)).or(without);
        match (out, object["status"]["phase"].as_str()) {
            (Some(reason), _) => self.excluded.push(Exclusion { subject, reason }),
            (None, Some("Lost")) => self.problems.push(
                Problem::new("claim.lost", subject, "its PersistentVolume no longer exists")
                    .hint("restore it from an older point, or delete the claim"),
            ),
            (None, _) if object["spec"]["volumeName"].as_str().is_none_or(str::is_empty) => {
                let reason = "it is not bound to a volume yet, so it holds no data".to_owned();
                self.excluded.push(Exclusion { subject, reason });
            }
            (None, _) => self.capture.push(Claim { namespace, name, object }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_cluster::Metadata;
    use holdfast_model::scope::{Scope, WithoutData};
    use serde_json::json;

    fn claim(name: &str, label: Option<&str>, object: Value) -> RawObject {
        let labels = label.map(|label| (label.to_owned(), "true".to_owned())).into_iter().collect();
        let metadata =
            Metadata { name: name.into(), namespace: Some("shop".into()), labels, ..Metadata::default() };
        RawObject { json: object.to_string().into(), metadata }
    }

    #[test]
    fn every_claim_is_captured_left_out_by_name_or_a_problem() {
        let scope = Scope {
            namespaces: vec!["shop".into()],
            without_data: vec![WithoutData { claim: "shop/cache-*".into(), reason: "cache".into() }],
            ..Scope::default()
        };
        let selector = Selector::new(&scope).unwrap();
        let bound = json!({"spec": {"volumeName": "pv"}, "status": {"phase": "Bound"}});
        let mut all = Claims::default();
        all.sort_in(&claim("data", None, bound.clone()), &selector);
        all.sort_in(&claim("cache-1", None, bound.clone()), &selector);
        all.sort_in(&claim("scratch", Some(EXCLUDE_DATA), bound.clone()), &selector);
        all.sort_in(&claim("gone", Some(EXCLUDE), bound), &selector);
        all.sort_in(&claim("new", None, json!({"spec": {}, "status": {"phase": "Pending"}})), &selector);
        all.sort_in(
            &claim("lost", None, json!({"spec": {"volumeName": "pv"}, "status": {"phase": "Lost"}})),
            &selector,
        );
        assert_eq!(all.capture.iter().map(|claim| claim.name.as_str()).collect::<Vec<_>>(), ["data"]);
        assert_eq!((all.excluded.len(), all.problems.len()), (4, 1));
        let appeared =
            all.unknown_to_survey(&[("shop".into(), "data".into()), ("shop".into(), "late".into())]);
        assert_eq!(appeared.len(), 1);
        assert!(all.excluded[0].reason.contains("cache"), "{:?}", all.excluded);
    }
}
