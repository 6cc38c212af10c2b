//! Changes of the user's to objects on their way to a cluster.

use json_patch::{Patch, PatchErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::selection::{Chooser, InvalidSelection, Selection};
use crate::object::ResourceType;

/// A change to some objects. They are changed after all that a restore itself changes in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Modifier {
    /// Which objects, as they are called and labelled in the point. It must name some.
    pub select: Selection,
    /// A JSON Patch (RFC 6902). One whose `test` does not hold changes nothing.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub patch: Patch,
    /// A merge patch (RFC 7386), applied after that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merge: Option<Value>,
}

fn is_nothing(patch: &Patch) -> bool {
    patch.is_empty()
}

/// A modifier that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidModifier {
    /// Its selection does not parse.
    #[error("modifier {number}: {source}")]
    Selection {
        /// Which one, from 1.
        number: usize,
        /// What is wrong.
        source: InvalidSelection,
    },
    /// It selects everything.
    #[error("modifier {number} selects everything: say of which kinds, namespaces, labels or objects")]
    Everything {
        /// Which one, from 1.
        number: usize,
    },
    /// It changes nothing.
    #[error("modifier {number} changes nothing: give it a `patch` or a `merge`")]
    Nothing {
        /// Which one, from 1.
        number: usize,
    },
}

/// Why an object could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unmodifiable {
    /// The patch does not fit the object.
    #[error("modifier {number} does not fit it: {reason}")]
    Misfit {
        /// Which one, from 1.
        number: usize,
        /// The patch's operation and path.
        reason: String,
    },
    /// It would be another object.
    #[error(
        "modifier {number} changes its {what}; names are mapped by the restore's own options, so that what refers to them is changed, too"
    )]
    Identity {
        /// Which one, from 1.
        number: usize,
        /// `kind`, `name` or `namespace`.
        what: &'static str,
    },
}

/// Modifiers with their selections parsed.
#[derive(Debug, Clone, Default)]
pub struct Modifiers(Vec<(Chooser, Modifier)>);

/// The modifiers that apply to one object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applicable(Vec<usize>);

impl Applicable {
    /// Which they are, from 0.
    pub fn indices(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }
}

impl Modifiers {
    /// Parses their selections.
    ///
    /// # Errors
    /// [`InvalidModifier`]
    pub fn new(modifiers: &[Modifier]) -> Result<Self, InvalidModifier> {
        let parse = |(at, modifier): (usize, &Modifier)| {
            let number = at + 1;
            if modifier.select.is_everything() {
                return Err(InvalidModifier::Everything { number });
            }
            if modifier.patch.is_empty() && modifier.merge.is_none() {
                return Err(InvalidModifier::Nothing { number });
            }
            let chooser = modifier.select.chooser();
            let chooser = chooser.map_err(|source| InvalidModifier::Selection { number, source })?;
            Ok((chooser, modifier.clone()))
        };
        modifiers.iter().enumerate().map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Those that apply to an object of the point, in their order.
    pub fn of(&self, of: &ResourceType, namespace: Option<&str>, captured: &Value) -> Applicable {
        let all = self.0.iter().enumerate();
        let chosen = all.filter(|(_, (chooser, _))| chooser.names(of, namespace, captured));
        Applicable(chosen.map(|(at, _)| at).collect())
    }

    /// Changes the object.
    ///
    /// # Errors
    /// [`Unmodifiable`]; the object is then not to be used.
    pub fn apply(&self, applicable: &Applicable, object: &mut Value) -> Result<(), Unmodifiable> {
        for at in &applicable.0 {
            let Some((_, modifier)) = self.0.get(*at) else { continue };
            let (number, before) = (at + 1, Identity::of(object));
            match json_patch::patch(object, &modifier.patch) {
                Ok(()) => {}
                // It has left the object as it was.
                Err(error) if matches!(error.kind, PatchErrorKind::TestFailed) => continue,
                Err(error) => return Err(Unmodifiable::Misfit { number, reason: error.to_string() }),
            }
            if let Some(merge) = &modifier.merge {
                json_patch::merge(object, merge);
            }
            if let Some(what) = before.differs_from(&Identity::of(object)) {
                return Err(Unmodifiable::Identity { number, what });
            }
        }
        Ok(())
    }
}

/// What makes an object that object.
#[derive(PartialEq, Eq)]
struct Identity {
    kind: Value,
    name: Value,
    namespace: Value,
}

impl Identity {
    fn of(object: &Value) -> Self {
        let metadata = &object["metadata"];
        let (kind, name) = (object["kind"].clone(), metadata["name"].clone());
        Self { kind, name, namespace: metadata["namespace"].clone() }
    }

