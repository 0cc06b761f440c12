//! One integration binary, a module per behaviour, against a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]

mod bell;
mod cli;
mod cluster;
mod dev;
mod http;
mod migrations;
mod pages;
mod publish;
mod refinery_cli;
mod repository;
mod schema;
mod serve;
mod support;
mod tail;
mod tls;
mod torture;
