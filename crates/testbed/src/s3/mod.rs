//! Object storage: real S3 servers over a directory, on the bridge where pods of all sites reach them.

mod launch;
mod request;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use crate::dirs::Cache;
use crate::error::Result;
use crate::report::Reporter;
use crate::server::{Server, random};
use request::Request;
pub(crate) use request::mac;

/// Which program serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// VersityGW: objects are plain files, 60 MB resident.
    VersityGw,
    /// MinIO, 220 MB resident.
    Minio,
}

/// A running S3 server. Dropping it takes it down with all data; so does the death of this process.
pub struct S3 {
    make: Make,
    credentials: Credentials,
    server: Server,
}

/// The server's one user.
#[derive(Clone)]
struct Credentials {
    access: String,
    secret: String,
}

impl S3 {
    /// Starts VersityGW with versioning, called `s3`.
    pub async fn start() -> Result<Self> {
        Self::start_as("s3", Make::VersityGw, Cache::of_user()?, Reporter::stderr()).await
    }

    /// Starts MinIO, called `minio`.
    pub async fn minio() -> Result<Self> {
        Self::start_as("minio", Make::Minio, Cache::of_user()?, Reporter::stderr()).await
    }

    /// Starts a server of this make under a name of its own.
    pub async fn start_as(name: &str, make: Make, cache: Cache, report: Reporter) -> Result<Self> {
        let credentials = Credentials {
            access: format!("AK{}", hex::encode(random::<10>()?)),
            secret: hex::encode(random::<10>()?),
        };
        let given = credentials.clone();
        let spec = move |built: &_, dir: PathBuf, address| make.spec(built, &dir, address, &given);
        let server = Server::start(name, make.part(), cache, report, spec).await?;
        let mut started = Self { make, credentials, server };
        started.answers().await?;
        Ok(started)
    }

    async fn answers(&mut self) -> Result<()> {
        let (address, Credentials { access, secret }) = (self.address(), self.credentials.clone());
        let probe = || async { Request::new("GET", "/").send(address, &access, &secret).await.is_ok() };
        self.server.answers(probe).await
    }

    /// `http://ADDRESS:PORT`, the same for the host and for pods of every site.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// Its address, for a [`crate::FaultProxy`] in front of it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Access key of its one user.
    #[must_use]
    pub fn access_key(&self) -> &str {
        &self.credentials.access
    }

    /// Secret key of its one user.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        &self.credentials.secret
    }

    /// The region to sign for.
    #[must_use]
    pub fn region(&self) -> &'static str {
        request::REGION
    }

    /// The variables by which the usual tools (restic among them) take the credentials.
    #[must_use]
    pub fn env(&self) -> [(&'static str, String); 3] {
        [
            ("AWS_ACCESS_KEY_ID", self.credentials.access.clone()),
            ("AWS_SECRET_ACCESS_KEY", self.credentials.secret.clone()),
            ("AWS_REGION", self.region().into()),
        ]
    }

    /// Makes a bucket, and gives its name.
    pub async fn bucket(&self, name: &str) -> Result<String> {
        self.send(Request::new("PUT", &format!("/{name}"))).await?;
        Ok(name.to_owned())
    }

    /// Makes a bucket in which every version is kept.
    pub async fn versioned_bucket(&self, name: &str) -> Result<String> {
        let bucket = self.bucket(name).await?;
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.send(Request::new("PUT", &format!("/{name}")).query("versioning").body(body)).await?;
        Ok(bucket)
    }

    /// Makes a bucket in which objects can be locked against deletion.
    pub async fn object_lock_bucket(&self, name: &str) -> Result<String> {
        let lock = ("x-amz-bucket-object-lock-enabled", "true");
        self.send(Request::new("PUT", &format!("/{name}")).header(lock.0, lock.1)).await?;
        Ok(name.to_owned())
    }

    /// Where it keeps buckets as directories; with VersityGW, objects are plain files there.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.server.dir().join("data")
    }

    /// Its logs; they stay when it is gone.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.server.dir().join("log")
    }

    /// Which program serves.
    #[must_use]
    pub fn make(&self) -> Make {
        self.make
    }

    /// Stops it in its tracks (SIGSTOP): connections are taken and hang.
    pub fn pause(&self) {
        self.server.pause();
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.server.resume();
    }

    /// Kills the server; its data stays. Connections are refused until [`Self::restart`].
    pub fn kill(&mut self) -> Result<()> {
        self.server.component().kill()
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

    /// Lets it outlive this process. `holdfast-testbed down NAME` ends it.
    pub fn keep(self) -> Result<()> {
        self.server.keep()
    }

    async fn send(&self, request: Request) -> Result<String> {
        request.send(self.address(), &self.credentials.access, &self.credentials.secret).await
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3")
            .field("make", &self.make)
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
