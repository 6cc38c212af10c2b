//! Restores on real clusters: two sites, whose pods kwok plays, and a repository in memory.

mod elsewhere;
mod existing;
mod hostile;
mod namespaces;
mod plan;
mod ports;
mod prune;
mod scale;
mod support;
mod terms;
