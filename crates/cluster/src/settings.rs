//! How patient a cluster is asked, and by how many requests at once.

use std::time::Duration;

/// How patient and how busy a [`Cluster`](crate::Cluster) is.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Most requests under way at once, watches and streams apart. The number in use falls when
    /// the server answers 429 and recovers afterwards.
    pub concurrency: usize,
    /// How long a single attempt may take; the API server's own limit is 60 s.
    pub timeout: Duration,
    /// How long a request is repeated while the server is overloaded or cannot be reached.
    pub patience: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { concurrency: 32, timeout: Duration::from_secs(75), patience: Duration::from_secs(90) }
    }
}
