//! Names of images and hosts, of which a beginning or an end is mapped.

use std::collections::BTreeMap;

/// The registry that an image is pulled from if its name says none.
const DEFAULT_REGISTRY: &str = "docker.io";
/// What that registry calls the owner of an image whose name says none.
const DEFAULT_OWNER: &str = "library";

/// The image's name with the longest mapped beginning replaced; `None` if none of it is mapped. Tag and digest
/// stay.
pub(super) fn image(name: &str, map: &BTreeMap<String, String>) -> Option<String> {
    let full = full_name(name);
    let begins = |old: &&String| {
        let rest = full.strip_prefix(old.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', ':', '@']))
    };
    let old = map.keys().filter(begins).max_by_key(|old| old.len())?;
    Some(format!("{}{}", map[old], &full[old.len()..]))
}

/// `nginx` as `docker.io/library/nginx`.
fn full_name(name: &str) -> String {
    let (first, has_more) = name.split_once('/').map_or((name, false), |(first, _)| (first, true));
    let is_registry = has_more && (first.contains(['.', ':']) || first == "localhost");
    match (is_registry, has_more) {
        (true, _) => name.to_owned(),
        (false, true) => format!("{DEFAULT_REGISTRY}/{name}"),
        (false, false) => format!("{DEFAULT_REGISTRY}/{DEFAULT_OWNER}/{name}"),
    }
}

/// The host's name with the longest mapped domain at its end replaced; `None` if none of it is mapped.
pub(super) fn host(name: &str, map: &BTreeMap<String, String>) -> Option<String> {
    let ends = |old: &&String| {
        let rest = name.strip_suffix(old.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let old = map.keys().filter(ends).max_by_key(|old| old.len())?;
    Some(format!("{}{}", &name[..name.len() - old.len()], map[old]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(old, new)| ((*old).to_owned(), (*new).to_owned())).collect()
    }

    #[test]
    fn an_image_comes_from_where_its_registry_is_mapped_to() {
        let map = map(&[
            ("docker.io", "registry.bank/hub"),
            ("quay.io/prometheus", "registry.bank/prom"),
            ("quay.io/prometheus/node-exporter", "registry.bank/node"),
            ("registry:5000", "registry.bank"),
        ]);
        for (name, mapped) in [
            ("nginx", Some("registry.bank/hub/library/nginx")),
            ("nginx:1.29", Some("registry.bank/hub/library/nginx:1.29")),
            ("bitnami/redis@sha256:0a", Some("registry.bank/hub/bitnami/redis@sha256:0a")),
            ("quay.io/prometheus/alertmanager:v1", Some("registry.bank/prom/alertmanager:v1")),
            ("quay.io/prometheus/node-exporter:v1", Some("registry.bank/node:v1")),
            ("quay.io/prometheus-operator/x", None),
            ("registry:5000/web", Some("registry.bank/web")),
            ("localhost/web", None),
        ] {
            assert_eq!(image(name, &map).as_deref(), mapped, "{name}");
        }
    }

    #[test]
    fn a_host_follows_its_domain() {
        let map = map(&[("bank.example", "dr.bank.example"), ("old.bank.example", "x.example")]);
        for (name, mapped) in [
            ("bank.example", Some("dr.bank.example")),
            ("*.bank.example", Some("*.dr.bank.example")),
            ("a.old.bank.example", Some("a.x.example")),
            ("notbank.example", None),
            ("example", None),
        ] {
            assert_eq!(host(name, &map).as_deref(), mapped, "{name}");
        }
    }
}
