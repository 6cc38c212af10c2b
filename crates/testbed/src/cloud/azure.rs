//! A stand-in for Azure Blob Storage.

use std::net::SocketAddr;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::component::Spec;
use crate::dirs::Cache;
use crate::error::{At, Error, Result};
use crate::exchange::exchange;
use crate::kernel::bridge::HOST_ADDRESS;
use crate::parts::{Built, Part};
use crate::report::Reporter;
use crate::s3::mac;
use crate::server::{Server, random};

/// The one account.
const ACCOUNT: &str = "holdfast";

/// A version of the service that it knows, for requests of ours.
const VERSION: &str = "2023-11-03";

/// Under which domain the account has a name as at the real service.
const DOMAIN: &str = "azure.test";

/// A running Azurite with one account. Dropping it takes it down with all data.
#[must_use]
pub struct Azure {
    key: [u8; 64],
    certificate: rcgen::Certificate,
    server: Server,
}

impl Azure {
    /// Starts one called `azure`.
    pub async fn start() -> Result<Self> {
        let key: [u8; 64] = random()?;
        let names = vec![HOST_ADDRESS.to_string(), format!("{ACCOUNT}.blob.{DOMAIN}")];
        let own = rcgen::generate_simple_self_signed(names)
            .map_err(|source| Error::Certificate { subject: "azure".into(), source })?;
        let (pem, secret) = (own.cert.pem(), own.signing_key.serialize_pem());
        let spec = move |built: &Built, dir: PathBuf, address: SocketAddr| -> Result<Spec> {
            let data = dir.join("data");
            std::fs::create_dir_all(&data).at("create", &data)?;
            let (certificate, private) = (dir.join("azure.crt"), dir.join("azure.key"));
            for (path, pem) in [(&certificate, pem), (&private, secret)] {
                std::fs::write(path, pem).at("write", path)?;
            }
            Ok(Spec::new("azurite", built.bin("azurite-blob"))
                .env("AZURITE_ACCOUNTS", &format!("{ACCOUNT}:{}", STANDARD.encode(key)))
                .flag("blobHost", address.ip().to_string())
                .flag("blobPort", address.port().to_string())
                .flag("location", data)
                .flag("cert", certificate)
                .flag("key", private)
                .args(["--silent", "--disableTelemetry", "--skipApiVersionCheck"]))
        };
        let server =
            Server::start("azure", Part::Azurite, Cache::of_user()?, Reporter::stderr(), spec).await?;
        let mut started = Self { key, certificate: own.cert, server };
        started.answers().await?;
        Ok(started)
    }

    async fn answers(&mut self) -> Result<()> {
        let address = self.server.address();
        self.server.answers(|| super::listens(address)).await
    }

    /// `https://ADDRESS:PORT/ACCOUNT`, the account's endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://{}/{ACCOUNT}", self.server.address())
    }

    /// Its certificate in PEM, which signs itself.
    #[must_use]
    pub fn authority(&self) -> String {
        self.certificate.pem()
    }

    /// What follows `ACCOUNT.blob.` in the account's endpoint for clients that know no other, to whom
    /// [`Self::hosts`] says where that is.
    #[must_use]
    pub fn suffix(&self) -> String {
        format!("{DOMAIN}:{}", self.server.address().port())
    }

    /// A line of `/etc/hosts` for the account's name.
    #[must_use]
    pub fn hosts(&self) -> String {
        format!("{HOST_ADDRESS} {ACCOUNT}.blob.{DOMAIN}\n")
    }

    /// Name of its one account.
    #[must_use]
    pub fn account(&self) -> &'static str {
        ACCOUNT
    }

    /// Key of its one account, in base64.
    #[must_use]
    pub fn key(&self) -> String {
        STANDARD.encode(self.key)
    }

    /// Makes a container, with a request in the account's name.
    ///
    /// <https://learn.microsoft.com/en-us/rest/api/storageservices/authorize-with-shared-key>
    pub async fn container(&self, name: &str) -> Result<()> {
        let (to, time) = (self.server.address(), now());
        let headers = format!("x-ms-date:{time}\nx-ms-version:{VERSION}\n");
        let to_sign =
            format!("PUT{}{headers}/{ACCOUNT}/{ACCOUNT}/{name}\nrestype:container", "\n".repeat(12));
        let signature = STANDARD.encode(mac(&self.key, &to_sign));
        let request = format!(
            "PUT /{ACCOUNT}/{name}?restype=container HTTP/1.1\r\nhost: {to}\r\nx-ms-date: {time}\r\n\
             x-ms-version: {VERSION}\r\nauthorization: SharedKey {ACCOUNT}:{signature}\r\n\
             content-length: 0\r\nconnection: close\r\n\r\n"
        );
        exchange(to, Some(self.certificate.der().clone()), &format!("PUT container {name}"), &request)
            .await
            .map(drop)
    }

    /// Ends the server, breaking off what it is at. Not by SIGKILL: it writes what it knows of its objects only every
    /// few seconds, which the real service does not. Connections are refused until [`Self::restart`].
    pub fn end(&mut self) -> Result<()> {
        self.server.component().terminate()
    }

    /// Starts it again at the same address with the same data, and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.server.component().restart()?;
        self.answers().await
    }

    /// Takes it down with all data.
    pub async fn stop(self) -> Result<()> {
        self.server.stop().await
    }
}

/// The time in the signature's form.
#[allow(
    clippy::disallowed_methods,
    reason = "a server takes only requests signed within minutes of its own clock"
)]
fn now() -> String {
    jiff::Timestamp::now().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
