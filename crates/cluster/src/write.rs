//! Writes: create, apply, replace, patch and delete, under the field manager `holdfast`.

use bytes::Bytes;
use holdfast_model::ResourceType;
use holdfast_model::label::FIELD_MANAGER;
use http::Method;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::call::Call;
use crate::cluster::Cluster;
use crate::error::{Error, Result};
use crate::path::{self, Query};
use crate::transport::{Outgoing, Sent};

/// How a write is made.
#[derive(Debug, Clone)]
pub struct Write {
    /// In whose name fields are owned.
    pub field_manager: String,
    /// Go through admission and validation, store nothing.
    pub dry_run: bool,
    /// Write this part of the object, e.g. `status`.
    pub subresource: Option<String>,
    /// Have a create answered with the object's metadata alone, which spares both sides the rest.
    pub brief: bool,
}

impl Default for Write {
    fn default() -> Self {
        Self { field_manager: FIELD_MANAGER.to_owned(), dry_run: false, subresource: None, brief: false }
    }
}

impl Write {
    /// A write that stores nothing.
    pub fn dry_run() -> Self {
        Self { dry_run: true, ..Self::default() }
    }

    /// A write whose reply matters little.
    pub fn brief() -> Self {
        Self { brief: true, ..Self::default() }
    }

    /// A write to a subresource.
    pub fn to(subresource: &str) -> Self {
        Self { subresource: Some(subresource.to_owned()), ..Self::default() }
    }
}

/// An object as the server stored it, and what it remarked about it.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The object, or its metadata if the write was brief.
    pub object: Value,
    /// The server's warnings, such as `unknown field "spec.x"` for a field that it left out.
    pub warnings: Vec<String>,
}

/// What came of a create.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// The object is new.
    New(Stored),
    /// An object of that name was there before; it was not touched.
    AlreadyThere(Value),
}

impl Created {
    /// The object that is there now, whoever made it.
    pub fn object(&self) -> &Value {
        match self {
            Created::New(Stored { object, .. }) | Created::AlreadyThere(object) => object,
        }
    }
}

/// How to delete.
#[derive(Debug, Clone, Default)]
pub struct Delete {
    /// Only if it still has this uid.
    pub uid: Option<String>,
    /// Only if it is still at this version.
    pub resource_version: Option<String>,
    /// What becomes of dependents; the server's default for the kind if `None`.
    pub propagation: Option<Propagation>,
    /// Seconds that a pod is given to end.
    pub grace_seconds: Option<u32>,
    /// Check everything, delete nothing.
    pub dry_run: bool,
}

/// What becomes of an object's dependents when it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// They are left without an owner.
    Orphan,
    /// They are deleted afterwards.
    Background,
    /// They are deleted first.
    Foreground,
}

/// What came of a delete.
#[derive(Debug, Clone, PartialEq)]
pub enum Deleted {
    /// The object is gone.
    Gone,
    /// It will be once its finalizers, dependents or grace period allow; as it is now.
    Pending(Value),
    /// There was none.
    NotThere,
}

const JSON: &str = "application/json";
/// Metadata alone, or everything from servers that cannot leave it out.
const METADATA: &str = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json";

impl Cluster {
    /// Creates an object. If a reply was lost and the object is there on the second attempt, it is
    /// read back: made by us since the first attempt, it counts as new.
    pub async fn create(&self, of: &ResourceType, object: &Value, write: &Write) -> Result<Created> {
        let place = Place::of(of, object)?;
        let call = Call::resource("create", of, place.namespace, place.name);
        let uri = write.query(path::collection(of, place.namespace)).finish();
        // Without a name of ours a second attempt would make a second object.
        let out = Outgoing::write(call.clone(), Method::POST, uri, JSON, encode(object)?)
            .accept(if write.brief { METADATA } else { JSON })
            .repeatable(place.name.is_some());
        let began = self.server_now();
        let Sent { result, reply_lost, warnings } = self.send(&out).await;
        match (result, place.name) {
            (Ok(body), _) => Ok(Created::New(Stored { object: self.parse(&call, &body)?, warnings })),
            (Err(error), Some(name)) if error.is_already_exists() => {
                // If it is gone again already, the server's answer stands.
                let found = self.get(of, place.namespace, name).await?.ok_or(error)?;
                let ours = reply_lost && made_by(&found, &write.field_manager, began);
                let stored = |object| Stored { object, warnings };
                Ok(if ours { Created::New(stored(found)) } else { Created::AlreadyThere(found) })
            }
            (Err(error), _) => Err(error),
        }
    }

