//! What can go wrong with a vault: each error names the object and says what to do.

use std::sync::Arc;

use crate::id::{BlobId, BlobKind, PackId};

/// Result of an operation on a vault.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with a vault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The storage did not do what was asked of it, retries included.
    #[error("cannot {action} `{path}`: {}; {}", answer(source), storage_hint(source))]
    Storage {
        /// What was tried, as a verb.
        action: &'static str,
        /// Path of the object within the store.
        path: String,
        /// What the storage answered.
        #[source]
        source: object_store::Error,
    },

    /// A store's address could not be understood.
    #[error(
        "`{url}` is no address of a store: {reason}; use s3://bucket/prefix, gs://bucket/prefix, az://container/prefix or file:///directory"
    )]
    InvalidUrl {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The key or password does not open this vault or repository.
    #[error(
        "the key does not open {what}: it is another vault's or tenant's key, or a mistyped one; look for the recovery key that was shown when this vault was initialised"
    )]
    WrongKey {
        /// What was to be opened.
        what: String,
    },

    /// A recovery key whose text is damaged.
    #[error("this is not a valid recovery key: {reason}; type it again, group by group")]
    InvalidRecoveryKey {
        /// What is wrong with it.
        reason: String,
    },

    /// There is no vault, tenant or repository where one was expected.
    #[error("there is no {what} at `{path}`; check the address and the prefix, or create one")]
    NotFound {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: String,
    },

    /// Something that was to be created exists already.
    #[error("{what} exists already at `{path}`; nothing was changed: open it, or choose another place")]
    AlreadyExists {
        /// What was to be created.
        what: &'static str,
        /// Where.
        path: String,
    },

    /// Written by a newer program.
    #[error(
        "{what} has format version {found}, this program knows up to {supported}: use a newer holdfast; nothing was changed"
    )]
    NewerFormat {
        /// What was opened.
        what: String,
        /// The version found.
        found: u64,
        /// The newest version known here.
        supported: u64,
    },

    /// A stored file does not hold what it must.
    #[error(
        "`{object}` is damaged: {reason}; run `holdfast vault check` to learn what it affects, and restore from another copy"
    )]
    Damaged {
        /// Path of the file, or name of the blob.
        object: String,
        /// What was found.
        reason: String,
    },

    /// A blob that something refers to is not in the index.
    #[error(
        "{kind} blob {id} is in no index: a pack or an index file was lost; run `holdfast vault check` to learn what it affects, and restore from another copy"
    )]
    MissingBlob {
        /// Kind of the blob.
        kind: BlobKind,
        /// Its name.
        id: BlobId,
    },

    /// Someone else holds the repository exclusively.
    #[error(
        "the repository is locked exclusively by {holder}; wait until that ends, or, if that process is gone, remove its lock with `restic unlock`"
    )]
    Locked {
        /// Host, process and time of the lock.
        holder: String,
    },

    /// Our own lock could not be refreshed in time.
    #[error(
        "the lock of this writer could not be refreshed for {minutes} minutes, so others may have removed what it relies on; nothing was committed: run the backup again, what was uploaded is reused"
    )]
    LockLost {
        /// Minutes since the last refresh.
        minutes: i64,
    },

    /// A directory that cannot be written as asked.
    #[error("directory cannot be stored: {reason}")]
    InvalidTree {
        /// Which rule it breaks, with the name.
        reason: String,
    },

    /// A piece of data beyond the limits of the format.
    #[error("{what} of {size} bytes is larger than the {limit} bytes that can be stored as one")]
    TooLarge {
        /// What was to be stored.
        what: &'static str,
        /// Its size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },

    /// A path that is not in a snapshot, or not of the wanted type.
    #[error("`{path}`: {reason}")]
    Path {
        /// The path within the snapshot.
        path: String,
        /// What was found instead.
        reason: String,
    },

    /// Reading a source or writing a target failed.
    #[error("{what}: {source}")]
    Io {
        /// What was done to what.
        what: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },

    /// An upload failed for good; every later call of the same writer says so.
    #[error("the writer stopped: {0}")]
    WriterStopped(Arc<Error>),

    /// The vault's storage lacks what the operation needs.
    #[error("this vault's storage cannot do that: {reason}")]
    Unsupported {
        /// What is missing, and the way around.
        reason: String,
    },

    /// A background task or thread of this program ended unexpectedly.
    #[error("internal: {0}; this is a defect of holdfast, please report it")]
    Internal(String),
}

