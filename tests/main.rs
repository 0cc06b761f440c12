//! One integration binary, a module per chapter of `docs/03_API_SPEC.md`, against a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]

mod access;
mod apps;
mod cli;
mod dashboard;
mod durable;
mod operations;
mod repository;
mod sql;
mod stream;
mod support;
mod tail;
mod torture;
