//! Which objects of a point are restored: all of them, or a part that somebody chose.

use globset::GlobMatcher;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::read;
use crate::condition::{Condition, InvalidCondition};
use crate::labels::{InvalidSelector, LabelSelector};
use crate::object::{GroupKind, ResourceType};
use crate::pattern::{InvalidPattern, KindPattern, Rule, decide, glob, otherwise, rules};

/// A part of a point. Every condition must hold; an empty one always does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Selection {
    /// Names or globs of namespaces, as they are called in the point; a leading `!` takes out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<String>,
    /// Kinds: `secrets`, `Deployment`, `deployments.apps`, `*.istio.io`; a leading `!` takes out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    /// Label selector in kubectl's syntax.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// Single objects, `KIND/NAME` or `KIND/NAMESPACE/NAME`, globs allowed; a leading `!` takes out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<String>,
    /// CEL expression over `object`, as it was captured: `object.spec.replicas > 1`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Whether objects of namespaces, of the cluster, or both.
    #[serde(skip_serializing_if = "Layer::is_both")]
    pub layer: Layer,
}

/// Objects that belong to a namespace, and those that belong to the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Layer {
    /// Both.
    #[default]
    Both,
    /// Those of namespaces, and the namespaces themselves.
    Namespaced,
    /// Those of the cluster: definitions, cluster roles, classes.
    Cluster,
}

impl Layer {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_both(&self) -> bool {
        *self == Self::Both
    }
}

