//! Rowcast: rows in Postgres as ordered, resumable live streams.
//!
//! The rooms of the house, and what each may know, stand in `docs/ARCHITECTURE.md`; `tests/repository.rs` holds them.

pub mod app;
pub mod application;
pub mod auth;
pub mod bench;
pub mod chat;
pub mod cli;
pub mod client;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod db;
pub mod demo;
pub mod doctor;
pub mod http;
pub mod journal;
pub mod limit;
pub mod query;
pub mod redis_client;
pub mod refusals;
pub mod session;
pub mod shared_list;
pub mod shutdown;
pub mod snapshot;
pub mod tail;
pub mod telemetry;
pub mod tls;
pub mod trading;
pub mod verify;
pub mod view;
