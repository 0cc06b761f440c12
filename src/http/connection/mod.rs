//! The connection of a client below HTTP: which connections get in, what the kernel may hold for them, when a client counts as
//! stalled, and the frames of a WebSocket.

pub(in crate::http) mod gate;
pub(in crate::http) mod guarded;
pub(in crate::http) mod paced;
pub(in crate::http) mod socket;
pub(in crate::http) mod wire;
