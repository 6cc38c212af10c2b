//! etcd, API server, controller manager and scheduler: how they are called.

use super::plan::{Plan, text};
use crate::component::Spec;
use crate::parts::Built;

/// Enough for the largest state a test makes.
const ETCD_QUOTA_BYTES: &str = "8589934592";

/// What namespaces' annotations need to send pods to chosen nodes, beside what is on by itself.
const ADMISSION: [&str; 3] = ["NodeRestriction", "PodNodeSelector", "PodTolerationRestriction"];

/// Requests per second of a controller: the defaults are made for sharing an API server with hundreds of nodes.
const RATE: [&str; 2] = ["--kube-api-qps=500", "--kube-api-burst=1000"];

/// How soon a node that says nothing counts as dead where there are several; by default it takes 50 s.
const GRACE: [&str; 2] = ["--node-monitor-grace-period=20s", "--node-monitor-period=2s"];

pub(super) fn etcd(plan: &Plan, kubernetes: &Built) -> Spec {
    Spec::new("etcd", kubernetes.bin("etcd"))
        .flag("data-dir", plan.dir.join("etcd"))
        // A site's state is worth nothing after a crash of the machine.
        .arg("--unsafe-no-fsync")
        .flag("quota-backend-bytes", ETCD_QUOTA_BYTES)
        .flag("log-level", "error")
}

pub(super) fn apiserver(plan: &Plan, kubernetes: &Built, admission: &[String], extra: &[String]) -> Spec {
    let mut plugins: Vec<&str> = ADMISSION.into();
    plugins.extend(admission.iter().map(String::as_str));
    Spec::new("kube-apiserver", kubernetes.bin("kube-apiserver"))
        .flag("etcd-servers", "http://127.0.0.1:2379")
        .flag("secure-port", "6443")
        .flag("bind-address", "0.0.0.0")
        .flag("advertise-address", &plan.address)
        .flag("tls-cert-file", plan.pki("apiserver.crt"))
        .flag("tls-private-key-file", plan.pki("apiserver.key"))
        .flag("client-ca-file", plan.pki("ca.crt"))
        .flag("service-account-key-file", plan.pki("service-accounts.pub"))
        .flag("service-account-signing-key-file", plan.pki("service-accounts.key"))
        .flag("service-account-issuer", "https://kubernetes.default.svc")
        .flag("authorization-mode", "Node,RBAC")
        .flag("service-cluster-ip-range", plan.service_cidr())
        .flag("kubelet-client-certificate", plan.pki("apiserver-kubelet.crt"))
        .flag("kubelet-client-key", plan.pki("apiserver-kubelet.key"))
        // Else exec and logs look the node's name up in DNS.
        .flag("kubelet-preferred-address-types", "InternalIP")
        .arg("--allow-privileged")
        .flag("requestheader-client-ca-file", plan.pki("ca.crt"))
        // Compulsory where clients and front proxies have one authority.
        .flag("requestheader-allowed-names", "front-proxy-client")
        .flag("requestheader-extra-headers-prefix", "X-Remote-Extra-")
        .flag("requestheader-group-headers", "X-Remote-Group")
        .flag("requestheader-username-headers", "X-Remote-User")
        .flag("proxy-client-cert-file", plan.pki("front-proxy.crt"))
        .flag("proxy-client-key-file", plan.pki("front-proxy.key"))
        .flag("enable-admission-plugins", plugins.join(","))
        .args(extra)
}

pub(super) fn controller_manager(plan: &Plan, kubernetes: &Built) -> Spec {
    let grace: &[&str] = if plan.has_several_nodes() { &GRACE } else { &[] };
    Spec::new("kube-controller-manager", kubernetes.bin("kube-controller-manager"))
        .flag("kubeconfig", plan.kubeconfig("controller-manager"))
        .flag("service-account-private-key-file", plan.pki("service-accounts.key"))
        .flag("root-ca-file", plan.pki("ca.crt"))
        .arg("--use-service-account-credentials")
        .flag("cluster-signing-cert-file", plan.pki("ca.crt"))
        .flag("cluster-signing-key-file", plan.pki("ca.key"))
        .flag("bind-address", "127.0.0.1")
        .arg("--leader-elect=false")
        .args(grace)
        // At the default rate it takes 5 s to fetch the tokens of all its controllers.
        .args(RATE)
}

pub(super) fn scheduler(plan: &Plan, kubernetes: &Built) -> Spec {
    Spec::new("kube-scheduler", kubernetes.bin("kube-scheduler"))
        .flag("kubeconfig", plan.kubeconfig("scheduler"))
        .flag("bind-address", "127.0.0.1")
        .arg("--leader-elect=false")
        .args(RATE)
}

pub(super) fn kwok(plan: &Plan, kwok: &Built) -> Spec {
    Spec::new("kwok", kwok.bin("kwok"))
        .flag("kubeconfig", plan.kubeconfig("admin"))
        .flag("config", text(kwok.share("stages.yaml")))
        .flag("manage-nodes-with-annotation-selector", "kwok.x-k8s.io/node=fake")
        .flag("node-lease-duration-seconds", "40")
        .flag("node-ip", &plan.address)
        .flag("cidr", plan.kwok_pod_cidr())
}
