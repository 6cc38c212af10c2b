//! The example shop, deployed under a namespace of the scenario's.

use std::time::Duration;

use holdfast_testbed::{CSI_CLASS, Site};

use crate::stand::{apply, kubectl, until};

/// A shop at a site.
pub struct Shop<'a> {
    pub site: &'a Site,
    pub namespace: String,
}

/// Count, highest number and digest of the orders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    pub count: i64,
    pub last: i64,
    pub digest: String,
}

const CRD: &str = include_str!("../../../../examples/shop/crd.yaml");
const SHOP: &str = include_str!("../../../../examples/shop/shop.yaml");
const APPLICATION: &str = include_str!("../../../../examples/shop/application.yaml");

impl<'a> Shop<'a> {
    /// Deploys the shop and waits until its database has a schema.
    pub fn deploy(site: &'a Site, namespace: &str) -> Self {
        Self::deploy_as(site, namespace, SHOP)
    }

    /// The same with the database on storage that takes snapshots.
    pub fn deploy_on_snapshots(site: &'a Site, namespace: &str) -> Self {
        let claim = "      accessModes: [ReadWriteOnce]\n";
        let with_class = format!("{claim}      storageClassName: {CSI_CLASS}\n");
        assert!(SHOP.contains(claim), "the shop's claim is not where it was");
        Self::deploy_as(site, namespace, &SHOP.replace(claim, &with_class))
    }

    fn deploy_as(site: &'a Site, namespace: &str, manifests: &str) -> Self {
        apply(site, CRD);
        kubectl(site, &["wait", "--for=condition=Established", "--timeout=60s", "crd/catalogs.shop.example"]);
        apply(site, &in_namespace(manifests, namespace));
        let shop = Self::at(site, namespace);
        shop.until(&["get", "job/schema", "-o", "jsonpath={.status.succeeded}"], |said| said == "1");
        shop
    }

    /// The shop where it has been restored to.
    pub fn at(site: &'a Site, namespace: &str) -> Self {
        Self { site, namespace: namespace.to_owned() }
    }

    /// The shop's manifest for Holdfast.
    pub fn application(&self) -> String {
        in_namespace(APPLICATION, &self.namespace)
            .replace("name: shop\n", &format!("name: {}\n", self.namespace))
    }

    /// The same without hooks: the database is captured as a power loss would leave it.
    pub fn application_without_hooks(&self) -> String {
        let application = self.application();
        let hooks = application.find("  hooks:\n").expect("the shop has hooks");
        application[..hooks].to_owned()
    }

    /// Runs `kubectl` in the shop's namespace.
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        kubectl(self.site, &[&["-n", &self.namespace], arguments].concat())
    }

    /// Waits until `kubectl` in the shop's namespace says what pleases.
    pub fn until(&self, arguments: &[&str], good: impl Fn(&str) -> bool) -> String {
        until(self.site, Duration::from_secs(240), &[&["-n", &self.namespace], arguments].concat(), good)
    }

    /// A query of the shop's database.
    pub fn query(&self, sql: &str) -> String {
        let psql = [
            "exec", "db-0", "-c", "postgres", "--", "psql", "-U", "postgres", "-d", "shop", "-XqAt", "-c",
            sql,
        ];
        self.kubectl(&psql).trim().to_owned()
    }

    /// Adds rows.
    pub fn order(&self, count: u32) {
        self.query(&format!(
            "insert into orders (item) select 'hat ' || n from generate_series(1, {count}) n"
        ));
    }

    /// The orders up to a number.
    pub fn ledger(&self, upto: i64) -> Ledger {
        let said = self.query(&format!(
            "select count(*), coalesce(max(id), 0), \
             coalesce(md5(string_agg(id || ':' || item, ',' order by id)), '-') from orders where id <= {upto}"
        ));
        let fields: Vec<&str> = said.split('|').collect();
        Ledger {
            count: fields[0].parse().expect("a count"),
            last: fields[1].parse().expect("a number"),
            digest: fields[2].to_owned(),
        }
    }

    /// What the page says, asked through the Service from inside the cluster. The way to a pod that has
    /// just become ready is open some moments later, and that to the database behind it, too.
    pub fn page(&self) -> String {
        let url = format!("http://web.{}.svc.cluster.local/cgi-bin/orders", self.namespace);
        let get = ["exec", "deploy/web", "-c", "httpd", "--", "busybox", "wget", "-q", "-O-", &url];
        let get = [&["-n", self.namespace.as_str()], &get[..]].concat();
        until(self.site, Duration::from_secs(60), &get, |said| !said.is_empty())
    }
}

/// The example's manifests with another namespace; cluster-scoped names get it as a prefix.
fn in_namespace(text: &str, namespace: &str) -> String {
    text.replace("namespace: shop", &format!("namespace: {namespace}"))
        .replace("namespaces: [shop]", &format!("namespaces: [{namespace}]"))
        .replace(
            "kind: Namespace\nmetadata:\n  name: shop\n",
            &format!("kind: Namespace\nmetadata:\n  name: {namespace}\n"),
        )
        .replace("name: shop-node-reader", &format!("name: {namespace}-node-reader"))
}
