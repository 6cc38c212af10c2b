//! Objects of a point, from their bytes to what would be sent to a cluster.
#![no_main]

use holdfast_model::restore::{Mapping, Prepared, comparable, differences, prepare, read};
use holdfast_model::{PointId, ResourceType};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// The type that an object says it has; types are what places and rules go by.
fn type_of(object: &Value) -> Option<ResourceType> {
    let (group, version) = match object["apiVersion"].as_str()?.split_once('/') {
        Some((group, version)) => (group, version),
        None => ("", object["apiVersion"].as_str()?),
    };
    let kind = object["kind"].as_str()?.to_owned();
    let plural = kind.to_lowercase() + "s";
    let namespaced = object["metadata"]["namespace"].is_string();
    Some(ResourceType { group: group.to_owned(), version: version.to_owned(), kind, plural, namespaced })
}

fuzz_target!(|json: &[u8]| {
    let Ok(object) = serde_json::from_slice::<Value>(json) else { return };
    let Some(of) = type_of(&object) else { return };
    let namespace = object["metadata"]["namespace"].as_str().map(str::to_owned);
    let Ok(captured) = read(&of, namespace.as_deref(), json) else { return };
    let kind = of.group_kind();
    let compared = comparable(&kind, &captured);
    assert_eq!(comparable(&kind, &compared), compared, "what is compared is final");
    assert!(differences(&kind, &captured, &captured).is_empty(), "an object does not differ from itself");
    let mapping = Mapping::parse(&["shop=shop-b"], &["fast=slow"]).expect("the mapping is valid");
    let point = PointId::new(Timestamp::UNIX_EPOCH, [7; 3]);
    let Prepared::Send(sending) = prepare(&of, captured, &mapping, &point) else { return };
    let metadata = &sending.object["metadata"];
    for field in ["uid", "resourceVersion", "selfLink", "ownerReferences", "managedFields"] {
        assert!(metadata.get(field).is_none(), "metadata.{field} is sent");
    }
    let wanted = namespace.as_deref().map(|namespace| mapping.namespace(namespace).to_owned());
    assert_eq!(sending.target.namespace, wanted, "an object went to another namespace");
    assert_eq!(metadata["namespace"].as_str(), wanted.as_deref());
});
