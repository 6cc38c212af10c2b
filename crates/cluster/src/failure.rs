//! Reads the client library's errors: was the request sent, and is it worth another try?

use std::error::Error as StdError;
use std::io;

use kube::client::AuthError;

use crate::retry::Failure;

/// Error chains are followed this far; none that is real is longer.
const DEPTH: usize = 16;

/// What a failure to get a reply means.
pub(crate) fn classify(error: kube::Error) -> Failure {
    match error {
        kube::Error::Auth(auth) => Failure::Credential { reason: credential(&auth) },
        kube::Error::Service(service) => match service.downcast_ref::<hyper_util::client::legacy::Error>() {
            Some(client) if client.is_connect() => {
                Failure::NotSent { reason: root(client), permanent: is_tls(client) }
            }
            _ => Failure::Lost { reason: root(service.as_ref()) },
        },
        other => Failure::Lost { reason: root(&other) },
    }
}

/// Why there is no credential. What a plugin wrote is left out: it may hold half of one.
pub(crate) fn credential(error: &AuthError) -> String {
    match error {
        AuthError::AuthExecRun { out, .. } => {
            format!("the exec plugin of the kubeconfig failed with {}; see what it wrote above", out.status)
        }
        AuthError::AuthExecStart(error) => {
            format!("the exec plugin of the kubeconfig does not start: {error}")
        }
        other => root(other),
    }
}

/// A reply that broke off.
pub(crate) fn lost(error: kube::Error) -> Failure {
    Failure::Lost { reason: root(&error) }
}

/// The innermost error, which says most in fewest words.
pub(crate) fn root(error: &(dyn StdError + 'static)) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// A certificate that is not accepted now will not be accepted in a second.
fn is_tls(error: &(dyn StdError + 'static)) -> bool {
    chain(error).any(|cause| matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))))
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| inner(*error)).take(DEPTH)
}

/// The next inner error. `io::Error` hides the error it was made from behind `get_ref`.
fn inner<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(wrapped) => Some(wrapped),
        None => error.source(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_through_io_errors() {
        let tls = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::InvalidData, tls));
        assert_eq!(root(&wrapped), "invalid peer certificate: UnknownIssuer");
        assert!(is_tls(&wrapped));
        assert!(!is_tls(&io::Error::other("refused")));
    }
}
