//! Which pack holds which blob.

mod file;
mod load;
mod table;

pub(crate) use file::{IndexedPack, encode};
pub use load::IndexSource;
pub(crate) use load::{Catalogue, load_file, read_pack_header};
pub(crate) use table::{Index, Location};
