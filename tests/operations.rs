//! A server in operation: its life, its health, poolers, failovers, large journals, and what every HTTP request can count on.

mod deployed_metrics;
mod dump_and_restore;
mod edges;
pub(crate) mod failover;
mod http_server;
mod large;
mod openapi;
pub(crate) mod pooler;
mod scaling;
mod serve;
mod standby_pages;
