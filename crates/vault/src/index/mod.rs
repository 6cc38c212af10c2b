//! Which pack holds which blob.

mod entry;
mod file;
mod load;
mod runs;
mod table;

#[cfg(fuzzing)]
pub(crate) use file::decode;
pub(crate) use file::{IndexedPack, encode};
pub use load::IndexSource;
pub(crate) use load::{Catalogue, load_file, read_pack_header};
pub use table::Position;
pub(crate) use table::{Index, Location};
