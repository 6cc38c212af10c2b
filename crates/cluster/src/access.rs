//! What the credential in use is allowed to do.

use http::Method;
use serde::Deserialize;
use serde_json::json;

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::Result;
use crate::transport::Outgoing;

#[derive(Deserialize)]
struct Review {
    #[serde(default)]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    allowed: bool,
}

impl Cluster {
    /// Whether the caller may do `verb` with a resource (`secrets`, `pods/exec`) of a group, in a
    /// namespace or, with `None`, in all of them. Asked of the server by SelfSubjectAccessReview.
    pub async fn can_i(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        namespace: Option<&str>,
    ) -> Result<bool> {
        const PATH: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
        let (plural, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let review = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {
                "verb": verb, "group": group, "resource": plural, "subresource": subresource,
                "namespace": namespace.unwrap_or_default(),
            }},
        });
        // A review creates nothing, so it may be repeated like a read.
        let body = review.to_string().into();
        let out = Outgoing::write(
            Call::path("post", PATH),
            Method::POST,
            PATH.to_owned(),
            "application/json",
            body,
        );
        let Review { status } = self.send_for(out).await?;
        Ok(status.allowed)
    }
}