impl Error {
    /// A stable name of this sort of error, for machines.
    pub fn code(&self) -> &'static str {
        use object_store::Error as Source;
        match self {
            Error::Storage { source, .. } => match source {
                Source::NotFound { .. } => "vault.storage.not_found",
                _ if refused_key(source).is_some() => "vault.storage.unauthenticated",
                Source::Unauthenticated { .. } => "vault.storage.unauthenticated",
                _ if status(source) == Some(401) => "vault.storage.unauthenticated",
                _ if is_forbidden(source) => "vault.storage.forbidden",
                _ if is_full(source) => "vault.storage.full",
                _ => "vault.storage",
            },
            Error::InvalidUrl { .. } => "vault.invalid_url",
            Error::WrongKey { .. } => "vault.wrong_key",
            Error::InvalidRecoveryKey { .. } => "vault.invalid_recovery_key",
            Error::NotFound { .. } => "vault.not_found",
            Error::AlreadyExists { .. } => "vault.already_exists",
            Error::NewerFormat { .. } => "vault.newer_format",
            Error::Damaged { .. } => "vault.damaged",
            Error::MissingBlob { .. } => "vault.missing_blob",
            Error::Locked { .. } => "vault.locked",
            Error::LockLost { .. } => "vault.lock_lost",
            Error::InvalidTree { .. } => "vault.invalid_tree",
            Error::TooLarge { .. } => "vault.too_large",
            Error::Path { .. } => "vault.path",
            Error::Io { .. } => "vault.io",
            Error::WriterStopped(cause) => cause.code(),
            Error::Unsupported { .. } => "vault.unsupported",
            Error::Internal(_) => "vault.internal",
        }
    }

    pub(crate) fn damaged(object: impl Into<String>, reason: impl ToString) -> Self {
        Error::Damaged { object: object.into(), reason: reason.to_string() }
    }

    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Error::Io { what: what.into(), source }
    }

    /// Damage to a blob, named with the pack that holds it.
    pub(crate) fn damaged_blob(kind: BlobKind, id: &BlobId, pack: &PackId, reason: impl ToString) -> Self {
        let object = format!("{kind} blob {id} in pack {pack}");
        Error::Damaged { object, reason: reason.to_string() }
    }

    /// Whether the storage refused because of who asks, or because the object is protected from it.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Error::Storage { source, .. } if is_forbidden(source) || is_protected(source))
    }

    /// Whether the storage answered that the object does not exist.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Error::Storage { source: object_store::Error::NotFound { .. }, .. })
    }
}

/// Whether the storage knows who asks and refuses.
pub(crate) fn is_forbidden(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::PermissionDenied { .. }) || status(error) == Some(403)
}

/// Azure answers 409 where a retention policy forbids to change or remove an object.
fn is_protected(error: &object_store::Error) -> bool {
    matches!(error, object_store::Error::AlreadyExists { .. }) || status(error) == Some(409)
}

/// The HTTP status of an answer. The library has variants for the usual ones of single objects; those of listings and
/// of objects that are removed are in its words alone.
pub(crate) fn status(error: &object_store::Error) -> Option<u16> {
    let text = error.to_string();
    let (_, said) = text.split_once("status code: ").or_else(|| text.split_once("(code: "))?;
    if said.starts_with("AccessDenied") { Some(403) } else { said.get(..3)?.parse().ok() }
}

/// The io error kind at the root of a storage error, if there is one.
pub(crate) fn io_kind(error: &object_store::Error) -> Option<std::io::ErrorKind> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io.kind());
        }
        cause = error.source();
    }
    None
}

pub(crate) fn is_full(error: &object_store::Error) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(io_kind(error), Some(StorageFull | QuotaExceeded))
        || error.to_string().contains("XMinioStorageFull")
}

/// What the storage answered, without the page of XML that an S3 server puts around code and message.
fn answer(error: &object_store::Error) -> String {
    let text = error.to_string();
    let Some(body) = text.find("<?xml").or_else(|| text.find("<Error>")) else { return text };
    let (before, body) = text.split_at(body);
    match (element(body, "Code"), element(body, "Message")) {
        (Some(code), Some(message)) => format!("{before}{code}: {message}"),
        _ => text,
    }
}

fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    Some(rest.split_once(&format!("</{name}>"))?.0)
}

/// S3 and Azure answer 403 both to a key that may not do something and to a wrong key; their code tells them apart.
fn refused_key(error: &object_store::Error) -> Option<&'static str> {
    let text = error.to_string();
    match element(&text, "Code")? {
        "SignatureDoesNotMatch" => Some(
            "the secret does not belong to the access key: check AWS_SECRET_ACCESS_KEY, or the vault's credentials file",
        ),
        "InvalidAccessKeyId" => Some(
            "the store does not know the access key: check AWS_ACCESS_KEY_ID, or the vault's credentials file",
        ),
        "AuthenticationFailed" | "AuthorizationFailure" => Some(
            "the account does not accept the key or token (or, behind a firewall of its own, this address): check AZURE_STORAGE_ACCOUNT and AZURE_STORAGE_KEY, or the vault's credentials file",
        ),
        "ExpiredToken" => Some("the session token has expired: get new credentials"),
        _ => None,
    }
}

fn storage_hint(error: &object_store::Error) -> &'static str {
    use object_store::Error as Source;
    if let Some(hint) = refused_key(error) {
        return hint;
    }
    match error {
        Source::NotFound { .. } => "check the bucket and the prefix",
        Source::Unauthenticated { .. } => "check the credentials",
        _ if status(error) == Some(401) => "check the credentials",
        _ if is_forbidden(error) => "the credentials are known but may not do this: widen their policy",
        _ if is_full(error) => {
            "the store is full: free or add space and run again, what was stored is reused"
        }
        _ => "check that the store is reachable and healthy, then run again: what was stored is reused",
    }
}
