//! Which pack holds which blob.

/// Where the positions of blobs are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IndexSource {
    /// The index files; a damaged one is an error that names it.
    #[default]
    IndexFiles,
    /// The headers of the packs themselves, when index files are lost or damaged: slower, reads
    /// the end of every pack.
    PackHeaders,
}

#[derive(Default)]
pub(crate) struct Catalogue;
