//! What can go wrong when real servers are built and run on one machine.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the testbed. Every variant names the thing that failed and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Namespaces, mounts and cgroups need root.
    #[error("the testbed needs root: it makes network namespaces, mounts and cgroups; run it with sudo -E")]
    NotRoot,
    /// A program of the machine is missing and cannot be installed by us.
    #[error("{tool} is not installed: {hint}")]
    MissingTool {
        /// Name of the program.
        tool: String,
        /// How to get it.
        hint: String,
    },
    /// A file or directory could not be worked with.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A program ended with a failure.
    #[error("`{command}` failed ({status}): {output}")]
    Command {
        /// The command line.
        command: String,
        /// Its exit status in words.
        status: String,
        /// The end of what it wrote.
        output: String,
    },
    /// A server or tool could not be built from its registry.
    #[error("building {part} failed; the whole log is {}:\n{tail}", log.display())]
    Build {
        /// The part with its version.
        part: String,
        /// Where the build's output is.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Something did not come up, or did not go away, in time.
    #[error("{what}: not so after {waited:.1?}; log {}:\n{tail}", log.display())]
    NotReady {
        /// What was waited for.
        what: String,
        /// For how long.
        waited: Duration,
        /// Log of the component concerned.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// A component of a site ended by itself.
    #[error("{component} of {site} ended ({status}); log {}:\n{tail}", log.display())]
    Ended {
        /// The site or server it belongs to.
        site: String,
        /// Its name.
        component: String,
        /// Its exit status in words.
        status: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// A site has no component of that name.
    #[error("{site} has no component {component}; it has {known}")]
    NoComponent {
        /// The site.
        site: String,
        /// What was asked for.
        component: String,
        /// What there is.
        known: String,
    },
    /// All slots of this machine are taken.
    #[error(
        "all {slots} slots of this machine are taken; see `holdfast-testbed list`, free some with `holdfast-testbed down NAME`"
    )]
    NoSlot {
        /// How many there are.
        slots: u16,
    },
    /// A name is not usable for a site.
    #[error("`{name}` cannot name a site: use 1 to 20 of a-z, 0-9 and -, a letter first")]
    BadName {
        /// The name.
        name: String,
    },
    /// A site is asked to have more nodes than its addresses are for.
    #[error("{site} cannot have {nodes} nodes: its pods' addresses are for {limit}; the rest can be kwok's")]
    TooManyNodes {
        /// The site.
        site: String,
        /// How many were asked for.
        nodes: u16,
        /// How many there can be.
        limit: u16,
    },
    /// Unix sockets below the cache would have too long a path.
    #[error("{} is too deep for unix sockets ({length} of at most {limit} bytes); set HOLDFAST_CACHE to a shorter directory", path.display())]
    PathTooLong {
        /// The directory.
        path: PathBuf,
        /// Its length in bytes.
        length: usize,
        /// What is possible.
        limit: usize,
    },
    /// The Kubernetes API refused a request.
    #[error("{what}: {source}")]
    Kubernetes {
        /// What was asked for.
        what: String,
        /// The client's error.
        source: Box<kube::Error>,
    },
    /// A kubeconfig was not usable.
    #[error("kubeconfig {}: {reason}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("certificate for {subject}: {source}")]
    Certificate {
        /// Whose.
        subject: String,
        /// The library's error.
        source: rcgen::Error,
    },
    /// An object storage server refused a request.
    #[error("object storage: {request}: {answer}")]
    S3 {
        /// Method and path.
        request: String,
        /// What it answered.
        answer: String,
    },
    /// A CSI driver refused a request.
    #[error("CSI {request}: {answer}")]
    Csi {
        /// The method.
        request: String,
        /// What it answered.
        answer: String,
    },
    /// A record of ours is not readable.
    #[error(
        "{}: {reason}; remove the file once nothing of that slot runs", path.display()
    )]
    Record {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A worker thread of ours ended without an answer.
    #[error("{what} was interrupted; run it again")]
    Interrupted {
        /// What it did.
        what: &'static str,
    },
}

/// Result of everything in this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A name for the kind of failure that stays the same when the wording changes.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotRoot => "testbed.not_root",
            Self::MissingTool { .. } => "testbed.missing_tool",
            Self::Io { .. } => "testbed.io",
            Self::Command { .. } => "testbed.command",
            Self::Build { .. } => "testbed.build",
            Self::NotReady { .. } => "testbed.not_ready",
            Self::Ended { .. } => "testbed.ended",
            Self::NoComponent { .. } => "testbed.no_component",
            Self::NoSlot { .. } => "testbed.no_slot",
            Self::BadName { .. } => "testbed.bad_name",
            Self::TooManyNodes { .. } => "testbed.too_many_nodes",
            Self::PathTooLong { .. } => "testbed.path_too_long",
            Self::Kubernetes { .. } => "testbed.kubernetes",
            Self::Kubeconfig { .. } => "testbed.kubeconfig",
            Self::Certificate { .. } => "testbed.certificate",
            Self::S3 { .. } => "testbed.s3",
            Self::Csi { .. } => "testbed.csi",
            Self::Record { .. } => "testbed.record",
            Self::Interrupted { .. } => "testbed.interrupted",
        }
    }

    pub(crate) fn kubernetes(what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Kubernetes { what, source: Box::new(source) }
    }
}

/// Names the path and the action of an operating system error.
pub(crate) trait At<T> {
    /// Turns the error into [`Error::Io`].
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T>;
}

impl<T, E: Into<std::io::Error>> At<T> for std::result::Result<T, E> {
    fn at(self, action: &'static str, path: impl Into<PathBuf>) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.into(), source: source.into() })
    }
}
