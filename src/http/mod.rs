//! The doors: HTTP, WebSocket and SSE. hyper and tungstenite are known here and nowhere else.

mod access;
mod append;
mod chat;
mod fetch;
mod gate;
mod guarded;
mod health;
mod idempotency;
mod metrics;
mod openapi;
mod origin;
mod paced;
mod path;
mod problem;
mod query;
mod read;
mod relay;
mod request_id;
mod respond;
mod revocations;
mod router;
mod server;
mod socket;
mod sse;
mod trading;
mod upgrade;
mod visit;
mod ws;

pub use append::BODY_LIMIT;
pub use fetch::HttpFetch;
pub use health::{Readiness, TailView};
pub use relay::relay;
pub use router::{Context, Guards, MAX_BODY_BYTES};
pub use server::{HEADER_LIMIT, ListenError, Server};
pub use socket::{Gone, Input, PING, Socket};
pub use ws::MAX_MESSAGE;
