//! A vault's credentials, from where its manifest says. They are never printed and never stored.

use std::path::Path;

use holdfast_model::manifest::CredentialsSource;
use holdfast_vault::Credentials;

use super::private;
use crate::error::{Error, Result};

/// Reads the credentials of a vault at this address: those of its kind of storage alone.
///
/// # Errors
/// [`Error::File`], [`Error::TooOpen`], [`Error::Unreadable`] with the number of the line, never its content.
pub(crate) fn read(source: &CredentialsSource, url: &str) -> Result<Credentials> {
    let credentials: Credentials = match source {
        CredentialsSource::Environment => from_environment(),
        CredentialsSource::File(path) => {
            let path = Path::new(path);
            parse(path, &private::read_secret(path)?)?.into_iter().collect()
        }
    };
    with_content(credentials.of_url(url))
}

/// Google's tools take the file of a key; a mover in a cluster has no such file, so its content goes in its place.
fn with_content(credentials: Credentials) -> Result<Credentials> {
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let (files, mut others): (Vec<_>, Vec<_>) =
        credentials.variables().map(owned).partition(|(name, _)| KEY_FILES.contains(&name.as_str()));
    if let Some((_, file)) = files.first().filter(|_| others.iter().all(|(name, _)| name != KEY)) {
        others.push((KEY.to_owned(), service_account(Path::new(file))?));
    }
    Ok(others.into_iter().collect())
}

/// The key of a service account.
const KEY: &str = "GOOGLE_SERVICE_ACCOUNT_KEY";

/// The names under which Google's own and other tools take the file of such a key.
const KEY_FILES: [&str; 3] =
    ["GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"];

fn service_account(path: &Path) -> Result<String> {
    let text = private::read(path)?;
    let kind = serde_json::from_str::<serde_json::Value>(&text).ok().map(|json| json["type"].clone());
    if kind.is_some_and(|kind| kind == "service_account") {
        return Ok(text);
    }
    let reason =
        "it is not the key of a service account, which movers in a cluster need: make one for the vault"
            .into();
    Err(Error::Unreadable { place: path.display().to_string(), reason })
}

/// Variables whose names or values are not UTF-8 are no credentials.
fn from_environment() -> Credentials {
    std::env::vars_os()
        .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn parse(path: &Path, text: &str) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((key, value)) = line.strip_prefix("export ").unwrap_or(line).split_once('=') else {
            let reason = format!("line {} is not of the form KEY=value", number + 1);
            return Err(Error::Unreadable { place: path.display().to_string(), reason });
        };
        variables.push((key.trim().to_owned(), unquoted(value.trim()).to_owned()));
    }
    Ok(variables)
}

/// The value without the quotes that a shell would have taken off.
fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_a_shell_could_source_is_understood() {
        let text =
            "# the second centre\nexport AWS_ACCESS_KEY_ID=id\nAWS_SECRET_ACCESS_KEY='a=b'\n\nHOME=/x\n";
        let credentials: Credentials = parse(Path::new("f"), text).unwrap().into_iter().collect();
        let variables: Vec<_> = credentials.variables().collect();
        assert_eq!(variables, [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "a=b")]);
    }

    #[test]
    fn the_file_of_a_google_key_is_handed_on_as_its_content() {
        let dir = tempfile::tempdir().unwrap();
        let (key, of_user) = (dir.path().join("key.json"), dir.path().join("user.json"));
        let content = r#"{"type": "service_account", "private_key": "p"}"#;
        std::fs::write(&key, content).unwrap();
        std::fs::write(&of_user, r#"{"type": "authorized_user", "refresh_token": "very-secret"}"#).unwrap();
        let named = |file: &Path| -> Credentials {
            let file = file.to_str().unwrap().to_owned();
            [("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), file)].into_iter().collect()
        };
        let read = with_content(named(&key)).unwrap();
        assert_eq!(read.variables().collect::<Vec<_>>(), [(KEY, content)]);
        let error = with_content(named(&of_user)).unwrap_err().to_string();
        assert!(error.contains("not the key of a service account") && !error.contains("secret"), "{error}");
    }

    #[test]
    fn an_error_names_the_line_and_not_its_content() {
        let error = parse(Path::new("f"), "A=b\nvery-secret\n").unwrap_err().to_string();
        assert_eq!(error, "f: line 2 is not of the form KEY=value");
    }
}
