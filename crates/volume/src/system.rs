//! The namespace that movers run in, and what keeps them from the network.

use std::net::IpAddr;

use holdfast_cluster::{Cluster, Write, kinds};
use holdfast_model::ResourceType;
use holdfast_model::label::{self, METADATA_ACCOUNT, SYSTEM_NAMESPACE};
use serde_json::{Value, json};

use crate::error::Result;
use crate::manifest::{self, SERVICE_ACCOUNT, part};
use crate::settings::RepositoryAccess;

pub(crate) fn network_policies() -> ResourceType {
    kinds::resource("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies", true)
}

/// Makes sure that the namespace `holdfast-system` is there with what movers need, and that
/// movers reach name servers and this vault, beside what [`ensure_metadata`] adds. (Only on networks that enforce
/// NetworkPolicy, which not all do.)
///
/// # Errors
/// The caller may not create these objects.
pub async fn ensure(cluster: &Cluster, access: &RepositoryAccess) -> Result<()> {
    let write = Write::default();
    for (of, object) in [
        (kinds::namespaces(), namespace()),
        (kinds::service_accounts(), service_account()),
        (network_policies(), mover_policy()),
        (network_policies(), vault_policy(access)),
        (network_policies(), holder_policy()),
    ] {
        cluster.apply(&of, &object, true, &write).await?;
    }
    Ok(())
}

/// Makes sure that there is an account that a snapshot metadata service answers, and that movers reach the one at
/// this address. The account may see snapshots in `holdfast-system` and nothing else.
///
/// # Errors
/// The caller may not create these objects.
pub(crate) async fn ensure_metadata(cluster: &Cluster, address: &str) -> Result<()> {
    let (write, rbac) = (Write::default(), "rbac.authorization.k8s.io");
    let metadata = json!({"name": METADATA_ACCOUNT, "namespace": SYSTEM_NAMESPACE, "labels": labels()});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
        "automountServiceAccountToken": false});
    let role = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": metadata,
        "rules": [{"apiGroups": ["snapshot.storage.k8s.io"], "resources": ["volumesnapshots"], "verbs": ["get"]}],
    });
    let binding = json!({
        "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": metadata,
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": METADATA_ACCOUNT},
        "subjects": [{"kind": "ServiceAccount", "name": METADATA_ACCOUNT, "namespace": SYSTEM_NAMESPACE}],
    });
    for (of, object) in [
        (kinds::service_accounts(), account),
        (kinds::roles(), role),
        (kinds::role_bindings(), binding),
        (network_policies(), metadata_policy(address)),
    ] {
        cluster.apply(&of, &object, true, &write).await?;
    }
    Ok(())
}

fn metadata_policy(address: &str) -> Value {
    let (host, port) = host_and_port(address, 443);
    policy(&manifest::name("holdfast-metadata", &[address]), json!(["Egress"]), json!([reach(&host, port)]))
}

fn labels() -> Value {
    let (key, value) = label::MANAGED_BY;
    json!({key: value})
}

/// Movers mount a directory of their node, which only the `privileged` Pod Security Standard
/// allows; nothing but movers runs here.
fn namespace() -> Value {
    let mut labels = labels();
    for mode in ["enforce", "audit", "warn"] {
        labels[format!("pod-security.kubernetes.io/{mode}")] = json!("privileged");
    }
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": SYSTEM_NAMESPACE, "labels": labels},
    })
}

fn service_account() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": SERVICE_ACCOUNT, "namespace": SYSTEM_NAMESPACE, "labels": labels()},
        "automountServiceAccountToken": false,
    })
}

fn mover_policy() -> Value {
    let dns = [("UDP", 53), ("TCP", 53)].map(|(protocol, port)| json!({"protocol": protocol, "port": port}));
    policy("holdfast-movers", json!(["Ingress", "Egress"]), json!([{"ports": dns}]))
}

