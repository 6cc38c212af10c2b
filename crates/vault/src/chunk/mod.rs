//! Where files are cut.
