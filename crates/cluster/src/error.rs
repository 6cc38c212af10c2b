//! What can go wrong with a cluster: which call it was, what the server said, and what to do.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::call::Call;
use crate::refusal::{Reason, Refusal};

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something could not be done with a cluster.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kubeconfig, or the context asked for, could not be used.
    #[error("cannot use {}: {reason}; see `kubectl config get-contexts`, or pass --kubeconfig and --context", Place(.path, .context))]
    Kubeconfig {
        /// The file asked for; `None` is what `$KUBECONFIG` or `~/.kube/config` says.
        path: Option<PathBuf>,
        /// The context asked for; `None` is the current one.
        context: Option<String>,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no service account to use: the process does not run in a pod.
    #[error("not in a cluster: {reason}; outside a pod, name a kubeconfig and a context")]
    NotInCluster {
        /// What was missed.
        reason: String,
    },
    /// The credential of the context could not be obtained or used.
    #[error(
        "cluster {cluster}: no usable credential: {reason}; log in again, or try `kubectl --context {cluster} auth whoami`"
    )]
    Credential {
        /// The cluster's name, which is that of its context.
        cluster: String,
        /// What the exec plugin, token file or certificate failed with.
        reason: String,
    },
    /// No connection to the API server: no request was sent.
    #[error(
        "cannot {call}: cluster {cluster} is unreachable at {address}: {reason}; check that the API server is up and the address and its certificate authority in the kubeconfig are right"
    )]
    Unreachable {
        /// The cluster's name.
        cluster: String,
        /// Address of the API server.
        address: String,
        /// What was being asked for.
        call: Box<Call>,
        /// The error of the operating system or of TLS.
        reason: String,
    },
    /// The connection broke after the request was sent; whether the server acted on it is not known.
    #[error(
        "cannot {call}: the connection to cluster {cluster} at {address} broke: {reason}; whether it took effect is not known, so look before doing it again"
    )]
    Interrupted {
        /// The cluster's name.
        cluster: String,
        /// Address of the API server.
        address: String,
        /// What was being asked for.
        call: Box<Call>,
        /// The error of the connection.
        reason: String,
    },
    /// The API server answered with a failure.
    #[error("{0}")]
    Refused(Box<Refusal>),
    /// The API server's answer makes no sense.
    #[error(
        "cannot {call}: cluster {cluster} sent an answer that cannot be read: {reason}; is there a proxy in between that answers in its place?"
    )]
    Malformed {
        /// The cluster's name.
        cluster: String,
        /// What was being asked for.
        call: Box<Call>,
        /// What is wrong with the answer.
        reason: String,
    },
    /// An object of ours cannot be sent as it is.
    #[error("cannot send {object}: {reason}")]
    BadObject {
        /// The object, as far as it names itself.
        object: String,
        /// What it lacks.
        reason: String,
    },
    /// What was waited for did not come in time.
    #[error("{what} did not come about within {}: {object} on cluster {cluster} is {last_seen}", Span(*.waited))]
    NotInTime {
        /// The cluster's name.
        cluster: String,
        /// What was waited for, in words.
        what: String,
        /// The object that was watched.
        object: String,
        /// How long it was waited for.
        waited: Duration,
        /// The state the object was in when time was up.
        last_seen: String,
    },
    /// A command in a container lost its stream: it may have run, in part or wholly.
    #[error(
        "the stream to `{command}` in {container} on cluster {cluster} broke: {reason}; the command may still be running"
    )]
    StreamBroken {
        /// The cluster's name.
        cluster: String,
        /// `namespace/pod` and the container if one was named.
        container: String,
        /// The command.
        command: String,
        /// How it broke.
        reason: String,
    },
    /// A command could not be started in the container.
    #[error(
        "`{command}` could not be run in {container} on cluster {cluster}: {reason}; check that the container is running and has the program"
    )]
    NotRun {
        /// The cluster's name.
        cluster: String,
        /// `namespace/pod` and the container if one was named.
        container: String,
        /// The command.
        command: String,
        /// What the container runtime said.
        reason: String,
    },
    /// Somebody else holds the lease.
    #[error(
        "lease {lease} on cluster {cluster} is held by {holder}, renewed {renewed}; wait for it to end, or until {expires} if it has died"
    )]
    LeaseHeld {
        /// The cluster's name.
        cluster: String,
        /// `namespace/name` of the lease.
        lease: String,
        /// Who holds it.
        holder: String,
        /// When it was last renewed, by the API server's clock.
        renewed: jiff::Timestamp,
        /// When it may be taken over unless it is renewed until then.
        expires: jiff::Timestamp,
    },
    /// We held the lease and somebody else has it now, or it could not be renewed in time.
    #[error("lease {lease} on cluster {cluster} was lost: {reason}; stop what it guarded")]
    LeaseLost {
        /// The cluster's name.
        cluster: String,
        /// `namespace/name` of the lease.
        lease: String,
        /// How it was lost.
        reason: String,
    },
}