/// A selection that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSelection {
    /// A glob that does not parse.
    #[error(transparent)]
    Pattern(#[from] InvalidPattern),
    /// A label selector that does not parse.
    #[error(transparent)]
    Labels(#[from] InvalidSelector),
    /// A condition that cannot be used.
    #[error(transparent)]
    Condition(#[from] InvalidCondition),
    /// No name of an object.
    #[error("`{text}` names no object: write KIND/NAME or KIND/NAMESPACE/NAME")]
    Object {
        /// As given.
        text: String,
    },
}

/// A [`Selection`] with its patterns parsed.
#[derive(Debug, Clone, Default)]
pub struct Chooser {
    namespaces: Vec<Rule<GlobMatcher>>,
    kinds: Vec<Rule<KindPattern>>,
    labels: LabelSelector,
    condition: Option<Condition>,
    objects: Vec<Rule<ObjectPattern>>,
    layer: Layer,
}

#[derive(Debug, Clone)]
struct ObjectPattern {
    kind: KindPattern,
    namespace: Option<GlobMatcher>,
    name: GlobMatcher,
}

impl Selection {
    /// Whether it leaves nothing out.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Parses the patterns.
    ///
    /// # Errors
    /// [`InvalidSelection`]
    pub fn chooser(&self) -> Result<Chooser, InvalidSelection> {
        let objects = self.objects.iter().map(|text| {
            let (takes, pattern) = text.strip_prefix('!').map_or((true, text.as_str()), |rest| (false, rest));
            Ok(Rule { takes, pattern: ObjectPattern::parse(pattern)? })
        });
        Ok(Chooser {
            namespaces: rules(&self.namespaces, glob)?,
            kinds: rules(&self.kinds, KindPattern::parse)?,
            labels: LabelSelector::parse(&self.labels)?,
            condition: Condition::parse(&self.condition)?,
            objects: objects.collect::<Result<_, InvalidSelection>>()?,
            layer: self.layer,
        })
    }
}

impl ObjectPattern {
    fn parse(text: &str) -> Result<Self, InvalidSelection> {
        let parts: Vec<&str> = text.split('/').collect();
        let (kind, namespace, name) = match parts[..] {
            [kind, name] => (kind, None, name),
            [kind, namespace, name] => (kind, Some(glob(namespace)?), name),
            _ => return Err(InvalidSelection::Object { text: text.to_owned() }),
        };
        if kind.is_empty() || name.is_empty() {
            return Err(InvalidSelection::Object { text: text.to_owned() });
        }
        Ok(Self { kind: KindPattern::parse(kind)?, namespace, name: glob(name)? })
    }

    fn matches(&self, of: &ResourceType, namespace: Option<&str>, name: &str) -> bool {
        let is_there = |glob: &GlobMatcher| namespace.is_some_and(|namespace| glob.is_match(namespace));
        self.kind.matches(of) && self.name.is_match(name) && self.namespace.as_ref().is_none_or(is_there)
    }
}

impl Chooser {
    /// Whether objects of this type can be chosen: if not, none of them need be looked at.
    pub fn takes_type(&self, of: &ResourceType) -> bool {
        match of.namespaced {
            true => self.layer != Layer::Cluster && self.takes_kind(of),
            // What these two are for decides of each of them.
            false if is_namespace(of) || is_definition(of) => true,
            false => self.layer != Layer::Namespaced && self.takes_kind(of),
        }
    }

    /// Whether an object of this type and place can be chosen, as far as its name tells; `name` is not
    /// always known before the object is read.
    pub fn may_take(&self, of: &ResourceType, namespace: Option<&str>, name: Option<&str>) -> bool {
        let takes_namespace =
            |name: &str| decide(&self.namespaces, otherwise(&self.namespaces), |glob| glob.is_match(name));
        if is_namespace(of) {
            let takes = |name: &str| takes_namespace(name) && self.names_objects_of(name);
            return self.takes_ground(of) && name.is_none_or(takes);
        }
        let by_name = |name: &str| self.takes_object(of, namespace, name);
        self.takes_type(of)
            && namespace.is_none_or(takes_namespace)
            && (is_definition(of) || name.is_none_or(by_name))
    }

    /// Whether an object is chosen, given that [`Chooser::may_take`] allows for it.
    pub fn takes(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> bool {
        let name = read::name(object);
        if is_namespace(of) {
            return self.may_take(of, namespace, Some(name));
        }
        if is_definition(of) && self.layer == Layer::Both && self.defines_chosen(object) {
            return true;
        }
        self.may_take(of, namespace, Some(name))
            && (!is_definition(of) || self.takes_cluster_object(of, name))
            && self.describes(object)
    }

    /// Whether every condition holds for an object by itself, whatever else goes with it.
    pub fn names(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> bool {
        let is_taken =
            |name: &str| decide(&self.namespaces, otherwise(&self.namespaces), |glob| glob.is_match(name));
        let is_of_layer = match self.layer {
            Layer::Both => true,
            Layer::Namespaced => of.namespaced,
            Layer::Cluster => !of.namespaced,
        };
        is_of_layer
            && namespace.map_or(self.namespaces.is_empty(), is_taken)
            && self.takes_kind(of)
            && self.takes_object(of, namespace, read::name(object))
            && self.describes(object)
    }

    /// Whether an object that is chosen is so for itself, and not only as a namespace or a definition that goes
    /// with others. A namespace is, where whole ones are chosen.
    pub fn means(&self, of: &ResourceType, namespace: Option<&str>, object: &Value) -> bool {
        let is_of_whole = self.kinds.is_empty()
            && self.labels.is_empty()
            && self.condition.is_none()
            && otherwise(&self.objects);
        self.names(of, namespace, object) || (is_namespace(of) && is_of_whole)
    }

    /// Which of the single objects that are to be taken, counted from 0, an object is.
    pub fn named_by(
        &self,
        of: &ResourceType,
        namespace: Option<&str>,
        object: &Value,
    ) -> impl Iterator<Item = usize> {
        let name = read::name(object);
        let named = self.objects.iter().filter(|rule| rule.takes).enumerate();
        named.filter(move |(_, rule)| rule.pattern.matches(of, namespace, name)).map(|(index, _)| index)
    }

    /// Whether what an object says of itself is what was asked for.
    fn describes(&self, object: &Value) -> bool {
        self.labels.selects(object) && self.condition.as_ref().is_none_or(|condition| condition.holds(object))
    }

    /// A namespace goes with what is chosen of it, unless its own kind is taken out.
    fn takes_ground(&self, of: &ResourceType) -> bool {
        let otherwise = self.layer != Layer::Cluster;
        decide(&self.kinds, otherwise, |pattern| pattern.matches(of))
    }

    /// Whether objects of a namespace may be among those that are named.
    fn names_objects_of(&self, name: &str) -> bool {
        let mut named = self.objects.iter().filter(|rule| rule.takes);
        otherwise(&self.objects)
            || named.any(|rule| rule.pattern.namespace.as_ref().is_none_or(|glob| glob.is_match(name)))
    }

    /// The definition of a kind goes with the chosen objects of that kind.
    fn defines_chosen(&self, definition: &Value) -> bool {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let spec = &definition["spec"];
        let defined = ResourceType {
            group: text(&spec["group"]),
            version: String::new(),
            kind: text(&spec["names"]["kind"]),
            plural: text(&spec["names"]["plural"]),
            namespaced: spec["scope"] == "Namespaced",
        };
        let named = |rule: &Rule<ObjectPattern>| rule.takes && rule.pattern.kind.matches(&defined);
        self.takes_type(&defined) && (otherwise(&self.objects) || self.objects.iter().any(named))
    }

    fn takes_cluster_object(&self, of: &ResourceType, name: &str) -> bool {
        self.layer != Layer::Namespaced && self.takes_kind(of) && self.takes_object(of, None, name)
    }

    fn takes_kind(&self, of: &ResourceType) -> bool {
        decide(&self.kinds, otherwise(&self.kinds), |pattern| pattern.matches(of))
    }

    fn takes_object(&self, of: &ResourceType, namespace: Option<&str>, name: &str) -> bool {
        decide(&self.objects, otherwise(&self.objects), |pattern| pattern.matches(of, namespace, name))
    }
}

fn is_namespace(of: &ResourceType) -> bool {
    of.group_kind() == GroupKind::new("", "Namespace")
}

fn is_definition(of: &ResourceType) -> bool {
    of.group_kind() == GroupKind::new("apiextensions.k8s.io", "CustomResourceDefinition")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(group: &str, kind: &str, plural: &str, namespaced: bool) -> ResourceType {
        let text = str::to_owned;
        ResourceType {
            group: text(group),
            version: "v1".into(),
            kind: text(kind),
            plural: text(plural),
            namespaced,
        }
    }

    fn strings(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    /// Which of some objects are chosen.
    fn chosen(selection: Selection) -> Vec<&'static str> {
        let chooser = selection.chooser().unwrap();
        let (namespaces, definitions) = (
            of("", "Namespace", "namespaces", false),
            of("apiextensions.k8s.io", "CustomResourceDefinition", "customresourcedefinitions", false),
        );
        let definition = |name: &str| {
            let (plural, group) = name.split_once('.').unwrap();
            json!({"metadata": {"name": name}, "spec": {"group": group, "scope": "Namespaced",
                "names": {"plural": plural, "kind": plural.trim_end_matches('s')}}})
        };
        let object = |name: &str| json!({"metadata": {"name": name, "labels": {"app": name}}});
        let all = [
            ("namespace shop", namespaces.clone(), None, object("shop")),
            ("namespace bank", namespaces, None, object("bank")),
            ("definition", definitions, None, definition("tills.shop.example")),
            (
                "role",
                of("rbac.authorization.k8s.io", "ClusterRole", "clusterroles", false),
                None,
                object("view"),
            ),
            ("web", of("apps", "Deployment", "deployments", true), Some("shop"), object("web")),
            ("db", of("apps", "StatefulSet", "statefulsets", true), Some("bank"), object("db")),
            ("till", of("shop.example", "Till", "tills", true), Some("shop"), object("till")),
        ];
        let is_chosen = |(_, of, namespace, object): &&(&str, ResourceType, Option<&str>, Value)| {
            let name = Some(read::name(object));
            let early = chooser.takes_type(of) && chooser.may_take(of, *namespace, name);
            let takes = chooser.takes(of, *namespace, object);
            assert!(early || !takes, "what is chosen is looked at: {object}");
            early && takes
        };
        all.iter().filter(is_chosen).map(|(label, ..)| *label).collect()
    }

    #[test]
    fn without_conditions_all_is_chosen() {
        assert_eq!(chosen(Selection::default()).len(), 7);
        assert!(Selection::default().is_everything());
    }

    #[test]
    fn a_namespace_and_a_definition_go_with_what_is_chosen_of_them() {
        let namespaces = strings(&["shop"]);
        let only = Selection { namespaces: namespaces.clone(), ..Selection::default() };
        assert_eq!(chosen(only), ["namespace shop", "definition", "role", "web", "till"]);
        let kinds = strings(&["tills.shop.example"]);
        let tills = Selection { namespaces: namespaces.clone(), kinds, ..Selection::default() };
        assert_eq!(chosen(tills), ["namespace shop", "definition", "till"]);
        let kinds = strings(&["deployments", "!namespaces"]);
        assert_eq!(chosen(Selection { namespaces, kinds, ..Selection::default() }), ["web"]);
    }

    #[test]
    fn layers_are_restored_apart() {
        let of_namespaces = Selection { layer: Layer::Namespaced, ..Selection::default() };
        assert_eq!(chosen(of_namespaces), ["namespace shop", "namespace bank", "web", "db", "till"]);
        let of_cluster = Selection { layer: Layer::Cluster, ..Selection::default() };
        assert_eq!(chosen(of_cluster), ["definition", "role"]);
        let kinds = strings(&["customresourcedefinitions"]);
        let definitions = Selection { layer: Layer::Cluster, kinds, ..Selection::default() };
        assert_eq!(chosen(definitions), ["definition"]);
    }

    #[test]
    fn single_objects_are_chosen_by_name_and_label() {
        let one = |objects: &[&str]| Selection {
            objects: strings(objects),
            layer: Layer::Namespaced,
            kinds: strings(&["!namespaces"]),
            ..Selection::default()
        };
        assert_eq!(chosen(one(&["deployment/web"])), ["web"]);
        assert_eq!(chosen(one(&["statefulsets/bank/*"])), ["db"]);
        assert_eq!(chosen(one(&["statefulsets/shop/*"])), [""; 0]);
        assert_eq!(chosen(one(&["!till/*"])), ["web", "db"]);
        let labelled = Selection { labels: "app in (web, db)".into(), ..one(&[]) };
        assert_eq!(chosen(labelled), ["web", "db"]);
        let condition = "object.metadata.labels.app.startsWith('w')".to_owned();
        assert_eq!(chosen(Selection { condition, ..one(&[]) }), ["web"]);
        let till = |pattern: &str| chosen(Selection { objects: strings(&[pattern]), ..Selection::default() });
        assert_eq!(till("till/till"), ["namespace shop", "namespace bank", "definition", "till"]);
        assert_eq!(till("till/shop/till"), ["namespace shop", "definition", "till"]);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        for text in ["web", "a/b/c/d", "/web", "deployments/"] {
            let selection = Selection { objects: strings(&[text]), ..Selection::default() };
            assert_eq!(selection.chooser().unwrap_err(), InvalidSelection::Object { text: text.into() });
        }
        assert!(Selection { labels: "a b".into(), ..Selection::default() }.chooser().is_err());
        assert!(Selection { condition: "object.".into(), ..Selection::default() }.chooser().is_err());
        assert!(Selection { kinds: strings(&["["]), ..Selection::default() }.chooser().is_err());
    }
}
