//! The tail: everything that commits, once, in order, as soon as it is decided.
//!
//! `run` holds the one connection and its loop. What must be true stands in two small pure parts, `fence` (what is
//! decided) and `duty` (when the loop may sleep); `model` searches every order of events around both. `pace` decides
//! how often to look and when to hush the bell; nothing that must be true depends on it. `pages` is where everyone reads.

mod bell;
mod blocker;
mod duty;
mod fence;
#[cfg(test)]
mod model;
mod pace;
pub mod pages;
pub mod relay;
mod run;
mod statements;
mod status;

pub use blocker::Blocker;
pub use run::Tail;
pub use status::{Hearing, LiveFrom, StallReason, Stalled, TailCounts, TailStatus, TailTimes};
