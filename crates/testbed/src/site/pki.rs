//! Certificates of a site: one authority, and one certificate per component, as kubeadm would hand out.

use std::os::unix::fs::OpenOptionsExt;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::node::NodePlan;
use super::plan::Plan;
use super::snapshot_metadata;
use crate::error::{At, Error, Result};

/// A certificate's file name, organisation and common name; the names are what Kubernetes authorises by.
struct Subject {
    file: String,
    organisation: Option<&'static str>,
    common_name: String,
    addresses: Vec<String>,
}

/// Users that have a kubeconfig, beside each node's kubelet.
pub(crate) const USERS: [&str; 5] =
    ["admin", "controller-manager", "scheduler", "proxy", snapshot_metadata::USER];

/// Makes all keys and certificates of a site.
pub(crate) fn create(plan: &Plan, nodes: &[NodePlan]) -> Result<()> {
    let dir = plan.dir.join("pki");
    std::fs::create_dir_all(&dir).at("create", &dir)?;
    let authority = Authority::create(plan)?;
    for subject in subjects(plan).into_iter().chain(nodes.iter().map(kubelet)) {
        authority.sign(plan, &subject)?;
    }
    let tokens = key("service accounts")?;
    write(plan, "service-accounts.key", &tokens.serialize_pem())?;
    write(plan, "service-accounts.pub", &tokens.public_key_pem())
}

fn subjects(plan: &Plan) -> Vec<Subject> {
    vec![
        Subject {
            addresses: names(&[
                "127.0.0.1",
                &plan.service_api(),
                &plan.address,
                "localhost",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.cluster.local",
            ]),
            ..client("apiserver", None, "kube-apiserver")
        },
        Subject {
            addresses: names(&[&plan.address]),
            ..client(snapshot_metadata::USER, None, snapshot_metadata::USER)
        },
        client("admin", Some("system:masters"), "admin"),
        client("controller-manager", None, "system:kube-controller-manager"),
        client("scheduler", None, "system:kube-scheduler"),
        client("proxy", None, "system:kube-proxy"),
        client("apiserver-kubelet", Some("system:masters"), "kube-apiserver-kubelet-client"),
        client("front-proxy", None, "front-proxy-client"),
    ]
}

/// A kubelet is a client of the API server and a server for it.
fn kubelet(node: &NodePlan) -> Subject {
    let name = node.name();
    Subject {
        addresses: names(&[&name, "127.0.0.1", &node.address]),
        ..client(&node.user(), Some("system:nodes"), &format!("system:node:{name}"))
    }
}

fn client(file: &str, organisation: Option<&'static str>, name: &str) -> Subject {
    Subject { file: file.to_owned(), organisation, common_name: name.to_owned(), addresses: Vec::new() }
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn create(plan: &Plan) -> Result<Self> {
        let subject = format!("{}-ca", plan.name);
        let failed = named(&subject);
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, &subject);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = key(&subject)?;
        let certificate = params.self_signed(&key).map_err(failed)?;
        write(plan, "ca.key", &key.serialize_pem())?;
        write(plan, "ca.crt", &certificate.pem())?;
        Ok(Self { issuer: Issuer::new(params, key) })
    }

    fn sign(&self, plan: &Plan, subject: &Subject) -> Result<()> {
        let mut params = CertificateParams::new(subject.addresses.clone()).map_err(named(&subject.file))?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(organisation) = subject.organisation {
            params.distinguished_name.push(DnType::OrganizationName, organisation);
        }
        params.distinguished_name.push(DnType::CommonName, &subject.common_name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        let key = key(&subject.file)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(named(&subject.file))?;
        write(plan, &format!("{}.key", subject.file), &key.serialize_pem())?;
        write(plan, &format!("{}.crt", subject.file), &certificate.pem())
    }
}

/// A fresh P-256 key.
fn key(subject: &str) -> Result<KeyPair> {
    KeyPair::generate().map_err(named(subject))
}

fn named(subject: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let subject = subject.to_owned();
    move |source| Error::Certificate { subject, source }
}

fn write(plan: &Plan, file: &str, pem: &str) -> Result<()> {
    use std::io::Write;
    let path = plan.pki(file);
    let mut options = std::fs::File::options();
    let mut out =
        options.create(true).write(true).truncate(true).mode(0o600).open(&path).at("create", &path)?;
    out.write_all(pem.as_bytes()).at("write", path)
}
