//! What can go wrong at the command line itself: a name that is not known, a file that cannot be used.
//!
//! Everything that a room of the workspace reports stays that room's error; see [`crate::failure`].

use std::path::PathBuf;

/// Result of an operation of the command line on its own files.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong at the command line itself. `Display` says what is wrong, [`Error::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file or directory could not be read or written.
    #[error("cannot {action} `{}`: {source}", .path.display())]
    File {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A file with secrets that others may read.
    #[error("`{}` can be read by others (mode {mode:04o})", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that was to be created exists.
    #[error("`{}` exists already", .path.display())]
    FileExists {
        /// The file.
        path: PathBuf,
    },
    /// The recovery key was to be written where it is lost together with the home.
    #[error("the recovery key must not lie in holdfast's home `{}`", .home.display())]
    RecoveryKeyInHome {
        /// The home.
        home: PathBuf,
    },
    /// There is no directory for the home.
    #[error("there is no place for holdfast's home: neither HOLDFAST_HOME, XDG_CONFIG_HOME nor HOME is set")]
    NoHome,
    /// Something that does not parse.
    #[error("{place}: {reason}")]
    Unreadable {
        /// File and document.
        place: String,
        /// The parser's words, with line and column.
        reason: String,
    },
    /// A `kind` that is not one of ours.
    #[error("{place}: `kind: {kind}` is not known")]
    UnknownKind {
        /// File and document.
        place: String,
        /// The kind as given.
        kind: String,
    },
    /// A name that is not in the home or in the catalogue.
    #[error("there is no {what} `{name}`{}", Known(.known))]
    Unknown {
        /// Kind of the thing, as the user calls it.
        what: &'static str,
        /// The name as given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
        /// What to do about it.
        hint: &'static str,
    },
    /// Files that are not in a volume.
    #[error("there is no {what}")]
    Missing {
        /// What was asked for, and where.
        what: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// A name that is taken.
    #[error("{what} `{name}` exists already")]
    NameTaken {
        /// Kind of the thing.
        what: &'static str,
        /// The name.
        name: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// One of several must be named.
    #[error("{what}: {}", .candidates.join(", "))]
    Ambiguous {
        /// What there are several of.
        what: String,
        /// The candidates.
        candidates: Vec<String>,
        /// How to name one.
        hint: &'static str,
    },
    /// There is a vault with a key where a new one was to be made.
    #[error("there is a vault at `{path}` already, and it has a key; nothing was changed")]
    VaultExists {
        /// Where.
        path: String,
        /// What to do instead.
        hint: &'static str,
    },
    /// Something that must be there first is not.
    #[error("{what}")]
    NotReady {
        /// What is missing.
        what: String,
        /// How to make it.
        hint: &'static str,
    },
    /// A wrong combination of arguments that the parser cannot see.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to write instead.
        hint: &'static str,
    },
    /// A plan that is to be applied shows something else than what would be done now.
    #[error("the cluster has moved on since `{}` was made: {}", .file.display(), Told(.moved))]
    Moved {
        /// The plan's file.
        file: PathBuf,
        /// The objects, and what became of what was planned for each.
        moved: Vec<String>,
    },
    /// The user interrupted, and nothing had to be cleaned up.
    #[error("interrupted")]
    Interrupted,
    /// Cleaning up after an interruption took too long.
    #[error("interrupted; cleaning up did not end within {seconds} s")]
    CleanupTooSlow {
        /// The bound.
        seconds: u64,
    },
}

impl Error {
    /// A stable name of this sort of error, for machines.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Error::File { .. } => "cli.file",
            Error::TooOpen { .. } => "cli.too_open",
            Error::FileExists { .. } => "cli.file_exists",
            Error::RecoveryKeyInHome { .. } => "cli.recovery_key_in_home",
            Error::NoHome => "cli.no_home",
            Error::Unreadable { .. } => "cli.unreadable",
            Error::UnknownKind { .. } => "cli.unknown_kind",
            Error::Unknown { .. } | Error::Missing { .. } => "cli.unknown",
            Error::NameTaken { .. } => "cli.name_taken",
            Error::Ambiguous { .. } => "cli.ambiguous",
            Error::VaultExists { .. } => "cli.vault_exists",
            Error::NotReady { .. } => "cli.not_ready",
            Error::Usage { .. } => "cli.usage",
            Error::Moved { .. } => "cli.cluster_moved",
            Error::Interrupted => "cli.interrupted",
            Error::CleanupTooSlow { .. } => "cli.cleanup_too_slow",
        }
    }

    /// What to do about it; empty if the message says all.
    pub(crate) fn hint(&self) -> String {
        match self {
            Error::TooOpen { path, .. } => format!("chmod 600 {}", path.display()),
            Error::FileExists { .. } => "name a file that does not exist yet".to_owned(),
            Error::RecoveryKeyInHome { .. } => {
                "write it to a place that survives the loss of this machine and escrow it".to_owned()
            }
            Error::NoHome => "set HOLDFAST_HOME or pass --home DIR".to_owned(),
            Error::UnknownKind { .. } => {
                "use Site, Cluster, Vault, Application or Policy; `holdfast schema KIND` prints the fields"
                    .to_owned()
            }
            Error::Unknown { hint, .. }
            | Error::Missing { hint, .. }
            | Error::NameTaken { hint, .. }
            | Error::Ambiguous { hint, .. }
            | Error::NotReady { hint, .. }
            | Error::VaultExists { hint, .. }
            | Error::Usage { hint, .. } => (*hint).to_owned(),
            Error::Moved { .. } => "nothing was changed; plan again and look at what is different".to_owned(),
            Error::CleanupTooSlow { .. } => "`holdfast sweep` finishes what is left".to_owned(),
            Error::File { .. } | Error::Unreadable { .. } | Error::Interrupted => String::new(),
        }
    }

    /// Whether it is the command line that is wrong, rather than the world: exit code 2.
    pub(crate) fn is_usage(&self) -> bool {
        matches!(self, Error::Usage { .. } | Error::RecoveryKeyInHome { .. })
    }

    /// A file that could not be used.
    pub(crate) fn file(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Error::File { action, path: path.into(), source }
    }
}

/// The first of many things.
struct Told<'a>(&'a [String]);

impl std::fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const SHOWN: usize = 20;
        write!(f, "{}", self.0[..self.0.len().min(SHOWN)].join(", "))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, ", and {more} more"),
        }
    }
}

/// The names that would have been right, for an error message.
struct Known<'a>(&'a [String]);

impl std::fmt::Display for Known<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            [] => Ok(()),
            names => write!(f, "; there is: {}", names.join(", ")),
        }
    }
}
