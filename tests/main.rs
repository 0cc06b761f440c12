//! One integration binary, a module per behaviour, against a real Postgres.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]

mod access;
mod api;
mod bell;
mod bench;
mod chat;
mod cli;
mod cli_publish;
mod cli_tail;
mod client;
mod cluster;
mod dev;
mod doctor;
mod failover;
mod http;
mod journal;
mod large;
mod limit;
mod migrations;
mod openapi;
mod pages;
mod pooler;
mod publish;
mod readme;
mod refinery_cli;
mod repository;
mod schema;
mod serve;
mod sessions;
mod support;
mod tail;
mod taxonomy;
mod tls;
mod tokens;
mod torture;
mod trading;
mod verify;
mod ws;
