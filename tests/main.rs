//! One integration binary, a module per behaviour, against a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]

mod cli;
mod cluster;
mod dev;
mod http;
mod journal;
mod migrations;
mod serve;
mod support;
mod tls;
