//! The schema is what `docs/04_DB_SCHEMA.md` says, in both directions, and does what its constraints promise.
//!
//! `catalog` reads a database and `spec` reads the document, both into the same flat facts; `facts` compares.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod behaviour;
mod catalog;
mod drift;
mod dump;
mod end_states;
mod event_taxonomy;
mod facts;
mod offline;
mod online;
mod schema_document;
mod specification;
mod statements;

use std::path::{Path, PathBuf};

/// A path inside the repository.
fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn read_in_repository(path: &str) -> String {
    std::fs::read_to_string(in_repository(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}
