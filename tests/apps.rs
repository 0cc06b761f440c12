//! The applications on the journal: trading and chat.

mod chat;
mod trading;
