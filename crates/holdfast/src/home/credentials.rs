//! A vault's credentials, from where its manifest says. They are never printed and never stored.

use std::path::Path;

use holdfast_model::manifest::CredentialsSource;
use holdfast_vault::Credentials;

use super::private;
use crate::error::{Error, Result};

/// Reads the credentials of a vault.
///
/// # Errors
/// [`Error::File`], [`Error::TooOpen`], [`Error::Unreadable`] with the number of the line, never its content.
pub(crate) fn read(source: &CredentialsSource) -> Result<Credentials> {
    match source {
        CredentialsSource::Environment => Ok(from_environment()),
        CredentialsSource::File(path) => {
            let path = Path::new(path);
            Ok(parse(path, &private::read_secret(path)?)?.into_iter().collect())
        }
    }
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
    fn an_error_names_the_line_and_not_its_content() {
        let error = parse(Path::new("f"), "A=b\nvery-secret\n").unwrap_err().to_string();
        assert_eq!(error, "f: line 2 is not of the form KEY=value");
    }
}
