//! What can go wrong with a volume as a whole; single files that fail are `Problem`s of a result.

use std::io;
use std::time::Duration;

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Code of what is wrong with a file system that is to be captured, or to come back, as blocks.
pub(crate) const AS_BLOCKS: &str = "volume.as_blocks";

/// Why a volume could not be captured or restored.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] holdfast_vault::Error),
    /// The cluster failed.
    #[error(transparent)]
    Cluster(#[from] holdfast_cluster::Error),
    /// The volume's own directory cannot be used.
    #[error(
        "cannot open the volume at {path}: {source}; check that the volume is mounted there and that the mover may enter it"
    )]
    Root {
        /// The directory.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// What is to be captured or restored as a block volume cannot be used as one.
    #[error("cannot use {path} as a block volume: {source}; check that the device is given to the mover")]
    Device {
        /// The device or file.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A piece of a block volume cannot be read.
    #[error(
        "cannot read {path} at byte {offset}: {source}; see the node's kernel log and the health of the storage below it"
    )]
    Read {
        /// The device or file.
        path: String,
        /// First byte that could not be read.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// A piece of a block volume cannot be written.
    #[error(
        "cannot write {path} at byte {offset}: {source}; see the node's kernel log and the health of the storage below it"
    )]
    Write {
        /// The device or file.
        path: String,
        /// First byte that could not be written.
        offset: u64,
        /// The system's answer.
        source: io::Error,
    },
    /// The target of a block volume's restore is smaller than the volume.
    #[error(
        "{path} has {size} bytes, but the volume in the recovery point has {needed}; restore into a claim at least as large"
    )]
    TooSmall {
        /// The device or file.
        path: String,
        /// Its bytes.
        size: u64,
        /// Bytes of the volume.
        needed: u64,
    },
    /// What was written to a block volume reads back as something else.
    #[error(
        "{path} does not keep what is written to it: {count} extents read back differently, the first at byte {offset}; the storage below it is broken, use another"
    )]
    Differs {
        /// The device or file.
        path: String,
        /// Where the first such extent begins.
        offset: u64,
        /// How many there are.
        count: u64,
    },
    /// The kernel lacks what safe walking needs.
    #[error(
        "this node's kernel or its seccomp profile refuses openat2(2), without which a hostile volume could lead the mover astray; use a kernel from 5.6 on and a runtime whose default profile allows it"
    )]
    NoOpenat2,
    /// The volume that is restored into is full.
    #[error("the volume at {path} is full: {source}; restore into a larger claim")]
    Full {
        /// The directory.
        path: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The capture or restore was told to stop.
    #[error("stopped before it was done; run it again, what was stored is reused")]
    Stopped,
    /// A signal that was waited for did not come.
    #[error("`{phase}` was not signalled within {} s; the capture was given up, nothing was committed", waited.as_secs())]
    NotSignalled {
        /// The phase that should have begun.
        phase: &'static str,
        /// How long it was waited for.
        waited: Duration,
    },
    /// The storage's snapshot of a claim cannot be had.
    #[error(
        "the snapshot of claim {namespace}/{claim} cannot be had: {reason}; see `kubectl describe volumesnapshot` and the log of the driver's csi-snapshotter"
    )]
    Snapshot {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// What is wrong.
        reason: String,
    },
    /// The mover's instructions cannot be used.
    #[error(
        "the mover's instructions cannot be used: {reason}; control side and image must be of the same version"
    )]
    Spec {
        /// What is wrong.
        reason: String,
    },
    /// A snapshot that does not hold a volume.
    #[error("snapshot {snapshot} does not hold a volume: {reason}; choose another recovery point")]
    NoVolume {
        /// The snapshot.
        snapshot: String,
        /// What is missing.
        reason: String,
    },
    /// A snapshot of a block device, of which files were asked for.
    #[error(
        "snapshot {snapshot} was captured as blocks, of which no single files can be had; restore the volume as a whole"
    )]
    NoFiles {
        /// The snapshot's tree.
        snapshot: String,
    },
    /// A file system that was captured as blocks cannot be brought back as such.
    #[error("claim {namespace}/{claim} was captured as blocks: {reason}; {hint}")]
    AsBlocks {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// A claim cannot be filled or handed over.
    #[error("claim {namespace}/{claim}: {reason}; {hint}")]
    Claim {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// What stands in the way.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// A mover ended without having done its work.
    #[error("the mover of {namespace}/{claim} failed: {reason}; {hint}")]
    Mover {
        /// Namespace of the claim.
        namespace: String,
        /// The claim.
        claim: String,
        /// What it said, or how it ended.
        reason: String,
        /// What to do about it.
        hint: String,
    },
    /// Reading or writing a local file of the mover's own failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was done to what.
        what: String,
        /// The system's answer.
        source: io::Error,
    },
}

impl Error {
    /// Stable code, documented in docs/failure-modes.md.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Vault(error) => error.code(),
            Error::Cluster(error) => error.code(),
            Error::Snapshot { .. } => "volume.snapshot",
            Error::Root { .. } => "volume.root",
            Error::Device { .. } => "volume.device",
            Error::Read { .. } => "volume.read",
            Error::Write { .. } => "volume.write",
            Error::TooSmall { .. } => "volume.too_small",
            Error::Differs { .. } => "volume.differs",
            Error::NoOpenat2 => "volume.no_openat2",
            Error::Full { .. } => "volume.full",
            Error::Stopped => "volume.stopped",
            Error::NotSignalled { .. } => "volume.not_signalled",
            Error::Spec { .. } => "volume.spec",
            Error::NoVolume { .. } => "volume.no_volume",
            Error::NoFiles { .. } => "volume.no_files",
            Error::AsBlocks { .. } => AS_BLOCKS,
            Error::Claim { .. } => "volume.claim",
            Error::Mover { .. } => "volume.mover",
            Error::Io { .. } => "volume.io",
        }
    }

    pub(crate) fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Error::Io { what: what.into(), source: source.into() }
    }
}
