//! The chat: an application on the journal. Users talk to a bot, and whatever is said is a row of a published table.
//!
//! What clients see of it is in `view.rs`, its endpoints are in `api.rs`.
//!
//! Nothing here appends to the journal. The rows become events when their transaction commits, by the mapping functions of
//! `sql/migrations/V12__chat.sql`, with the user as their owner.
//!
//! A user's words and the answer to them are stored in one transaction, so that nobody ever sees the one without the
//! other, or something else between them. The answer is there before that transaction begins: no transaction waits for a
//! responder or for a client. What it may wait for is another message of the same user, for the time of a few
//! statements, and it then holds nothing that another user or the journal needs.

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
