//! The endpoints of the trading application. Each runs one or two statements. None appends an event: the tables are published, so
//! changes reach the stream by themselves.

mod body;
mod list;
mod refused;
mod write;

use crate::application::Verb::{Get, Patch, Post, Put};
use crate::application::{Application, Endpoint, Rate, Tables, known, open, public, right, right_to_all};
use crate::auth::Action::{Administer, Read, Write};
use crate::limit::Class;
use crate::query::no_parameters;

/// The trading application.
pub static APPLICATION: Application<Tables> = Application {
    types: &["trade.", "order.", "snapshot.", "config."],
    endpoints: ENDPOINTS,
    unavailable_message: "the trading tables cannot be reached",
};

const PUBLIC: Rate = Rate::Address(Class::Public);
const PRIVATE: Rate = Rate::Subject(Class::Private);

/// `t` are the tables, `r` is the request, `who` the identity of its token.
#[rustfmt::skip]
static ENDPOINTS: &[Endpoint<Tables>] = &[
    public(Get, "/public/v1/trades", PUBLIC, open!(t, r => list::public_trades(&t, r.query()))),
    public(Get, "/public/v1/snapshots", PUBLIC, open!(t, r => list::public_snapshots(&t, r.query()))),

    right_to_all(Read, Get, "/v1/trades", PRIVATE, known!(t, _, r => list::trades(&t, r.query()))),
    right(Write, Post, "/v1/trades", PRIVATE, known!(t, who, r => write::open_trade(&t, who.subject(), &r.body))).json(no_parameters),
    right_to_all(Read, Get, "/v1/trades/{id}", PRIVATE, known!(t, _, r => list::trade(&t, r.id()?, r.query()))),
    right(Write, Post, "/v1/trades/{id}/close", PRIVATE, known!(t, _, r => write::close_trade(&t, r.id()?, &r.body))).json(no_parameters),
    right_to_all(Read, Get, "/v1/orders", PRIVATE, known!(t, _, r => list::orders(&t, r.query()))),
    right(Write, Post, "/v1/orders", PRIVATE, known!(t, who, r => write::place_order(&t, who.subject(), &r.body))).json(no_parameters),
    right(Write, Patch, "/v1/orders/{id}", PRIVATE, known!(t, _, r => write::report_order(&t, r.id()?, &r.body))).json(no_parameters),
    right_to_all(Read, Get, "/v1/snapshots", PRIVATE, known!(t, _, r => list::snapshots(&t, r.query()))),
    right(Write, Post, "/v1/snapshots", PRIVATE, known!(t, who, r => write::take_snapshot(&t, who.subject(), &r.body))).json(no_parameters),
    right_to_all(Read, Get, "/v1/config", PRIVATE, known!(t, _, r => list::settings(&t, r.query()))),
    right(Administer, Put, "/v1/config/{key}", PRIVATE, known!(t, who, r => write::put_setting(&t, who.subject(), r.key()?, &r.body))).json(no_parameters),
];
