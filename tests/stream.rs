//! How events reach clients: the routes for events, WebSocket, SSE, and where a reader begins.

mod api;
mod live_tables;
mod readers;
pub(crate) mod ws;
