//! Rowcast: rows in Postgres as ordered, resumable live streams.
//!
//! The rooms of the house, and what each may know, stand in `docs/ARCHITECTURE.md`; `tests/layers.rs` holds them.

pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod db;
pub mod http;
pub mod journal;
pub mod shutdown;
pub mod tail;
pub mod telemetry;
