//! Other names at the target: namespaces, classes, access modes, images, hosts and nodes, wherever an object means
//! one.

mod rewrite;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::places::{self, Meaning};
use super::pointer;
use crate::id::is_dns_label;
use crate::object::GroupKind;

/// Which names become which.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Mapping {
    namespaces: BTreeMap<String, String>,
    storage_classes: BTreeMap<String, String>,
    access_modes: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    images: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    hosts: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ingress_classes: BTreeMap<String, String>,
    /// `KEY=OLD` to the new value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    node_labels: BTreeMap<String, String>,
}

/// A mapping that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMapping {
    /// Not of the form `old=new`.
    #[error("`{text}` is not a mapping: write OLD=NEW")]
    Form {
        /// As given.
        text: String,
    },
    /// Not of the form `KEY=OLD:NEW`.
    #[error("`{text}` maps no label of nodes: write KEY=OLD:NEW")]
    NodeLabel {
        /// As given.
        text: String,
    },
    /// The new name cannot be one.
    #[error("`{name}` is not a valid name of a {what}")]
    Name {
        /// What is mapped.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// One name is mapped to two.
    #[error("{what} `{name}` is mapped to both `{first}` and `{second}`: choose one")]
    Twice {
        /// What is mapped.
        what: &'static str,
        /// The old name.
        name: String,
        /// One new name.
        first: String,
        /// The other.
        second: String,
    },
    /// Two namespaces would become one.
    #[error(
        "namespaces `{first}` and `{second}` are both mapped to `{target}`, where their objects would collide: map them to two namespaces"
    )]
    Merged {
        /// One old name.
        first: String,
        /// The other.
        second: String,
        /// The new name.
        target: String,
    },
    /// A new name is mapped further.
    #[error("{what} `{name}` is the target of one mapping and the source of another: restore in two steps")]
    Chained {
        /// What is mapped.
        what: &'static str,
        /// The name.
        name: String,
    },
}

/// What a mapping did to an object.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mapped {
    /// Names that were replaced.
    pub replaced: usize,
}

impl Mapping {
    /// Parses `old=new` pairs.
    pub fn parse<S: AsRef<str>>(namespaces: &[S], storage_classes: &[S]) -> Result<Self, InvalidMapping> {
        let namespaces = pairs("namespace", namespaces, is_dns_label)?;
        let storage_classes = pairs("storage class", storage_classes, is_dns_subdomain)?;
        let mut targets: BTreeMap<&str, &str> = BTreeMap::new();
        for (old, new) in &namespaces {
            if let Some(first) = targets.insert(new, old) {
                let (first, second, target) = (first.to_owned(), old.clone(), new.clone());
                return Err(InvalidMapping::Merged { first, second, target });
            }
        }
        Ok(Self { namespaces, storage_classes, ..Self::default() })
    }

    /// The same with beginnings of images' names, `old=new`: `docker.io=registry.bank/hub`. An image whose name
    /// says no registry is one of `docker.io`.
    pub fn with_images<S: AsRef<str>>(self, images: &[S]) -> Result<Self, InvalidMapping> {
        let is_image = |name: &str| !name.is_empty() && !name.contains(char::is_whitespace);
        Ok(Self { images: pairs("image", images, is_image)?, ..self })
    }

    /// The same with domains of hosts, `old=new`; what is below a domain goes with it.
    pub fn with_hosts<S: AsRef<str>>(self, hosts: &[S]) -> Result<Self, InvalidMapping> {
        Ok(Self { hosts: pairs("host", hosts, is_dns_subdomain)?, ..self })
    }

    /// The same with ingress classes, `old=new`.
    pub fn with_ingress_classes<S: AsRef<str>>(self, classes: &[S]) -> Result<Self, InvalidMapping> {
        Ok(Self { ingress_classes: pairs("ingress class", classes, is_dns_subdomain)?, ..self })
    }

    /// The same with labels by which pods choose their nodes, `KEY=OLD:NEW`.
    pub fn with_node_labels<S: AsRef<str>>(self, labels: &[S]) -> Result<Self, InvalidMapping> {
        let mut node_labels = BTreeMap::new();
        for text in labels.iter().map(AsRef::as_ref) {
            let form = || InvalidMapping::NodeLabel { text: text.to_owned() };
            let (label, new) = text.rsplit_once(':').ok_or_else(form)?;
            let (key, old) = label.split_once('=').filter(|(key, _)| !key.is_empty()).ok_or_else(form)?;
            let (name, second) = (format!("{key}={old}"), new.to_owned());
            match node_labels.insert(name.clone(), second.clone()) {
                Some(first) if first != second => {
                    return Err(InvalidMapping::Twice { what: "label of nodes", name, first, second });
                }
                _ => {}
            }
        }
        Ok(Self { node_labels, ..self })
    }

