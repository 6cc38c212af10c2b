//! One real site for all tests that leave it as it is.

use std::path::PathBuf;

use holdfast_cluster::{Cluster, Connect};
use holdfast_testbed::Site;
use tokio::sync::OnceCell;

static SITE: OnceCell<Site> = OnceCell::const_new();

/// The site, with a node. The tests run beside each other, each in a namespace of its own; the
/// site ends with the test process.
pub async fn site() -> &'static Site {
    SITE.get_or_init(|| async { Site::builder("cluster").node().start().await.unwrap() }).await
}

/// A connection to it with all rights.
pub async fn admin() -> Cluster {
    connect(site().await.kubeconfig()).await
}

pub async fn connect(kubeconfig: PathBuf) -> Cluster {
    Cluster::connect(Connect { kubeconfig: Some(kubeconfig), ..Connect::default() }).await.unwrap()
}

/// Makes a namespace for one test.
pub async fn namespace(name: &str) -> &'static Site {
    let site = site().await;
    site.kubectl(&["create", "namespace", name]).await.unwrap();
    site
}
