//! What is asked of an API server, in the words of RBAC: verb, resource, namespace and name.

use std::fmt;

use holdfast_model::ResourceType;

/// One call, as errors name it and as a role would have to allow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The RBAC verb: `get`, `list`, `create` …
    pub verb: &'static str,
    /// What it is about.
    pub target: Target,
}

/// What a [`Call`] is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A path outside the resources, e.g. `/version`.
    Path(String),
    /// One object or all of a resource.
    Resource {
        /// API group; empty for the core group.
        group: String,
        /// Plural, with `/subresource` if there is one.
        plural: String,
        /// Namespace, if the call is confined to one.
        namespace: Option<String>,
        /// Name, if the call is about one object.
        name: Option<String>,
    },
}

impl Call {
    /// A call of a path that is no resource.
    pub fn path(verb: &'static str, path: impl Into<String>) -> Self {
        Self { verb, target: Target::Path(path.into()) }
    }

    /// A call about a resource, all of it or one object.
    pub fn resource(
        verb: &'static str,
        of: &ResourceType,
        namespace: Option<&str>,
        name: Option<&str>,
    ) -> Self {
        let target = Target::Resource {
            group: of.group.clone(),
            plural: of.plural.clone(),
            namespace: namespace.map(str::to_owned),
            name: name.map(str::to_owned),
        };
        Self { verb, target }
    }

    /// The same about a subresource of the object.
    pub fn subresource(mut self, subresource: Option<&str>) -> Self {
        if let (Target::Resource { plural, .. }, Some(subresource)) = (&mut self.target, subresource) {
            *plural = format!("{plural}/{subresource}");
        }
        self
    }

    /// The RBAC rule that allows this call, as it would be written in a role, and where.
    pub fn missing_rule(&self) -> String {
        match &self.target {
            Target::Path(path) => {
                format!("a ClusterRole with nonResourceURLs [\"{path}\"], verbs [\"{}\"]", self.verb)
            }
            Target::Resource { group, plural, namespace, .. } => {
                let role = match namespace {
                    Some(namespace) => format!("a Role in namespace {namespace}"),
                    None => "a ClusterRole".to_owned(),
                };
                format!(
                    "{role} with apiGroups [\"{group}\"], resources [\"{plural}\"], verbs [\"{}\"]",
                    self.verb
                )
            }
        }
    }
}

impl fmt::Display for Call {
    /// `list secrets in namespace shop`, `get deployments.apps shop/web`, `get /version`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, plural, namespace, name) = match &self.target {
            Target::Path(path) => return write!(f, "{} {path}", self.verb),
            Target::Resource { group, plural, namespace, name } => (group, plural, namespace, name),
        };
        write!(f, "{} {}", self.verb, qualified(group, plural))?;
        match (namespace, name) {
            (Some(namespace), Some(name)) => write!(f, " {namespace}/{name}"),
            (None, Some(name)) => write!(f, " {name}"),
            (Some(namespace), None) => write!(f, " in namespace {namespace}"),
            (None, None) => Ok(()),
        }
    }
}

/// kubectl's long form, with the subresource last: `deployments.apps/scale`.
fn qualified(group: &str, plural: &str) -> String {
    match (group, plural.split_once('/')) {
        ("", _) => plural.to_owned(),
        (group, None) => format!("{plural}.{group}"),
        (group, Some((plural, subresource))) => format!("{plural}.{group}/{subresource}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::path::tests::deployments;

    #[test]
    fn calls_read_as_said_and_name_their_rule() {
        let get = Call::resource("get", &deployments(), Some("shop"), Some("web"));
        assert_eq!(get.to_string(), "get deployments.apps shop/web");
        let scale = get.subresource(Some("scale"));
        assert_eq!(scale.to_string(), "get deployments.apps/scale shop/web");
        assert_eq!(
            scale.missing_rule(),
            r#"a Role in namespace shop with apiGroups ["apps"], resources ["deployments/scale"], verbs ["get"]"#
        );
        let list = Call::resource("list", &deployments(), None, None);
        assert_eq!(list.to_string(), "list deployments.apps");
        assert!(list.missing_rule().starts_with("a ClusterRole with apiGroups"));
        assert_eq!(Call::path("get", "/version").to_string(), "get /version");
    }
}