    /// The same with access modes of claims, `old=new` too.
    pub fn with_access_modes<S: AsRef<str>>(self, access_modes: &[S]) -> Result<Self, InvalidMapping> {
        let what = "access mode";
        let access_modes = pairs(what, access_modes, is_access_mode)?;
        match access_modes.keys().find(|old| !is_access_mode(old)) {
            Some(old) => Err(InvalidMapping::Name { what, name: old.clone() }),
            None => Ok(Self { access_modes, ..self }),
        }
    }

    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The name of a namespace at the target.
    pub fn namespace<'a>(&'a self, name: &'a str) -> &'a str {
        self.namespaces.get(name).map_or(name, String::as_str)
    }

    /// The name of a storage class at the target.
    pub fn storage_class<'a>(&'a self, name: &'a str) -> &'a str {
        self.storage_classes.get(name).map_or(name, String::as_str)
    }

    /// The name of an ingress class at the target.
    pub fn ingress_class<'a>(&'a self, name: &'a str) -> &'a str {
        self.ingress_classes.get(name).map_or(name, String::as_str)
    }

    /// The namespaces that are mapped, old to new.
    pub fn namespaces(&self) -> &BTreeMap<String, String> {
        &self.namespaces
    }

    /// The storage classes that are mapped, old to new.
    pub fn storage_classes(&self) -> &BTreeMap<String, String> {
        &self.storage_classes
    }

    /// The access modes that are mapped, old to new.
    pub fn access_modes(&self) -> &BTreeMap<String, String> {
        &self.access_modes
    }

    /// Replaces names at all places where objects of this kind are known to mean one.
    pub fn apply(&self, of: &GroupKind, object: &mut Value) -> Mapped {
        let mut mapped = Mapped::default();
        if self.is_empty() {
            return mapped;
        }
        for (place, meaning) in places::of(of) {
            pointer::each_mut(object, &place, &mut |value| self.replace(meaning, value, &mut mapped));
        }
        mapped
    }

    fn replace(&self, meaning: Meaning, value: &mut Value, mapped: &mut Mapped) {
        match meaning {
            Meaning::Namespace => swap(value, &self.namespaces, mapped),
            Meaning::StorageClass => swap(value, &self.storage_classes, mapped),
            Meaning::AccessModes => self.modes(value, mapped),
            Meaning::Subject => self.subject(value, mapped),
            Meaning::NamespaceSelector => self.selector(value, mapped),
            Meaning::ClassQuotas => self.quotas(value, mapped),
            Meaning::Image => rewrite(value, |name| rewrite::image(name, &self.images), mapped),
            Meaning::Host => rewrite(value, |name| rewrite::host(name, &self.hosts), mapped),
            Meaning::IngressClass => swap(value, &self.ingress_classes, mapped),
            Meaning::NodeLabels => self.node_labels(value, mapped),
            Meaning::NodeExpression => self.node_expression(value, mapped),
        }
    }

    /// Each once: two modes may have become one.
    fn modes(&self, modes: &mut Value, mapped: &mut Mapped) {
        let Some(modes) = modes.as_array_mut() else { return };
        modes.iter_mut().for_each(|mode| swap(mode, &self.access_modes, mapped));
        let mut seen = Vec::new();
        modes.retain(|mode| {
            let is_new = !seen.contains(mode);
            seen.push(mode.clone());
            is_new
        });
    }

    /// `system:serviceaccounts:NAMESPACE` and `system:serviceaccount:NAMESPACE:NAME` are names of a
    /// group and a user that mean a namespace.
    fn subject(&self, subject: &mut Value, mapped: &mut Mapped) {
        if let Some(namespace) = subject.get_mut("namespace") {
            swap(namespace, &self.namespaces, mapped);
        }
        let Some(Value::String(name)) = subject.get_mut("name") else { return };
        for prefix in ["system:serviceaccounts:", "system:serviceaccount:"] {
            let Some(rest) = name.strip_prefix(prefix) else { continue };
            let (namespace, account) = rest.split_once(':').map_or((rest, None), |(n, a)| (n, Some(a)));
            let Some(new) = self.namespaces.get(namespace) else { return };
            *name = account.map_or(format!("{prefix}{new}"), |account| format!("{prefix}{new}:{account}"));
            mapped.replaced += 1;
            return;
        }
    }