impl Error {
    /// Stable code, documented in docs/failure-modes.md.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Kubeconfig { .. } => "cluster.kubeconfig",
            Error::NotInCluster { .. } => "cluster.not_in_cluster",
            Error::Credential { .. } => "cluster.credential",
            Error::Unreachable { .. } => "cluster.unreachable",
            Error::Interrupted { .. } => "cluster.interrupted",
            Error::Refused(refusal) => refusal.reason.code(),
            Error::Malformed { .. } => "cluster.malformed",
            Error::BadObject { .. } => "cluster.bad_object",
            Error::NotInTime { .. } => "cluster.not_in_time",
            Error::StreamBroken { .. } => "cluster.stream_broken",
            Error::NotRun { .. } => "cluster.not_run",
            Error::LeaseHeld { .. } => "cluster.lease_held",
            Error::LeaseLost { .. } => "cluster.lease_lost",
        }
    }

    /// Why the server refused, if it was the server.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Error::Refused(refusal) => Some(&refusal.reason),
            _ => None,
        }
    }

    /// There is no such object, namespace or resource.
    pub fn is_not_found(&self) -> bool {
        matches!(self.reason(), Some(Reason::NotFound))
    }

    /// An object of that name exists already.
    pub fn is_already_exists(&self) -> bool {
        matches!(self.reason(), Some(Reason::AlreadyExists))
    }

    /// A precondition does not hold: somebody else was quicker.
    pub fn is_conflict(&self) -> bool {
        matches!(self.reason(), Some(Reason::Conflict))
    }

    /// The caller lacks a right.
    pub fn is_forbidden(&self) -> bool {
        matches!(self.reason(), Some(Reason::Forbidden))
    }

    /// The resourceVersion or continue token is too old (410).
    pub fn is_expired(&self) -> bool {
        matches!(self.reason(), Some(Reason::Expired))
    }

    /// The server cannot be reached or is not serving now: the same call may well work later.
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Interrupted { .. } => true,
            Error::Refused(refusal) => {
                matches!(
                    refusal.reason,
                    Reason::Busy | Reason::Unavailable | Reason::Timeout | Reason::Internal
                )
            }
            _ => false,
        }
    }
}

/// Names a kubeconfig and a context, either of which may be the default.
struct Place<'a>(&'a Option<PathBuf>, &'a Option<String>);

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.1 {
            Some(context) => write!(f, "context {context} of ")?,
            None => f.write_str("the current context of ")?,
        }
        match self.0 {
            Some(path) => write!(f, "kubeconfig {}", path.display()),
            None => f.write_str("the default kubeconfig"),
        }
    }
}

/// A duration as a person says it: whole seconds, or milliseconds below one.
struct Span(Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_secs() {
            0 => write!(f, "{} ms", self.0.as_millis()),
            seconds @ 1..120 => write!(f, "{seconds} s"),
            seconds => write!(f, "{} min {} s", seconds / 60, seconds % 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_error_says_which_file_and_context() {
        let error = Error::Kubeconfig {
            path: Some("/etc/kc".into()),
            context: Some("prod".into()),
            reason: "no such context".into(),
        };
        let text = error.to_string();
        assert!(
            text.starts_with("cannot use context prod of kubeconfig /etc/kc: no such context;"),
            "{text}"
        );
    }

    #[test]
    fn spans_read_as_said() {
        assert_eq!(Span(Duration::from_millis(250)).to_string(), "250 ms");
        assert_eq!(Span(Duration::from_secs(90)).to_string(), "90 s");
        assert_eq!(Span(Duration::from_secs(125)).to_string(), "2 min 5 s");
    }
}