    fn differs_from(&self, other: &Self) -> Option<&'static str> {
        let parts = [
            (self.kind != other.kind, "kind"),
            (self.name != other.name, "name"),
            (self.namespace != other.namespace, "namespace"),
        ];
        parts.iter().find(|(differs, _)| *differs).map(|(_, what)| *what)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn claims() -> ResourceType {
        ResourceType {
            group: String::new(),
            version: "v1".into(),
            kind: "PersistentVolumeClaim".into(),
            plural: "persistentvolumeclaims".into(),
            namespaced: true,
        }
    }

    fn modifiers(all: Value) -> Modifiers {
        Modifiers::new(&serde_json::from_value::<Vec<Modifier>>(all).unwrap()).unwrap()
    }

    fn modified(all: Value) -> Result<Value, Unmodifiable> {
        let modifiers = modifiers(all);
        let mut claim = json!({"kind": "PersistentVolumeClaim",
            "metadata": {"name": "data", "namespace": "shop", "labels": {"tier": "db"}},
            "spec": {"resources": {"requests": {"storage": "1Gi"}}}});
        let applicable = modifiers.of(&claims(), Some("shop"), &claim);
        modifiers.apply(&applicable, &mut claim).map(|()| claim)
    }

    const SIZE: &str = "/spec/resources/requests/storage";

    #[test]
    fn patches_are_applied_in_their_order_to_what_they_select() {
        let larger = json!({"select": {"kinds": ["persistentvolumeclaims"], "labels": "tier=db"},
            "patch": [{"op": "test", "path": SIZE, "value": "1Gi"}, {"op": "replace", "path": SIZE, "value": "2Gi"}]});
        let again = json!({"select": {"kinds": ["PersistentVolumeClaim"]},
            "patch": [{"op": "test", "path": SIZE, "value": "1Gi"}, {"op": "replace", "path": SIZE, "value": "9Gi"}]});
        let marked = json!({"select": {"objects": ["pvc/shop/data", "persistentvolumeclaim/shop/da*"]},
            "merge": {"metadata": {"labels": {"tier": null, "moved": "yes"}}}});
        let other = json!({"select": {"namespaces": ["bank"]}, "merge": {"spec": null}});
        let claim = modified(json!([larger, again, marked, other])).unwrap();
        assert_eq!(claim.pointer(SIZE).unwrap(), "2Gi", "the second one's test does not hold any more");
        assert_eq!(claim["metadata"]["labels"], json!({"moved": "yes"}));
    }

    #[test]
    fn what_does_not_fit_or_makes_another_object_is_refused() {
        let misfit =
            json!([{"select": {"kinds": ["*"]}, "patch": [{"op": "remove", "path": "/spec/absent"}]}]);
        let refused = modified(misfit).unwrap_err().to_string();
        assert!(refused.contains("modifier 1") && refused.contains("/spec/absent"), "{refused}");
        let renamed = json!([{"select": {"kinds": ["*"]}, "merge": {"metadata": {"name": "x"}}}]);
        assert_eq!(modified(renamed).unwrap_err(), Unmodifiable::Identity { number: 1, what: "name" });
    }

    #[test]
    fn modifiers_that_do_nothing_or_anything_are_refused() {
        let parse = |modifier: Value| {
            let all = [serde_json::from_value::<Modifier>(modifier).unwrap()];
            Modifiers::new(&all).map(|_| ()).unwrap_err()
        };
        assert_eq!(parse(json!({"select": {}, "merge": {}})), InvalidModifier::Everything { number: 1 });
        let kinds = json!({"kinds": ["*"]});
        assert_eq!(parse(json!({"select": kinds})), InvalidModifier::Nothing { number: 1 });
        let unreadable = parse(json!({"select": {"labels": "a b"}, "merge": {}}));
        assert!(unreadable.to_string().contains("modifier 1: `a b`"), "{unreadable}");
    }
}