    /// Server-side apply. With `force`, fields that others own are taken over; without, they are a
    /// conflict that names them.
    pub async fn apply(
        &self,
        of: &ResourceType,
        object: &Value,
        force: bool,
        write: &Write,
    ) -> Result<Stored> {
        let (namespace, name) = Place::of(of, object)?.named(object)?;
        let call =
            Call::resource("patch", of, namespace, Some(name)).subresource(write.subresource.as_deref());
        let uri = write.query(write.path(of, namespace, name)).flag("force", force).finish();
        let out = Outgoing::write(
            call.clone(),
            Method::PATCH,
            uri,
            "application/apply-patch+yaml",
            encode(object)?,
        );
        let sent = self.send(&out).await;
        Ok(Stored { object: self.parse(&call, &sent.result?)?, warnings: sent.warnings })
    }

    /// Replaces an object with this one. If it carries a resourceVersion and the stored one is
    /// newer, that is a conflict; after a lost reply, it may be our own write that was newer.
    pub async fn replace(&self, of: &ResourceType, object: &Value, write: &Write) -> Result<Stored> {
        let (namespace, name) = Place::of(of, object)?.named(object)?;
        let call =
            Call::resource("update", of, namespace, Some(name)).subresource(write.subresource.as_deref());
        let uri = write.query(write.path(of, namespace, name)).finish();
        let sent = self.send(&Outgoing::write(call.clone(), Method::PUT, uri, JSON, encode(object)?)).await;
        Ok(Stored { object: self.parse(&call, &sent.result?)?, warnings: sent.warnings })
    }

    /// JSON merge patch (RFC 7386). A `resourceVersion` in its metadata is a precondition.
    pub async fn merge_patch(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
        write: &Write,
    ) -> Result<Value> {
        self.patch(of, namespace, name, "application/merge-patch+json", patch, write).await
    }

    /// JSON patch (RFC 6902): a list of operations, among them `test`. It is not sent again after
    /// a lost reply, as adding to a list twice is not the same as once.
    pub async fn json_patch(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
        patch: &Value,
        write: &Write,
    ) -> Result<Value> {
        self.patch(of, namespace, name, "application/json-patch+json", patch, write).await
    }

    async fn patch(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
        content_type: &'static str,
        patch: &Value,
        write: &Write,
    ) -> Result<Value> {
        let call =
            Call::resource("patch", of, namespace, Some(name)).subresource(write.subresource.as_deref());
        let uri = write.query(write.path(of, namespace, name)).finish();
        let out = Outgoing::write(call, Method::PATCH, uri, content_type, encode(patch)?);
        self.send_for(out.repeatable(content_type != "application/json-patch+json")).await
    }

    /// Deletes an object if the preconditions hold; if they do not, that is a conflict.
    pub async fn delete(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        name: &str,
        delete: &Delete,
    ) -> Result<Deleted> {
        let call = Call::resource("delete", of, namespace, Some(name));
        let uri = path::object(of, namespace, name);
        let out = Outgoing::write(call.clone(), Method::DELETE, uri, JSON, encode(&delete.options())?);
        // Without a uid a second attempt could hit a newer object of the same name.
        let Sent { result, reply_lost, .. } = self.send(&out.repeatable(delete.uid.is_some())).await;
        match result {
            Ok(body) => Ok(Deleted::of(self.parse(&call, &body)?)),
            Err(error) if error.is_not_found() && reply_lost => Ok(Deleted::Gone),
            Err(error) if error.is_not_found() => Ok(Deleted::NotThere),
            Err(error) => Err(error),
        }
    }
}

impl Write {
    fn query(&self, path: String) -> Query {
        Query::of(path).add("fieldManager", &self.field_manager).dry_run(self.dry_run)
    }

    fn path(&self, of: &ResourceType, namespace: Option<&str>, name: &str) -> String {
        let mut path = path::object(of, namespace, name);
        if let Some(subresource) = &self.subresource {
            path.push('/');
            path.push_str(subresource);
        }
        path
    }
}

impl Delete {
    fn options(&self) -> Value {
        let mut options = json!({"apiVersion": "v1", "kind": "DeleteOptions"});
        let preconditions = [("uid", &self.uid), ("resourceVersion", &self.resource_version)];
        for (key, value) in preconditions {
            if let Some(value) = value {
                options["preconditions"][key] = json!(value);
            }
        }
        if let Some(propagation) = self.propagation {
            options["propagationPolicy"] = json!(propagation.as_str());
        }
        if let Some(seconds) = self.grace_seconds {
            options["gracePeriodSeconds"] = json!(seconds);
        }
        if self.dry_run {
            options["dryRun"] = json!(["All"]);
        }
        options
    }
}

impl Propagation {
    fn as_str(self) -> &'static str {
        match self {
            Propagation::Orphan => "Orphan",
            Propagation::Background => "Background",
            Propagation::Foreground => "Foreground",
        }
    }
}

