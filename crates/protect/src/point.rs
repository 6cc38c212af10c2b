//! Recovery points as they lie in a repository: list them, open one, walk its objects.

mod directory;
mod open;
mod summary;

pub use directory::{Content, Directory, SPLIT_ABOVE, file_name, split_of};
pub(crate) use directory::{directory_node, file_node};
pub use open::{ObjectEntry, OpenPoint, open, open_with};
pub(crate) use summary::tags;
pub use summary::{PointSummary, Points, list};
