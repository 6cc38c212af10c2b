//! Recovery points as they lie in a repository: list them, open one, walk its objects.

mod directory;
mod entry;
mod lookup;
mod name;
mod node;
mod open;
mod summary;
mod walk;

pub use directory::SPLIT_ABOVE;
pub(crate) use directory::{Content, Directory, Stored};
pub use entry::ObjectEntry;
pub use name::{file_name, hashed_part};
pub(crate) use node::{directory_node, file_node};
pub use open::{OpenPoint, open, open_with};
pub(crate) use summary::tags;
pub use summary::{PointSummary, Points, list};
