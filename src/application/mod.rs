//! An application as the server sees it: a table of endpoints, each with a function that takes a request without a socket and
//! gives a typed answer. `http` reads requests and writes answers; an application names no library of the wire.
//!
//! An answer is a [`crate::view::Document`], which is made by redaction alone, so a stored row cannot be answered as it is.

mod answer;
mod endpoint;
mod request;
mod tables;

pub use answer::{Answer, Answered, ApplicationError, Status};
pub use endpoint::{
    Answering, Application, Endpoint, Function, JsonBody, Need, Rate, Verb, public, right, right_to_all,
};
pub use request::{Parameter, Request};
pub use tables::Tables;

pub use crate::journal::names_a_field;

pub(crate) use endpoint::{known, open};
