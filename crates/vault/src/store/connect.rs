//! From an address, options and credentials to a store.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{Certificate, ClientOptions, ObjectStore, RetryConfig};

use super::{RetryPolicy, Store};
use crate::error::{Error, Result};

/// How to reach a store. All of it is public; secrets are in [`Credentials`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Endpoint of a server that is not the cloud's own; a plain `http://` endpoint is accepted as such.
    /// GCS: the base URL of its XML API. Azure: the account's, `https://ACCOUNT.blob.core.windows.net` if left out.
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
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `GOOGLE_SERVICE_ACCOUNT_KEY`,
/// `AZURE_STORAGE_ACCOUNT`, `AZURE_STORAGE_KEY`, `AZURE_STORAGE_SAS_TOKEN`, …).
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

    /// Those alone that a store at this address can use: nobody is handed the keys of another cloud.
    #[must_use]
    pub fn of_url(self, url: &str) -> Self {
        let family = match url.split_once("://") {
            Some(("s3", _)) => "AWS_",
            Some(("gs", _)) => "GOOGLE_",
            Some(("az", _)) => "AZURE_",
            _ => return Self::none(),
        };
        Self(self.0.into_iter().filter(|(key, _)| key.starts_with(family)).collect())
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

// What an address and its options say is set after the variables, which could name another bucket.
impl Connection<'_> {
    fn s3(self) -> Objects {
        let mut builder = AmazonS3Builder::new()
            .with_region("us-east-1")
            .with_client_options(self.client.clone())
            .with_retry(no_retry());
        for (key, value) in self.settings() {
            builder = builder.with_config(key, value);
        }
        if let Some(region) = &self.options.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let builder = builder.with_virtual_hosted_style_request(self.options.virtual_hosted);
        Ok(Arc::new(builder.with_bucket_name(self.bucket).build()?))
    }

    fn gcs(self) -> Objects {
        let mut builder =
            GoogleCloudStorageBuilder::new().with_client_options(self.client.clone()).with_retry(no_retry());
        for (key, value) in self.settings() {
            builder = builder.with_config(key, value);
        }
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_base_url(endpoint.trim_end_matches('/'));
        }
        Ok(Arc::new(builder.with_bucket_name(self.bucket).build()?))
    }

    fn azure(self) -> Objects {
        let mut builder =
            MicrosoftAzureBuilder::new().with_client_options(self.client.clone()).with_retry(no_retry());
        for (key, value) in self.settings() {
            builder = builder.with_config(key, value);
        }
        if let Some(endpoint) = &self.options.endpoint {
            builder = builder.with_endpoint(endpoint.trim_end_matches('/').to_owned());
        }
        Ok(Arc::new(builder.with_container_name(self.bucket).build()?))
    }

    /// The credentials' variables that a builder knows.
    fn settings<K: FromStr>(&self) -> impl Iterator<Item = (K, &str)> {
        let known = |name: &str| long_name(name).to_ascii_lowercase().parse().ok();
        self.credentials.variables().filter_map(move |(name, value)| Some((known(name)?, value)))
    }
}

/// The builders' name of a variable that is shorter in Azure's own command line.
fn long_name(name: &str) -> &str {
    match name {
        "AZURE_STORAGE_ACCOUNT" => "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_KEY" => "AZURE_STORAGE_ACCOUNT_KEY",
        other => other,
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
        let azure =
            ["AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"].map(|key| (key.to_owned(), "a2V5".to_owned()));
        let azure: Credentials = azure.into_iter().collect();
        let store = Store::connect("az://box/a", &StoreOptions::default(), &azure).unwrap();
        assert_eq!(store.address(), "az://box/a");
        assert!(open("az://box/a").unwrap_err().to_string().contains("Account must be specified"));
    }

    #[test]
    fn a_store_is_given_the_keys_of_its_own_cloud_alone() {
        let all = ["AWS_ACCESS_KEY_ID", "GOOGLE_SERVICE_ACCOUNT_KEY", "AZURE_STORAGE_KEY", "HOME"];
        let all: Credentials = all.into_iter().map(|key| (key.to_owned(), "x".to_owned())).collect();
        for (url, left) in [("gs://b", "GOOGLE_SERVICE_ACCOUNT_KEY"), ("az://b", "AZURE_STORAGE_KEY")] {
            let own = all.clone().of_url(url);
            assert_eq!(own.variables().collect::<Vec<_>>(), [(left, "x")]);
        }
        assert_eq!(all.of_url("file:///srv"), Credentials::none());
    }

    /// A variable of the environment must not send backups to another place than the manifest says.
    #[test]
    fn no_variable_names_another_bucket() {
        let variables = [("AWS_BUCKET", "other"), ("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b")];
        let credentials: Credentials =
            variables.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        let store = Store::connect("s3://ours/x", &StoreOptions::default(), &credentials).unwrap();
        assert_eq!(store.inner.objects.to_string(), "AmazonS3(ours)");
    }

    #[test]
    fn secrets_are_never_printed() {
        let credentials = Credentials::s3("id", "very-secret");
        assert!(!format!("{credentials:?}").contains("secret\""));
        assert!(!format!("{credentials:?}").contains("very-secret"));
    }
}
