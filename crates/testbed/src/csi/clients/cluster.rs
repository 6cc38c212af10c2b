//! What the API server says: who a client is, what it may, and which snapshot an object stands for.

use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::api::{Api, DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::Value;
use tonic::Status;

const SNAPSHOTS: &str = "snapshot.storage.k8s.io";

/// The cluster of a driver, asked on behalf of clients.
pub(super) struct Cluster {
    client: kube::Client,
    driver: String,
    audience: String,
}

impl Cluster {
    pub(super) fn new(client: kube::Client, driver: String, audience: String) -> Self {
        Self { client, driver, audience }
    }

    /// Who has a token, if it is for our audience.
    pub(super) async fn user(&self, token: &str) -> Result<UserInfo, Status> {
        let review = TokenReview {
            spec: TokenReviewSpec {
                token: Some(token.to_owned()),
                audiences: Some(vec![self.audience.clone()]),
            },
            ..TokenReview::default()
        };
        let reviews: Api<TokenReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await.map_err(internal)?;
        let status = reviewed.status.unwrap_or_default();
        let meant = status.audiences.is_some_and(|all| all.contains(&self.audience));
        let user = status.user.filter(|_| meant && status.authenticated == Some(true));
        user.ok_or_else(|| Status::unauthenticated("the token is of nobody, or not for this audience"))
    }

    /// Whether a user may get VolumeSnapshots in `namespace`.
    pub(super) async fn check_access(&self, user: UserInfo, namespace: &str) -> Result<(), Status> {
        let get = ResourceAttributes {
            verb: Some("get".into()),
            namespace: Some(namespace.into()),
            group: Some(SNAPSHOTS.into()),
            version: Some("v1".into()),
            resource: Some("volumesnapshots".into()),
            ..ResourceAttributes::default()
        };
        let spec = SubjectAccessReviewSpec {
            user: user.username,
            uid: user.uid,
            groups: user.groups,
            extra: user.extra,
            resource_attributes: Some(get),
            ..SubjectAccessReviewSpec::default()
        };
        let review = SubjectAccessReview { spec, ..SubjectAccessReview::default() };
        let reviews: Api<SubjectAccessReview> = Api::all(self.client.clone());
        let reviewed = reviews.create(&PostParams::default(), &review).await.map_err(internal)?;
        let status = reviewed.status.unwrap_or_default();
        if status.allowed && status.denied != Some(true) {
            return Ok(());
        }
        let text = format!("no right to get volumesnapshots in {namespace}");
        Err(Status::permission_denied(text))
    }

    /// The handle of the snapshot of ours that a VolumeSnapshot stands for.
    pub(super) async fn handle(&self, namespace: &str, name: &str) -> Result<String, Status> {
        let kind = resource("VolumeSnapshot");
        let snapshots: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, &kind);
        let snapshot = ready(snapshots.get(name).await, name)?;
        let content = text(&snapshot, &["status", "boundVolumeSnapshotContentName"], name)?;
        let contents: Api<DynamicObject> =
            Api::all_with(self.client.clone(), &resource("VolumeSnapshotContent"));
        let found = ready(contents.get(&content).await, &content)?;
        if text(&found, &["spec", "driver"], &content)? != self.driver {
            let text = format!("VolumeSnapshot {name} is of another driver than {}", self.driver);
            return Err(Status::invalid_argument(text));
        }
        text(&found, &["status", "snapshotHandle"], &content)
    }
}

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(SNAPSHOTS, "v1", kind))
}

/// The content of an object, if it is there and says that it is ready to use.
fn ready(object: kube::Result<DynamicObject>, name: &str) -> Result<Value, Status> {
    let data = object.map_err(|error| Status::unavailable(format!("{name}: {error}")))?.data;
    if data["status"]["readyToUse"] == Value::Bool(true) {
        return Ok(data);
    }
    Err(Status::unavailable(format!("{name} is not ready to use")))
}

fn text(object: &Value, path: &[&str], name: &str) -> Result<String, Status> {
    let found = path.iter().fold(object, |value, field| &value[*field]).as_str();
    found.map(String::from).ok_or_else(|| Status::unavailable(format!("{name} has no {}", path.join("."))))
}

fn internal(error: kube::Error) -> Status {
    Status::internal(error.to_string())
}
