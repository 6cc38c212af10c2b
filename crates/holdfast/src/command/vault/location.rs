//! Where a vault lies, as options of the command line or as the manifest that was applied before.

use std::path::PathBuf;

use clap::Args;
use holdfast_model::manifest::{CredentialsSource, Document, Manifest, VaultSpec};

use crate::error::Error;
use crate::home::manifests::Kind;
use crate::session::Session;

/// Where a vault lies.
#[derive(Debug, Args)]
pub(crate) struct Location {
    /// s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, az://CONTAINER/PREFIX or file:///DIRECTORY
    /// [default: what the vault's manifest says]
    #[arg(long)]
    url: Option<String>,

    /// Endpoint of a server that is not the cloud's own
    #[arg(long, value_name = "URL", requires = "url")]
    endpoint: Option<String>,

    /// S3: region [default: us-east-1]
    #[arg(long, requires = "url")]
    region: Option<String>,

    /// PEM file with the authority that signed the endpoint's certificate
    #[arg(long, value_name = "FILE", requires = "url")]
    ca_file: Option<PathBuf>,

    /// File with the credentials as KEY=value lines [default: environment variables]
    #[arg(long, value_name = "FILE", requires = "url")]
    credentials_file: Option<PathBuf>,

    /// Site where it stands
    #[arg(long, value_name = "NAME", requires = "url")]
    site: Option<String>,
}

impl Location {
    /// The manifest that these options make, or the one that was applied before.
    ///
    /// # Errors
    /// If the name is taken, or there is neither a url nor a manifest.
    pub(super) fn manifest(self, session: &Session, name: &str) -> anyhow::Result<Document<VaultSpec>> {
        if session.home.has_key(name) {
            let hint = "see `holdfast vault list`, or choose another name";
            return Err(Error::NameTaken { what: "vault", name: name.to_owned(), hint }.into());
        }
        let known = session.home.has(Kind::Vault, name);
        let Some(url) = self.url else {
            if known {
                return Ok(session.home.vault(name)?);
            }
            let what = format!("there is no manifest of vault `{name}` that would say where it lies");
            return Err(Error::Usage { what, hint: "add --url URL" }.into());
        };
        let spec = VaultSpec {
            url,
            site: self.site,
            endpoint: self.endpoint,
            region: self.region,
            ca_file: self.ca_file.as_deref().map(absolute).transpose()?,
            credentials: match self.credentials_file {
                Some(path) => CredentialsSource::File(absolute(&path)?),
                None => CredentialsSource::Environment,
            },
        };
        let document = Document::new(name, spec);
        Manifest::Vault(document.clone()).validate()?;
        if known && session.home.vault(name)? != document {
            let hint =
                "leave out --url and its companions to use that manifest, or change it with `holdfast apply`";
            return Err(Error::NameTaken { what: "manifest of vault", name: name.to_owned(), hint }.into());
        }
        Ok(document)
    }
}

/// A path that means the same whatever directory the next command is run in.
fn absolute(path: &std::path::Path) -> anyhow::Result<String> {
    let path = std::path::absolute(path).map_err(|error| Error::file("locate", path, error))?;
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => {
            let what = format!("the path `{}` is not UTF-8 and cannot stand in a manifest", path.display());
            Err(Error::Usage { what, hint: "rename the file" }.into())
        }
    }
}
