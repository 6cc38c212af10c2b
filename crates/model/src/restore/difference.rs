//! How two states of one object differ, place by place.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::object::GroupKind;

/// One place at which two states differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// Where: `spec.containers[web].image`, `metadata.annotations["a.io/b"]`.
    pub path: String,
    /// What became of it.
    pub kind: ChangeKind,
    /// The value before; left out if there was none or it must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// The value after; left out if there is none or it must not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
}

/// What became of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ChangeKind {
    /// Only the later state has it.
    Added,
    /// Only the earlier state has it.
    Removed,
    /// Both have it, with different values.
    Changed,
}

impl Change {
    /// The same change from the later state back to the earlier.
    pub fn reversed(self) -> Self {
        let kind = match self.kind {
            ChangeKind::Added => ChangeKind::Removed,
            ChangeKind::Removed => ChangeKind::Added,
            ChangeKind::Changed => ChangeKind::Changed,
        };
        Self { kind, before: self.after, after: self.before, ..self }
    }
}

/// Most places that are listed of one object; more than these say nothing more to a reader.
pub const MOST_CHANGES: usize = 200;

/// All places at which two states of an object of this kind differ, in order of path, up to
/// [`MOST_CHANGES`]. Values of Secrets are left out.
pub fn differences(of: &GroupKind, before: &Value, after: &Value) -> Vec<Change> {
    let mut comparison = Comparison { path: String::new(), changes: Vec::new() };
    comparison.values(before, after);
    let mut changes = comparison.changes;
    if *of == GroupKind::new("", "Secret") {
        for change in &mut changes {
            (change.before, change.after) = (None, None);
        }
    }
    changes
}

struct Comparison {
    path: String,
    changes: Vec<Change>,
}

impl Comparison {
    fn values(&mut self, before: &Value, after: &Value) {
        match (before, after) {
            _ if before == after || self.changes.len() >= MOST_CHANGES => {}
            (Value::Object(before), Value::Object(after)) => self.maps(before, after),
            (Value::Array(before), Value::Array(after)) => self.lists(before, after),
            _ => self.push(ChangeKind::Changed, Some(before), Some(after)),
        }
    }

    fn maps(&mut self, before: &Map<String, Value>, after: &Map<String, Value>) {
        for (key, value) in before {
            self.within(&key_step(key, self.path.is_empty()), |this| this.pair(Some(value), after.get(key)));
        }
        for (key, value) in after.iter().filter(|(key, _)| !before.contains_key(*key)) {
            self.within(&key_step(key, self.path.is_empty()), |this| this.pair(None, Some(value)));
        }
    }

    /// Elements that have names are compared by name, others by position.
    fn lists(&mut self, before: &[Value], after: &[Value]) {
        let (Some(old), Some(new)) = (names(before), names(after)) else {
            for index in 0..before.len().max(after.len()) {
                self.within(&format!("[{index}]"), |this| this.pair(before.get(index), after.get(index)));
            }
            return;
        };
        let find = |list: &[Value], names: &[&str], name: &str| {
            names.iter().position(|other| *other == name).map(|index| list[index].clone())
        };
        for (name, value) in old.iter().zip(before) {
            let other = find(after, &new, name);
            self.within(&format!("[{name}]"), |this| this.pair(Some(value), other.as_ref()));
        }
        for (name, value) in new.iter().zip(after).filter(|(name, _)| !old.contains(*name)) {
            self.within(&format!("[{name}]"), |this| this.pair(None, Some(value)));
        }
        let same = old.len() == new.len() && old.iter().all(|name| new.contains(name));
        if same && old != new {
            let order =
                |names: &[&str]| Value::from(names.iter().map(|name| Value::from(*name)).collect::<Vec<_>>());
            self.push(ChangeKind::Changed, Some(&order(&old)), Some(&order(&new)));
        }
    }