    /// A label selector of namespaces that goes by the label with their name.
    fn selector(&self, selector: &mut Value, mapped: &mut Mapped) {
        const NAME: &str = "kubernetes.io/metadata.name";
        if let Some(name) = selector.get_mut("matchLabels").and_then(|labels| labels.get_mut(NAME)) {
            swap(name, &self.namespaces, mapped);
        }
        let expressions = selector.get_mut("matchExpressions").and_then(Value::as_array_mut);
        for expression in expressions.into_iter().flatten().filter(|expression| expression["key"] == NAME) {
            let values = expression.get_mut("values").and_then(Value::as_array_mut);
            values.into_iter().flatten().for_each(|value| swap(value, &self.namespaces, mapped));
        }
    }

    fn node_labels(&self, labels: &mut Value, mapped: &mut Mapped) {
        for (key, value) in labels.as_object_mut().into_iter().flatten() {
            rewrite(value, |old| self.node_labels.get(&format!("{key}={old}")).cloned(), mapped);
        }
    }

    fn node_expression(&self, expression: &mut Value, mapped: &mut Mapped) {
        let Some(key) = expression["key"].as_str().map(str::to_owned) else { return };
        let values = expression.get_mut("values").and_then(Value::as_array_mut);
        for value in values.into_iter().flatten() {
            rewrite(value, |old| self.node_labels.get(&format!("{key}={old}")).cloned(), mapped);
        }
    }

    /// Keys `CLASS.storageclass.storage.k8s.io/…` of a quota.
    fn quotas(&self, hard: &mut Value, mapped: &mut Mapped) {
        const SUFFIX: &str = ".storageclass.storage.k8s.io/";
        let Some(map) = hard.as_object_mut() else { return };
        for (old, new) in &self.storage_classes {
            let prefix = format!("{old}{SUFFIX}");
            let keys: Vec<String> = map.keys().filter(|key| key.starts_with(&prefix)).cloned().collect();
            for key in keys {
                if let Some(quantity) = map.remove(&key) {
                    map.insert(format!("{new}{SUFFIX}{}", &key[prefix.len()..]), quantity);
                    mapped.replaced += 1;
                }
            }
        }
    }
}

fn swap(value: &mut Value, names: &BTreeMap<String, String>, mapped: &mut Mapped) {
    if let Some(new) = value.as_str().and_then(|old| names.get(old)) {
        *value = Value::from(new.as_str());
        mapped.replaced += 1;
    }
}

fn rewrite(value: &mut Value, new: impl Fn(&str) -> Option<String>, mapped: &mut Mapped) {
    if let Some(new) = value.as_str().and_then(new) {
        *value = Value::from(new);
        mapped.replaced += 1;
    }
}

fn pairs<S: AsRef<str>>(
    what: &'static str,
    texts: &[S],
    valid: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, String>, InvalidMapping> {
    let mut map: BTreeMap<String, String> = BTreeMap::new();
    for text in texts.iter().map(AsRef::as_ref) {
        let form = || InvalidMapping::Form { text: text.to_owned() };
        let (old, new) = text.split_once('=').filter(|(old, _)| !old.is_empty()).ok_or_else(form)?;
        if !valid(new) {
            return Err(InvalidMapping::Name { what, name: new.to_owned() });
        }
        match map.insert(old.to_owned(), new.to_owned()) {
            Some(first) if first != new => {
                return Err(InvalidMapping::Twice {
                    what,
                    name: old.to_owned(),
                    first,
                    second: new.to_owned(),
                });
            }
            _ => {}
        }
    }
    map.retain(|old, new| old != new);
    if let Some(name) = map.values().find(|new| map.contains_key(*new)) {
        return Err(InvalidMapping::Chained { what, name: name.clone() });
    }
    Ok(map)
}

/// As `accessModes` of a claim has them.
fn is_access_mode(name: &str) -> bool {
    matches!(name, "ReadWriteOnce" | "ReadOnlyMany" | "ReadWriteMany" | "ReadWriteOncePod")
}

/// RFC 1123 subdomain: labels joined by dots, at most 253 characters.
fn is_dns_subdomain(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_dns_label)
}

#[cfg(test)]
mod tests;
