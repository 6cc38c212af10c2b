//! Telling a person what takes time, and how long it took.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something worth a line.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// Work that takes time has begun.
    Started {
        /// What it is, as in "building containerd 2.4.2".
        what: &'a str,
    },
    /// It is still going on.
    Running {
        /// What it is.
        what: &'a str,
        /// For how long so far.
        elapsed: Duration,
    },
    /// It is done.
    Finished {
        /// What it was.
        what: &'a str,
        /// How long it took.
        elapsed: Duration,
    },
    /// A remark.
    Note {
        /// Its words.
        text: &'a str,
    },
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started { what } => write!(f, "{what} …"),
            Self::Running { what, elapsed } => write!(f, "{what} … {}s", elapsed.as_secs()),
            Self::Finished { what, elapsed } => {
                write!(f, "{what}: {:.1}s", elapsed.as_secs_f64())
            }
            Self::Note { text } => f.write_str(text),
        }
    }
}

/// Where events go. Cheap to clone.
#[derive(Clone)]
pub struct Reporter(Arc<dyn Fn(Event<'_>) + Send + Sync>);

impl Reporter {
    /// Hands every event to `sink`, which may be called from any thread.
    pub fn new(sink: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// One line per event on standard error.
    #[must_use]
    pub fn stderr() -> Self {
        Self::new(|event| eprintln!("testbed: {event}"))
    }

    /// Says nothing.
    #[must_use]
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    /// Passes one event on.
    pub fn event(&self, event: Event<'_>) {
        (self.0)(event);
    }

    /// Passes a remark on.
    pub fn note(&self, text: &str) {
        self.event(Event::Note { text });
    }

    /// Runs `work`, framed by its start and its time. A failure has no `Finished`.
    pub fn step<T, E>(&self, what: &str, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.event(Event::Started { what });
        let begun = Instant::now();
        let done = work()?;
        self.event(Event::Finished { what, elapsed: begun.elapsed() });
        Ok(done)
    }
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Reporter")
    }
}
