//! The listener, and the frame around every request.

mod dispatch;
pub(in crate::http) mod listener;
