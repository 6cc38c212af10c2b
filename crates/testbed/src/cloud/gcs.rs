//! A stand-in for Google Cloud Storage.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::component::Spec;
use crate::dirs::Cache;
use crate::error::{At, Error, Result};
use crate::exchange::exchange;
use crate::parts::{Built, Part};
use crate::report::Reporter;
use crate::server::Server;
use crate::tool;

/// A running fake-gcs-server. It asks nobody for credentials. Dropping it takes it down with all data.
#[must_use]
pub struct Gcs {
    server: Server,
}

impl Gcs {
    /// Starts one called `gcs` whose objects are files: they outlive [`Self::kill`], but there is no versioning.
    pub async fn start() -> Result<Self> {
        Self::start_as("gcs", true).await
    }

    /// Starts one called `gcs-memory` that can keep versions and loses all when it is killed.
    pub async fn in_memory() -> Result<Self> {
        Self::start_as("gcs-memory", false).await
    }

    async fn start_as(name: &str, files: bool) -> Result<Self> {
        let spec = move |built: &Built, dir: PathBuf, address: SocketAddr| -> Result<Spec> {
            let spec = Spec::new("gcs", built.bin("fake-gcs")).flag("address", address.to_string());
            if !files {
                return Ok(spec);
            }
            let data = dir.join("data");
            std::fs::create_dir_all(&data).at("create", &data)?;
            Ok(spec.flag("root", data))
        };
        let server = Server::start(name, Part::FakeGcs, Cache::of_user()?, Reporter::stderr(), spec).await?;
        let mut started = Self { server };
        started.answers().await?;
        Ok(started)
    }

    async fn answers(&mut self) -> Result<()> {
        let address = self.server.address();
        self.server.answers(|| super::listens(address)).await
    }

    /// `http://ADDRESS:PORT`, the base URL of both its APIs.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// Makes a bucket.
    pub async fn bucket(&self, name: &str) -> Result<()> {
        self.create(&serde_json::json!({"name": name})).await
    }

    /// Makes a bucket in which every version is kept.
    pub async fn versioned_bucket(&self, name: &str) -> Result<()> {
        self.create(&serde_json::json!({"name": name, "versioning": {"enabled": true}})).await
    }

    async fn create(&self, bucket: &serde_json::Value) -> Result<()> {
        let (to, body) = (self.server.address(), bucket.to_string());
        let request = format!(
            "POST /storage/v1/b?project=testbed HTTP/1.1\r\nhost: {to}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        exchange(to, None, &format!("POST bucket {bucket}"), &request).await.map(drop)
    }

    /// The key of a new service account, as the cloud's console would hand it out.
    ///
    /// # Errors
    /// There is no `openssl`.
    pub fn service_account(&self) -> Result<String> {
        if tool::find("openssl").is_none() {
            let hint = "it makes the key of a service account: apt-get install openssl".into();
            return Err(Error::MissingTool { tool: "openssl".into(), hint });
        }
        let key = tool::run("openssl", &["genpkey", "-algorithm", "RSA"])?;
        let account = serde_json::json!({
            "type": "service_account",
            "project_id": "testbed",
            "private_key_id": "1",
            "private_key": key,
            "client_email": "holdfast@testbed.iam.gserviceaccount.com",
            "token_uri": format!("{}/token", self.endpoint()),
        });
        Ok(account.to_string())
    }

    /// Kills the server; its files stay. Connections are refused until [`Self::restart`].
    pub fn kill(&mut self) -> Result<()> {
        self.server.component().kill()
    }

    /// Starts it again at the same address, and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.component().restart()?;
        self.answers().await
    }

    /// Takes it down with all data.
    pub async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}
