//! One object as the API server sent it, and the little that is read of it without parsing it all.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use holdfast_model::{ObjectRef, ResourceType};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

/// An object's JSON with the parts of its metadata that selection needs.
#[derive(Debug, Clone)]
pub struct RawObject {
    /// The object, byte for byte as the server sent it. Lists leave `apiVersion` and `kind` out
    /// of their items; they are put in front.
    pub json: Bytes,
    /// What was peeked at.
    pub metadata: Metadata,
}

/// Metadata of an object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// Its name.
    pub name: String,
    /// Its namespace, unless it is cluster-scoped.
    pub namespace: Option<String>,
    /// Unique for ever.
    pub uid: String,
    /// Version of the object.
    pub resource_version: String,
    /// Its labels.
    #[serde(deserialize_with = "null_is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    #[serde(deserialize_with = "null_is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whom it belongs to.
    #[serde(deserialize_with = "null_is_empty")]
    pub owner_references: Vec<Owner>,
    /// When its deletion was asked for, if it was.
    pub deletion_timestamp: Option<String>,
}

/// One entry of `ownerReferences`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Owner {
    /// `apiVersion` of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Its name, in the same namespace or cluster-scoped.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it manages the object.
    pub controller: bool,
}

/// What is read of an object while it is cut out of a list.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Peek<'a> {
    #[serde(borrow, default)]
    api_version: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kind: Option<Cow<'a, str>>,
    metadata: Metadata,
}

impl<'a> Peek<'a> {
    /// Serde would take an array for a struct; the server's JSON has to be an object.
    fn at(json: &'a [u8]) -> serde_json::Result<Self> {
        match json.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => serde_json::from_slice(json),
            _ => Err(serde::de::Error::custom("expected a JSON object")),
        }
    }
}

/// Some servers behind APIServices write `null` for an empty map or list.
fn null_is_empty<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

impl RawObject {
    /// Takes over an object that was sent on its own, of which nothing is left out.
    pub(crate) fn whole(json: Bytes) -> serde_json::Result<Self> {
        let metadata = Peek::at(&json)?.metadata;
        Ok(Self { json, metadata })
    }

    /// Parses the object in full.
    pub fn parse(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.json)
    }

    /// The object by name. `of` is the type it was asked for as.
    pub fn object_ref(&self, of: &ResourceType) -> ObjectRef {
        ObjectRef {
            resource: of.clone(),
            namespace: self.metadata.namespace.clone(),
            name: self.metadata.name.clone(),
        }
    }
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Vec<RawObject>,
    pub(crate) resource_version: String,
    /// Token of the next page, if there is one.
    pub(crate) next: Option<String>,
    pub(crate) remaining: Option<u64>,
}

#[derive(Deserialize)]
struct PageBody<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
    remaining_item_count: Option<u64>,
}

impl Page {
    /// Cuts the body of a list into its objects.
    pub(crate) fn parse(of: &ResourceType, body: &[u8]) -> serde_json::Result<Self> {
        let page: PageBody<'_> = serde_json::from_slice(body)?;
        let cutter = Cutter { api_version: of.api_version(), kind: &of.kind };
        let items = page.items.unwrap_or_default();
        Ok(Self {
            items: items.into_iter().map(|item| cutter.cut(item.get())).collect::<serde_json::Result<_>>()?,
            resource_version: page.metadata.resource_version,
            next: Some(page.metadata.next).filter(|next| !next.is_empty()),
            remaining: page.metadata.remaining_item_count,
        })
    }
}

struct Cutter<'a> {
    api_version: String,
    kind: &'a str,
}

impl Cutter<'_> {
    fn cut(&self, item: &str) -> serde_json::Result<RawObject> {
        let peek = Peek::at(item.as_bytes())?;
        let mut json = BytesMut::with_capacity(item.len() + self.api_version.len() + self.kind.len() + 32);
        let missing = [
            ("apiVersion", peek.api_version.is_none().then_some(self.api_version.as_str())),
            ("kind", peek.kind.is_none().then_some(self.kind)),
        ];
        json.put_u8(b'{');
        for (key, value) in missing {
            let Some(value) = value else { continue };
            json.put_u8(b'"');
            json.put_slice(key.as_bytes());
            json.put_slice(b"\":");
            // Group, version and kind are DNS labels and identifiers, but nothing here enforces it.
            json.put_slice(serde_json::to_string(value)?.as_bytes());
            json.put_u8(b',');
        }
        // Peeking has made sure that it is an object with at least its metadata in it.
        json.put_slice(&item.as_bytes()[1..]);
        Ok(RawObject { json: json.freeze(), metadata: peek.metadata })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::tests::{deployments, resource};

    #[test]
    fn items_of_a_list_keep_their_bytes_and_get_their_kind() {
        let body = r#"{"kind":"DeploymentList","apiVersion":"apps/v1",
            "metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":3},
            "items":[{"metadata":{"name":"web","namespace":"shop","uid":"u","resourceVersion":"5",
                "labels":{"a":"\u00e9"},"annotations":null,
                "ownerReferences":[{"apiVersion":"v1","kind":"X","name":"x","uid":"o","controller":true}],
                "managedFields":[{"manager":"m"}]}, "spec": {"n": 1.0, "big": 12345678901234567890123}}]}"#;
        let page = Page::parse(&deployments(), body.as_bytes()).unwrap();
        assert_eq!((page.resource_version.as_str(), page.next.as_deref()), ("7", Some("abc")));
        assert_eq!(page.remaining, Some(3));
        let object = &page.items[0];
        let text = std::str::from_utf8(&object.json).unwrap();
        assert!(
            text.starts_with(r#"{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web""#),
            "{text}"
        );
        assert!(text.ends_with(r#""spec": {"n": 1.0, "big": 12345678901234567890123}}"#), "{text}");
        assert_eq!(object.metadata.labels["a"], "é");
        assert!(object.metadata.annotations.is_empty());
        assert!(object.metadata.owner_references[0].controller);
        assert_eq!(object.object_ref(&deployments()).to_string(), "deployments.apps shop/web");
    }

    #[test]
    fn objects_that_name_their_kind_are_left_alone() {
        let item = r#"{"apiVersion":"x.io/v1","kind":"Till","metadata":{"name":"t"}}"#;
        let body = format!(r#"{{"metadata":{{"resourceVersion":"1"}},"items":[{item}]}}"#);
        let tills = resource("x.io", "v1", "Till", "tills", true);
        let page = Page::parse(&tills, body.as_bytes()).unwrap();
        assert_eq!(page.items[0].json, item.as_bytes());
        assert_eq!(page.next, None);
        let none = Page::parse(&tills, br#"{"metadata":{},"items":null}"#).unwrap();
        assert!(none.items.is_empty());
    }

    #[test]
    fn an_item_that_is_no_object_is_an_error() {
        for item in ["[]", "3", "{}", r#"[null,null,{"name":"x"}]"#, r#"{"metadata":{"name":1}}"#] {
            let body = format!(r#"{{"metadata":{{}},"items":[{item}]}}"#);
            assert!(Page::parse(&deployments(), body.as_bytes()).is_err(), "{item}");
        }
    }
}
