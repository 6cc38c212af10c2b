//! From an address, options and credentials to a store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::{RetryPolicy, Store};
use crate::error::{Error, Result};

/// How to reach a store. All of it is public; secrets are in [`Credentials`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// S3: endpoint of a server that is not AWS; a plain `http://` endpoint is accepted as such.
    pub endpoint: Option<String>,
    /// S3: region; `us-east-1` if left out.
    pub region: Option<String>,
    /// S3: bucket in the host name instead of the path.
    pub virtual_hosted: bool,
    /// PEM with the authority that signed the endpoint's certificate, beside the usual ones.
    pub ca_pem: Option<Vec<u8>>,
    /// How long failed requests are repeated.
    pub retry: RetryPolicy,
    /// Bytes a second, sent and received together, that are not exceeded; `None` for as many as there
    /// are. Not for local directories.
    pub bandwidth: Option<u64>,
    /// A local directory is written without waiting for the disk: for tests alone.
    pub no_sync: bool,
}

/// Secrets of a store, under the names of the storage's own tools (`AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `GOOGLE_SERVICE_ACCOUNT`,
/// `AZURE_STORAGE_ACCOUNT_NAME`, `AZURE_STORAGE_ACCOUNT_KEY`, …).
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials(BTreeMap<String, String>);

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

impl Credentials {
    /// None: for local directories, and for instances whose identity the cloud provides.
    pub fn none() -> Self {
        Self::default()
    }

    /// An access key of an S3 server.
    pub fn s3(access_key: impl Into<String>, secret_key: impl Into<String>) -> Self {
        [("AWS_ACCESS_KEY_ID", access_key.into()), ("AWS_SECRET_ACCESS_KEY", secret_key.into())]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    /// The variables and their values, to be handed on.
    pub fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Credentials {
    /// Takes the variables that belong to a storage's tools and leaves the rest.
    fn from_iter<I: IntoIterator<Item = (String, String)>>(variables: I) -> Self {
        let known = ["AWS_", "GOOGLE_", "AZURE_"];
        let ours = |key: &str| known.iter().any(|prefix| key.starts_with(prefix));
        Self(variables.into_iter().filter(|(key, _)| ours(key)).collect())
    }
}

pub(super) fn connect(url: &str, options: &StoreOptions, credentials: &Credentials) -> Result<Store> {
    let invalid = |reason: String| Error::InvalidUrl { url: url.to_owned(), reason };
    let (scheme, rest) = url.split_once("://").ok_or_else(|| invalid("it has no scheme".to_owned()))?;
    if scheme == "file" {
        return open_directory(rest, options).map_err(|error| invalid(error.to_string()));
    }
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err(invalid("the bucket is missing".to_owned()));
    }
    let prefix = Path::parse(prefix).map_err(|error| invalid(error.to_string()))?;
    // The first provider installed stays; that one was there before is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let connection = Connection { bucket, options, credentials, client: client_options(options)? };
    let objects = match scheme {
        "s3" => connection.s3(),
        "gs" => connection.gcs(),
        "az" => connection.azure(),
        _ => return Err(invalid(format!("`{scheme}` is not a known scheme"))),
    };
    let objects = objects.map_err(|error| invalid(error.to_string()))?;
    let address = format!("{scheme}://{bucket}");
    Ok(Store::limited(objects, address, options.retry, options.bandwidth, prefix))
}

fn open_directory(path: &str, options: &StoreOptions) -> Result<Store, Box<dyn std::error::Error>> {
    if !path.starts_with('/') {
        return Err("the directory must be absolute: file:///directory".into());
    }
    std::fs::create_dir_all(path).map_err(|error| format!("cannot create the directory: {error}"))?;
    let objects = LocalFileSystem::new_with_prefix(path)?.with_fsync(!options.no_sync);
    Ok(Store::new(Arc::new(objects), format!("file://{path}"), RetryPolicy::none(), Path::default()))
}

fn client_options(options: &StoreOptions) -> Result<ClientOptions> {
    let plain_http = options.endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    let mut client = ClientOptions::new()
        .with_allow_http(plain_http)
        .with_connect_timeout(Duration::from_secs(10))
        // A pack of 16 MiB over one megabit per second takes two minutes.
        .with_timeout(Duration::from_secs(300))
        .with_pool_idle_timeout(Duration::from_secs(60));
    if let Some(pem) = &options.ca_pem {
        let certificates = Certificate::from_pem_bundle(pem).map_err(|error| Error::InvalidUrl {
            url: options.endpoint.clone().unwrap_or_default(),
            reason: format!("the authority's certificate cannot be read: {error}"),
        })?;
        client = certificates.into_iter().fold(client, ClientOptions::with_root_certificate);
    }
    Ok(client)
}

struct Connection<'a> {
    bucket: &'a str,
    options: &'a StoreOptions,
    credentials: &'a Credentials,
    client: ClientOptions,
}

type Objects = object_store::Result<Arc<dyn ObjectStore>>;

impl Connection<'_> {
    fn s3(self) -> Objects {
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(self.bucket)
            .with_region(self.options.region.as_deref().unwrap_or("us-east-1"))
            .with_virtual_hosted_style_request(self.options.virtual_hosted)
            .with_client_options(self.client)
            .with_retry(no_retry());
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        for (key, value) in self.credentials.variables() {
            if let Ok(key) = key.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        Ok(Arc::new(builder.build()?))
    }

    fn gcs(self) -> Objects {
        let mut builder = GoogleCloudStorageBuilder::new()
            .with_bucket_name(self.bucket)
            .with_client_options(self.client)
            .with_retry(no_retry());
        for (key, value) in self.credentials.variables() {
            if let Ok(key) = key.to_ascii_lowercase().parse::<GoogleConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        Ok(Arc::new(builder.build()?))
    }

    fn azure(self) -> Objects {
        let mut builder = MicrosoftAzureBuilder::new()
            .with_container_name(self.bucket)
            .with_client_options(self.client)
            .with_retry(no_retry());
        for (key, value) in self.credentials.variables() {
            if let Ok(key) = key.to_ascii_lowercase().parse::<AzureConfigKey>() {
                builder = builder.with_config(key, value);
            }
        }
        Ok(Arc::new(builder.build()?))
    }
}

/// [`RetryPolicy`] repeats requests, for all stores alike.
fn no_retry() -> RetryConfig {
    RetryConfig { max_retries: 0, ..RetryConfig::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(url: &str) -> Result<Store> {
        Store::connect(url, &StoreOptions::default(), &Credentials::none())
    }

    #[test]
    fn addresses_that_cannot_work_are_refused_with_the_reason() {
        for (url, reason) in [
            ("bucket/prefix", "no scheme"),
            ("ftp://x/y", "`ftp` is not a known scheme"),
            ("s3:///prefix", "bucket is missing"),
            ("file://relative", "must be absolute"),
        ] {
            let error = open(url).unwrap_err();
            assert_eq!(error.code(), "vault.invalid_url");
            assert!(error.to_string().contains(reason), "{error}");
        }
    }

    #[test]
    fn clouds_connect_without_a_request() {
        assert_eq!(open("s3://bucket/a/b").unwrap().address(), "s3://bucket/a/b");
    }

    #[test]
    fn secrets_are_never_printed() {
        let credentials = Credentials::s3("id", "very-secret");
        assert!(!format!("{credentials:?}").contains("secret\""));
        assert!(!format!("{credentials:?}").contains("very-secret"));
    }
}
