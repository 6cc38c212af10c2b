//! Conditions on objects in CEL, the Common Expression Language of Kubernetes' own policies.

use std::collections::HashMap;
use std::sync::Arc;

use cel::objects::{Key, Map};
use cel::{Context, Program};
use serde_json::Value;

/// The one variable of a condition.
const OBJECT: &str = "object";

/// A condition that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCondition {
    /// It does not parse.
    #[error("`{text}` is no CEL expression: {reason}")]
    Syntax {
        /// As given.
        text: String,
        /// What the parser says.
        reason: String,
    },
    /// It is not about the object.
    #[error("`{text}` asks for nothing of `object`, which is the one variable of a condition")]
    Constant {
        /// As given.
        text: String,
    },
}

/// Something that holds for some objects.
#[derive(Debug, Clone)]
pub struct Condition(Arc<Program>);

impl Condition {
    /// Parses it; none if the text is empty.
    ///
    /// # Errors
    /// [`InvalidCondition`]
    pub fn parse(text: &str) -> Result<Option<Self>, InvalidCondition> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        let program = Program::compile(text)
            .map_err(|error| InvalidCondition::Syntax { text: text.to_owned(), reason: error.to_string() })?;
        if !program.references().has_variable(OBJECT) {
            return Err(InvalidCondition::Constant { text: text.to_owned() });
        }
        Ok(Some(Self(Arc::new(program))))
    }

    /// Whether it is true of an object. Of one that lacks what it asks for, it is not.
    pub fn holds(&self, object: &Value) -> bool {
        let mut context = Context::default();
        context.add_variable_from_value(OBJECT, value(object));
        matches!(self.0.execute(&context), Ok(cel::Value::Bool(true)))
    }
}

/// JSON as CEL sees it: whole numbers are of the one kind that literals are.
fn value(json: &Value) -> cel::Value {
    match json {
        Value::Null => cel::Value::Null,
        Value::Bool(is_so) => cel::Value::Bool(*is_so),
        Value::Number(number) => match number.as_i64() {
            Some(number) => cel::Value::Int(number),
            None => cel::Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Value::String(text) => cel::Value::String(Arc::new(text.clone())),
        Value::Array(items) => cel::Value::List(Arc::new(items.iter().map(value).collect())),
        Value::Object(fields) => {
            let entry = |(key, field): (&String, &Value)| (Key::String(Arc::new(key.clone())), value(field));
            let map: HashMap<Key, cel::Value> = fields.iter().map(entry).collect();
            cel::Value::Map(Map { map: Arc::new(map) })
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn holds(text: &str) -> bool {
        let object = json!({
            "kind": "Deployment",
            "metadata": {"name": "web-1", "labels": {"tier": "front", "app.kubernetes.io/name": "web"}},
            "spec": {"replicas": 3, "weight": 0.5, "template": {"spec": {"containers": [{"image": "a/b:1"}, {"image": "c/d:2"}]}}},
        });
        Condition::parse(text).unwrap().unwrap().holds(&object)
    }

    #[test]
    fn conditions_are_of_the_object_as_it_was_captured() {
        for text in [
            "object.kind == 'Deployment' && object.spec.replicas > 2",
            "object.metadata.name.startsWith('web') && object.metadata.name.matches('^web-[0-9]+$')",
            "object.metadata.labels['app.kubernetes.io/name'] in ['web', 'shop']",
            "object.spec.template.spec.containers.exists(c, c.image.startsWith('c/'))",
            "has(object.metadata.labels) && !has(object.status)",
            "size(object.spec.template.spec.containers) == 2",
            "object.spec.weight < 1.0",
        ] {
            assert!(holds(text), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_told_of_an_object_does_not_hold() {
        for text in [
            "object.status.ready > 0",
            "object.spec.replicas == 'x'",
            "object.spec.replicas",
            "object.spec.replicas / 0 == 1",
        ] {
            assert!(!holds(text), "{text}");
        }
    }

    #[test]
    fn nonsense_is_told_at_once() {
        assert!(Condition::parse(" ").unwrap().is_none());
        let syntax = Condition::parse("object.spec.replicas >").unwrap_err();
        assert!(matches!(syntax, InvalidCondition::Syntax { .. }), "{syntax}");
        let constant = Condition::parse("metadata.name == 'x'").unwrap_err();
        assert!(matches!(constant, InvalidCondition::Constant { .. }), "{constant}");
    }
}