/// Those of applications' namespaces have one each; here it is for all of them.
fn holder_policy() -> Value {
    let mut policy = policy("holdfast-holders", json!(["Ingress", "Egress"]), json!([]));
    policy["spec"]["podSelector"]["matchLabels"][label::PART] = json!(part::HOLDER);
    policy
}

/// Policies add up: each vault in use has one.
fn vault_policy(access: &RepositoryAccess) -> Value {
    let (host, port) = endpoint(access);
    let name = manifest::name("holdfast-vault", &[&host, &port.to_string()]);
    policy(&name, json!(["Egress"]), json!([reach(&host, port)]))
}

/// The rule that lets movers reach one port of a host.
fn reach(host: &str, port: u16) -> Value {
    let mut rule = json!({"ports": [{"protocol": "TCP", "port": port}]});
    // Policies know no host names; the port at least is its own.
    if let Ok(address) = host.parse::<IpAddr>() {
        let bits = if address.is_ipv4() { 32 } else { 128 };
        rule["to"] = json!([{"ipBlock": {"cidr": format!("{address}/{bits}")}}]);
    }
    rule
}

fn policy(name: &str, types: Value, egress: Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": SYSTEM_NAMESPACE, "labels": labels()},
        "spec": {
            "podSelector": {"matchLabels": {label::PART: part::MOVER}},
            "policyTypes": types,
            "egress": egress,
        },
    })
}

/// Host and port that the storage is reached at.
fn endpoint(access: &RepositoryAccess) -> (String, u16) {
    let Some(endpoint) = &access.endpoint else { return ("*".to_owned(), 443) };
    let (scheme, rest) = endpoint.split_once("://").unwrap_or(("https", endpoint));
    let authority = rest.split('/').next().unwrap_or(rest);
    host_and_port(authority, if scheme == "http" { 80 } else { 443 })
}

fn host_and_port(authority: &str, default: u16) -> (String, u16) {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, port.parse().unwrap_or(default)),
        _ => (authority, default),
    };
    (host.trim_matches(['[', ']']).to_owned(), port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(endpoint: Option<&str>) -> RepositoryAccess {
        let options = holdfast_vault::StoreOptions {
            endpoint: endpoint.map(str::to_owned),
            ..holdfast_vault::StoreOptions::default()
        };
        let password = holdfast_vault::RepositoryPassword::new("p");
        RepositoryAccess::new("s3://b", &options, &holdfast_vault::Credentials::none(), "", &password)
    }

    #[test]
    fn a_vault_by_address_is_all_that_a_mover_reaches() {
        let policy = vault_policy(&access(Some("http://198.18.0.1:7070")));
        let rule = &policy["spec"]["egress"][0];
        assert_eq!(rule["to"][0]["ipBlock"]["cidr"], "198.18.0.1/32");
        assert_eq!(rule["ports"][0]["port"], 7070);
    }

    #[test]
    fn a_service_by_name_is_known_by_its_port_alone() {
        let rule = |address| metadata_policy(address)["spec"]["egress"][0].clone();
        assert_eq!(rule("metadata.storage.svc:6443"), json!({"ports": [{"protocol": "TCP", "port": 6443}]}));
        assert_eq!(rule("[fd00::1]:50051")["to"][0]["ipBlock"]["cidr"], "fd00::1/128");
    }

    #[test]
    fn endpoints_are_understood() {
        assert_eq!(endpoint(&access(Some("https://minio.bank:9000/x"))), ("minio.bank".into(), 9000));
        assert_eq!(endpoint(&access(Some("http://minio.bank"))), ("minio.bank".into(), 80));
        assert_eq!(endpoint(&access(Some("https://[fd00::1]:9000"))), ("fd00::1".into(), 9000));
        assert_eq!(endpoint(&access(Some("https://[fd00::1]"))), ("fd00::1".into(), 443));
        assert_eq!(endpoint(&access(None)), ("*".into(), 443));
    }
}
