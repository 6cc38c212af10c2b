//! Paths of the Kubernetes API and their queries.

use std::fmt::Write as _;

use holdfast_model::ResourceType;

/// Path of all objects of a resource, in one namespace or everywhere.
pub(crate) fn collection(of: &ResourceType, namespace: Option<&str>) -> String {
    let mut path = match of.group.as_str() {
        "" => format!("/api/{}", segment(&of.version)),
        group => format!("/apis/{}/{}", segment(group), segment(&of.version)),
    };
    if let Some(namespace) = namespace {
        path.push_str("/namespaces/");
        path.push_str(&segment(namespace));
    }
    path.push('/');
    path.push_str(&segment(&of.plural));
    path
}

/// Path of one object.
pub(crate) fn object(of: &ResourceType, namespace: Option<&str>, name: &str) -> String {
    format!("{}/{}", collection(of, namespace), segment(name))
}

/// A query string under construction.
#[derive(Debug)]
pub(crate) struct Query {
    path: String,
    separator: char,
}

impl Query {
    pub(crate) fn of(path: String) -> Self {
        Self { path, separator: '?' }
    }

    pub(crate) fn add(mut self, key: &str, value: &str) -> Self {
        self.path.push(self.separator);
        self.separator = '&';
        self.path.push_str(key);
        self.path.push('=');
        self.path.push_str(&encode(value, b"-._~"));
        self
    }

    pub(crate) fn add_some(self, key: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.add(key, value),
            None => self,
        }
    }

    pub(crate) fn flag(self, key: &str, on: bool) -> Self {
        if on { self.add(key, "true") } else { self }
    }

    /// `dryRun=All`, if asked for.
    pub(crate) fn dry_run(self, on: bool) -> Self {
        if on { self.add("dryRun", "All") } else { self }
    }

    pub(crate) fn finish(self) -> String {
        self.path
    }
}

/// One path segment. A name that is only dots would be resolved away by proxies, and RBAC names
/// contain colons, which are fine in a path (RFC 3986, section 3.3).
fn segment(text: &str) -> String {
    match text {
        "." => "%2E".to_owned(),
        ".." => "%2E%2E".to_owned(),
        _ => encode(text, b"-._~:@!$'()*,;=+"),
    }
}

fn encode(text: &str, kept: &[u8]) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn deployments() -> ResourceType {
        resource("apps", "v1", "Deployment", "deployments", true)
    }

    pub(crate) fn resource(
        group: &str,
        version: &str,
        kind: &str,
        plural: &str,
        namespaced: bool,
    ) -> ResourceType {
        ResourceType {
            group: group.into(),
            version: version.into(),
            kind: kind.into(),
            plural: plural.into(),
            namespaced,
        }
    }

    #[test]
    fn paths_are_those_of_the_api() {
        assert_eq!(collection(&deployments(), None), "/apis/apps/v1/deployments");
        assert_eq!(
            object(&deployments(), Some("shop"), "web"),
            "/apis/apps/v1/namespaces/shop/deployments/web"
        );
        let roles = resource("rbac.authorization.k8s.io", "v1", "ClusterRole", "clusterroles", false);
        assert_eq!(
            object(&roles, None, "system:node"),
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:node"
        );
        let pods = resource("", "v1", "Pod", "pods", true);
        assert_eq!(object(&pods, Some("../x"), ".."), "/api/v1/namespaces/..%2Fx/pods/%2E%2E");
    }

    #[test]
    fn queries_are_escaped() {
        let query =
            Query::of("/p".into()).add("labelSelector", "a=b,c!=d").flag("watch", true).flag("no", false);
        assert_eq!(query.dry_run(true).finish(), "/p?labelSelector=a%3Db%2Cc%21%3Dd&watch=true&dryRun=All");
    }
}