impl Deleted {
    /// The server answers with a Status when the object is gone, else with the object; some kinds
    /// answer with the object although nothing holds it any more.
    fn of(answer: Value) -> Self {
        let metadata = &answer["metadata"];
        let held = |key: &str| metadata[key].as_array().is_some_and(|list| !list.is_empty());
        let graceful = metadata["deletionGracePeriodSeconds"].as_u64().is_some_and(|seconds| seconds > 0);
        let ending = metadata["deletionTimestamp"].is_string();
        if answer["kind"] != "Status" && ending && (held("finalizers") || graceful) {
            return Deleted::Pending(answer);
        }
        Deleted::Gone
    }
}

/// Where an object of ours goes.
struct Place<'a> {
    namespace: Option<&'a str>,
    name: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(of: &ResourceType, object: &'a Value) -> Result<Self> {
        let text = |key: &str| object["metadata"][key].as_str().filter(|text| !text.is_empty());
        let namespace = text("namespace");
        if of.namespaced && namespace.is_none() {
            return Err(bad(of, text("name"), "it is namespaced, but metadata.namespace is missing"));
        }
        Ok(Self { namespace: namespace.filter(|_| of.namespaced), name: text("name") })
    }

    fn named(self, object: &Value) -> Result<(Option<&'a str>, &'a str)> {
        match self.name {
            Some(name) => Ok((self.namespace, name)),
            None => Err(Error::BadObject {
                object: object["kind"].as_str().unwrap_or("an object").to_owned(),
                reason: "metadata.name is missing".to_owned(),
            }),
        }
    }
}

fn bad(of: &ResourceType, name: Option<&str>, reason: &str) -> Error {
    Error::BadObject { object: format!("{of} {}", name.unwrap_or("(unnamed)")), reason: reason.to_owned() }
}

fn encode(value: &Value) -> Result<Bytes> {
    serde_json::to_vec(value).map(Bytes::from).map_err(|error| Error::BadObject {
        object: value["kind"].as_str().unwrap_or("an object").to_owned(),
        reason: error.to_string(),
    })
}

/// Whether `found` is what a lost create of ours made: our field manager, and not older than our
/// first attempt by the server's own clock (whose dates are whole seconds).
fn made_by(found: &Value, manager: &str, began: Option<Timestamp>) -> bool {
    const SLACK: SignedDuration = SignedDuration::from_secs(2);
    let fields = found["metadata"]["managedFields"].as_array();
    let mine = fields.is_some_and(|fields| fields.iter().any(|field| field["manager"] == manager));
    let born = found["metadata"]["creationTimestamp"].as_str();
    let born: Option<Timestamp> = born.and_then(|born| born.parse().ok());
    match (born, began) {
        (Some(born), Some(began)) => mine && began.checked_sub(SLACK).is_ok_and(|earliest| born >= earliest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::tests::{deployments, resource};

    #[test]
    fn objects_say_where_they_go() {
        let web = json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let place = Place::of(&deployments(), &web).unwrap();
        assert_eq!((place.namespace, place.name), (Some("shop"), Some("web")));
        let lost = json!({"kind": "Deployment", "metadata": {"name": "web"}});
        let error = Place::of(&deployments(), &lost).err().unwrap();
        assert_eq!(error.code(), "cluster.bad_object");
        let node = resource("", "v1", "Node", "nodes", false);
        assert!(Place::of(&node, &json!({"metadata": {}})).unwrap().named(&json!({"kind": "Node"})).is_err());
    }

    #[test]
    fn deletes_carry_their_preconditions() {
        let delete = Delete {
            uid: Some("u".into()),
            propagation: Some(Propagation::Orphan),
            grace_seconds: Some(0),
            dry_run: true,
            ..Delete::default()
        };
        let expected = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u"},
            "propagationPolicy": "Orphan", "gracePeriodSeconds": 0, "dryRun": ["All"]});
        assert_eq!(delete.options(), expected);
    }

    #[test]
    fn an_object_with_finalizers_is_still_going() {
        assert_eq!(Deleted::of(json!({"kind": "Status", "status": "Success"})), Deleted::Gone);
        let held = json!({"kind": "PersistentVolume",
            "metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}});
        assert_eq!(Deleted::of(held.clone()), Deleted::Pending(held));
        assert_eq!(Deleted::of(json!({"kind": "Secret", "metadata": {"name": "x"}})), Deleted::Gone);
    }

    #[test]
    fn only_what_we_made_since_we_began_is_ours() {
        let began = Some("2026-01-01T00:00:10Z".parse().unwrap());
        let object = |manager: &str, born: &str| json!({"metadata": {"creationTimestamp": born, "managedFields": [{"manager": manager}]}});
        assert!(made_by(&object("holdfast", "2026-01-01T00:00:09Z"), "holdfast", began));
        assert!(!made_by(&object("kubectl", "2026-01-01T00:00:09Z"), "holdfast", began));
        assert!(!made_by(&object("holdfast", "2025-12-31T23:59:59Z"), "holdfast", began));
        assert!(!made_by(&object("holdfast", "2026-01-01T00:00:09Z"), "holdfast", None));
    }
}
