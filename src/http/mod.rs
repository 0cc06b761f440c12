//! The doors: HTTP, and later WebSocket and SSE. hyper is known here and nowhere else.

mod health;
mod metrics;
mod problem;
mod request_id;
mod respond;
mod router;
mod server;

pub use health::{Readiness, TailView};
pub use router::{Context, MAX_BODY_BYTES};
pub use server::{HEADER_LIMIT, ListenError, Server};
