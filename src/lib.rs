//! Rowcast: rows in Postgres as ordered, resumable live streams.
//!
//! The rooms of the house, and what each may know, stand in `docs/ARCHITECTURE.md`; `tests/layers.rs` holds them.

pub mod db;
