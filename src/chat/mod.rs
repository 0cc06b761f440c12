//! The chat: an application on the journal. Users talk to a bot, and each utterance is a row of a published table.
//!
//! The documents for clients are in `view.rs`, the endpoints in `api.rs`.
//!
//! Nothing here appends to the journal. The rows become events when their transaction commits, by the mapping functions of
//! `sql/migrations/V12__chat.sql`, with the user as their owner.
//!
//! A message and its answer are stored in one transaction, so that nobody sees one without the other, or something else between
//! them. The transaction begins after the answer has come, so it does not wait for a responder or a client. It may wait for another
//! message of the same user, for the time of a few statements, and then holds no lock that another user or the journal needs.

mod answer;
mod api;
mod list;
mod model;
mod responder;
mod say;
mod speakers;
mod store;
mod text;
mod view;

use model::{Conversation, Exchange, Message, Outcome, Status, Utterance};

pub use api::APPLICATION;
pub use model::Kind;
pub use responder::{Answering, Echo, Question, Responder, Turn, Unanswered};
pub use say::Chat;
pub use speakers::{make_bot, make_user};
