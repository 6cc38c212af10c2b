//! The shape of an object: which fields it has, not what stands in most of them.
//!
//! Objects of one type, namespace and shape are treated alike by defaulting, validation and most
//! admission, so that one of them can be asked for all. Values that admission is known to go by are
//! part of the shape: booleans, and what stands in a field named `type`.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::difference::Change;

/// A hash of a shape. It means something only within one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape(u64);

impl Shape {
    /// The shape of an object; elements of a list are taken together.
    pub fn of(object: &Value) -> Self {
        let mut fields = BTreeSet::new();
        visit(object, &DefaultHasher::new(), &mut fields);
        Self(hash(&fields))
    }

    /// The same shape, only of objects that also differ at these places.
    pub fn with(self, changes: &[Change]) -> Self {
        let places: Vec<_> = changes.iter().map(|change| (&change.path, change.kind as u8)).collect();
        Self(hash(&(self.0, places)))
    }
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

/// Adds the places in `value`, which lies at `place`, by their hashes.
fn visit(value: &Value, place: &DefaultHasher, fields: &mut BTreeSet<u64>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, child) in map {
                let mut step = place.clone();
                key.hash(&mut step);
                if let ("type", Value::String(text)) = (key.as_str(), child) {
                    text.hash(&mut step);
                }
                visit(child, &step, fields);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            let mut step = place.clone();
            0u8.hash(&mut step);
            list.iter().for_each(|child| visit(child, &step, fields));
        }
        leaf => {
            let mut step = place.clone();
            leaf.as_bool().hash(&mut step);
            fields.insert(step.finish());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::difference::ChangeKind;
    use super::*;

    #[test]
    fn values_do_not_make_a_shape_but_fields_do() {
        let shape = |value: Value| Shape::of(&value);
        let secret = shape(json!({"data": {"a": "1"}, "n": 1}));
        assert_eq!(secret, shape(json!({"n": 2, "data": {"a": "2"}})));
        assert_ne!(secret, shape(json!({"data": {"b": "1"}, "n": 1})));
        assert_eq!(shape(json!({"l": [{"a": 1}]})), shape(json!({"l": [{"a": 1}, {"a": 2}]})));
        assert_ne!(shape(json!({"l": [{"a": 1}]})), shape(json!({"l": [{"a": 1}, {"b": 2}]})));
        assert_ne!(shape(json!({"a": {"b": 1}})), shape(json!({"a": 1, "b": 1})));
    }

    #[test]
    fn values_that_admission_goes_by_make_a_shape() {
        let shape = |value: Value| Shape::of(&value);
        assert_ne!(shape(json!({"privileged": true})), shape(json!({"privileged": false})));
        assert_ne!(shape(json!({"type": "LoadBalancer"})), shape(json!({"type": "ClusterIP"})));
    }

    #[test]
    fn where_objects_differ_tells_them_apart() {
        let change = |path: &str, kind| Change { path: path.into(), kind, before: None, after: None };
        let shape = Shape::of(&json!({"a": 1}));
        let added = shape.with(&[change("a", ChangeKind::Added)]);
        assert_ne!(added, shape.with(&[change("a", ChangeKind::Removed)]));
        assert_ne!(added, shape.with(&[change("b", ChangeKind::Added)]));
        assert_eq!(added, shape.with(&[change("a", ChangeKind::Added)]));
    }
}