    fn pair(&mut self, before: Option<&Value>, after: Option<&Value>) {
        match (before, after) {
            (Some(before), Some(after)) => self.values(before, after),
            (None, Some(_)) => self.push(ChangeKind::Added, None, after),
            (Some(_), None) => self.push(ChangeKind::Removed, before, None),
            (None, None) => {}
        }
    }

    fn within(&mut self, step: &str, compare: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        self.path.push_str(step);
        compare(self);
        self.path.truncate(length);
    }

    fn push(&mut self, kind: ChangeKind, before: Option<&Value>, after: Option<&Value>) {
        if self.changes.len() < MOST_CHANGES {
            let path = self.path.clone();
            self.changes.push(Change { path, kind, before: before.cloned(), after: after.cloned() });
        }
    }
}

/// A key as a step: `.spec`, or `["a.io/b"]` where a dot would mislead.
fn key_step(key: &str, first: bool) -> String {
    let plain = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_');
    match (plain, first) {
        (true, true) => key.to_owned(),
        (true, false) => format!(".{key}"),
        (false, _) => format!("[{}]", Value::from(key)),
    }
}

/// The names of a list's elements, if all have one and no two the same.
fn names(list: &[Value]) -> Option<Vec<&str>> {
    let names: Vec<&str> = list.iter().map(|value| value.get("name")?.as_str()).collect::<Option<_>>()?;
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    (sorted.len() == names.len() && !names.is_empty()).then_some(names)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(before: Value, after: Value) -> Vec<(String, ChangeKind)> {
        let of = GroupKind::new("apps", "Deployment");
        differences(&of, &before, &after).into_iter().map(|change| (change.path, change.kind)).collect()
    }

    #[test]
    fn places_read_like_the_manifest() {
        let before = json!({"metadata": {"annotations": {"a.io/b": "1"}},
            "spec": {"containers": [{"name": "web", "image": "a"}, {"name": "log", "image": "l"}], "n": [1, 2]}});
        let after = json!({"metadata": {"annotations": {"a.io/b": "2"}},
            "spec": {"containers": [{"name": "log", "image": "l"}, {"name": "web", "image": "b"}], "n": [1]}});
        assert_eq!(
            paths(before, after),
            [
                ("metadata.annotations[\"a.io/b\"]".into(), ChangeKind::Changed),
                ("spec.containers[web].image".into(), ChangeKind::Changed),
                ("spec.containers".into(), ChangeKind::Changed),
                ("spec.n[1]".into(), ChangeKind::Removed),
            ]
        );
        assert_eq!(paths(json!({"a": 1}), json!({"a": 1, "b": 2})), [("b".into(), ChangeKind::Added)]);
    }

    #[test]
    fn a_change_can_be_told_from_either_side() {
        let of = GroupKind::new("", "ConfigMap");
        let (a, b) = (json!({"x": 1, "y": 1}), json!({"x": 2, "z": 1}));
        let back = differences(&of, &a, &b).into_iter().map(Change::reversed);
        let mut back: Vec<Change> = back.collect();
        back.sort_by(|a, b| a.path.cmp(&b.path));
        let mut direct = differences(&of, &b, &a);
        direct.sort_by(|a, b| a.path.cmp(&b.path));
        assert_eq!(back, direct);
    }

    #[test]
    fn values_of_secrets_are_never_shown() {
        let of = GroupKind::new("", "Secret");
        let changes =
            differences(&of, &json!({"data": {"k": "aGk="}}), &json!({"data": {"k": "Ynll", "l": "eA=="}}));
        assert_eq!(changes.len(), 2);
        let shown = serde_json::to_string(&changes).unwrap();
        assert!(!shown.contains("aGk") && !shown.contains("Ynll") && !shown.contains("eA=="), "{shown}");
    }

    #[test]
    fn the_list_is_bounded() {
        let many = |offset: u32| Value::from((0..1000).map(|n| Value::from(n + offset)).collect::<Vec<_>>());
        assert_eq!(paths(json!({"l": many(0)}), json!({"l": many(1)})).len(), MOST_CHANGES);
    }
}
