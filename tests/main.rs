//! One integration binary, a module per behaviour, against a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]

mod bell;
mod bench;
mod cli;
mod cli_publish;
mod cluster;
mod dev;
mod doctor;
mod http;
mod journal;
mod migrations;
mod pages;
mod pooler;
mod publish;
mod refinery_cli;
mod repository;
mod schema;
mod serve;
mod support;
mod tail;
mod tls;
mod torture;
mod verify;
