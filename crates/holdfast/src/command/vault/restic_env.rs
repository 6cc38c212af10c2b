//! `holdfast vault restic-env`: the variables with which stock restic opens an application's repository.
//!
//! The storage's own credentials are not printed: they are in the environment already, or in the
//! file that the output sources.

use clap::Args;
use holdfast_model::Outcome;
use holdfast_model::manifest::{CredentialsSource, VaultSpec};
use serde::Serialize;

use crate::error::Error;
use crate::interrupt;
use crate::session::Session;

/// Prints shell exports, e.g. for `eval "$(holdfast vault restic-env APP)"`.
#[derive(Debug, Args)]
pub(crate) struct ResticEnv {
    /// Name or id of the application
    #[arg(value_name = "APP")]
    app: String,
}

/// One variable, or a file of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
enum Line {
    Set {
        name: &'static str,
        value: String,
    },
    /// A variable that restic knows under another name than the storage's own tools, which have two of them.
    Alias {
        name: &'static str,
        of: &'static str,
        or: &'static str,
    },
    Source {
        file: String,
    },
}

impl ResticEnv {
    pub(crate) fn run(self, session: &Session) -> anyhow::Result<Outcome> {
        let found = interrupt::query(async || session.find_application(&self.app).await)?;
        let (tenant, id) = (&found.vault.tenant, &found.application.id);
        let password = tenant.repository_password(id).expose().to_owned();
        let mut lines = lines(&found.vault.manifest.spec, &tenant.repository_prefix(id))?;
        lines.push(Line::Set { name: "RESTIC_PASSWORD", value: password });
        session.output.show(&lines, |_| lines.iter().map(Line::shell).collect())?;
        Ok(Outcome::Completed)
    }
}

impl Line {
    fn shell(&self) -> String {
        match self {
            Line::Set { name, value } => format!("export {name}={}\n", quoted(value)),
            Line::Alias { name, of, or } => format!("export {name}=\"${{{of}:-${or}}}\"\n"),
            Line::Source { file } => format!("set -a; . {}; set +a\n", quoted(file)),
        }
    }
}

fn lines(spec: &VaultSpec, prefix: &str) -> anyhow::Result<Vec<Line>> {
    let mut lines = Vec::new();
    if let CredentialsSource::File(file) = &spec.credentials {
        lines.push(Line::Source { file: file.clone() });
    }
    let (scheme, rest) = spec.url.split_once("://").unwrap_or_default();
    let whole = join(rest, prefix);
    let (bucket, below) = whole.split_once('/').unwrap_or((&whole, ""));
    let repository = match scheme {
        "file" => whole.clone(),
        "s3" => {
            let endpoint = spec.endpoint.as_deref().unwrap_or("https://s3.amazonaws.com");
            format!("s3:{}/{whole}", endpoint.trim_end_matches('/'))
        }
        "gs" => {
            let (name, or) = ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT");
            lines.push(Line::Alias { name, of: name, or });
            let set = |value| Line::Set { name: "STORAGE_EMULATOR_HOST", value };
            lines.extend(spec.endpoint.clone().map(set));
            format!("gs:{bucket}:/{below}")
        }
        "az" => {
            let (of, or) = ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME");
            lines.push(Line::Alias { name: "AZURE_ACCOUNT_NAME", of, or });
            let (of, or) = ("AZURE_STORAGE_KEY", "AZURE_STORAGE_ACCOUNT_KEY");
            lines.push(Line::Alias { name: "AZURE_ACCOUNT_KEY", of, or });
            let (of, or) = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY");
            lines.push(Line::Alias { name: "AZURE_ACCOUNT_SAS", of, or });
            if let Some(endpoint) = &spec.endpoint {
                lines.push(Line::Set { name: "AZURE_ENDPOINT_SUFFIX", value: azure_suffix(endpoint)? });
            }
            format!("azure:{bucket}:/{below}")
        }
        _ => {
            let what = format!("restic has no address for `{}`", spec.url);
            return Err(Error::Usage { what, hint: "use a vault at s3://, gs://, az:// or file:///" }.into());
        }
    };
    lines.extend(spec.region.clone().map(|value| Line::Set { name: "AWS_DEFAULT_REGION", value }));
    lines.extend(spec.ca_file.clone().map(|value| Line::Set { name: "RESTIC_CACERT", value }));
    lines.push(Line::Set { name: "RESTIC_REPOSITORY", value: repository });
    Ok(lines)
}

/// What follows the account's name in an endpoint of Azure: restic takes no more of it.
fn azure_suffix(endpoint: &str) -> anyhow::Result<String> {
    let host = endpoint.strip_prefix("https://").map(|rest| rest.trim_end_matches('/'));
    match host.and_then(|host| host.split_once(".blob.")) {
        Some((_, suffix)) if !suffix.contains('/') => Ok(suffix.to_owned()),
        _ => {
            let what =
                format!("restic cannot reach Azure at `{endpoint}`, only at https://ACCOUNT.blob.SUFFIX");
            Err(Error::Usage { what, hint: "use `holdfast vault check` and `holdfast files` instead" }.into())
        }
    }
}

fn join(base: &str, below: &str) -> String {
    format!("{}/{}", base.trim_end_matches('/'), below.trim_matches('/'))
}

/// Text in the single quotes of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(url: &str, endpoint: Option<&str>, file: Option<&str>) -> String {
        let credentials = file.map_or(CredentialsSource::Environment, |f| CredentialsSource::File(f.into()));
        let spec = VaultSpec {
            url: url.into(),
            endpoint: endpoint.map(Into::into),
            credentials,
            ..VaultSpec::default()
        };
        lines(&spec, "tenants/default/apps/a1").unwrap().iter().map(Line::shell).collect()
    }

    #[test]
    fn every_kind_of_storage_has_its_address() {
        let all = [
            shell("file:///srv/v", None, None),
            shell("s3://bucket/pre", Some("https://s3.bank:9000/"), Some("/etc/it's")),
            shell("s3://bucket", None, None),
            shell("gs://bucket/pre", None, None),
            shell("gs://bucket/pre", Some("http://gcs.test:4443"), None),
            shell("az://box/pre", None, None),
            shell("az://box/pre", Some("https://bank.blob.core.chinacloudapi.cn/"), None),
        ];
        assert!(azure_suffix("http://198.18.0.1:10000/bank").is_err());
        insta::assert_snapshot!(all.join("\n"));
    }
}
