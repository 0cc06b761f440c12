//! The table of routes. A request is led to its handler by it, and so are the `Allow` header, the answers to preflights, the
//! rate that a request counts against and the right that it needs. Tests hold `docs/openapi.json` and the list of routes in
//! `docs/03_API_SPEC.md` to it.

use futures_util::future::BoxFuture;
use hyper::header::HeaderValue;
use hyper::{Method, Response};

use crate::auth::{Action, Extent, Identity};
use crate::config::StreamConfig;
use crate::http::api::{append, chat, health, me, metrics, openapi, revocations, trading};
use crate::http::request::authenticate;
use crate::http::request::call::{Call, Parameter};
use crate::http::request::path;
use crate::http::request::viewer::Viewer;
use crate::http::response::json::Outgoing;
use crate::http::response::problem::Problem;
use crate::http::stream::{page, sse, ws};
use crate::limit::Class;

use self::Action::{Administer, Chat, Read, Write};
use self::Verb::{Get, GetOnly, Patch, Post, Put};

const CONNECT: Rate = Rate::Address(Class::Connect);
const PUBLIC: Rate = Rate::Address(Class::Public);
const PRIVATE: Rate = Rate::Subject(Class::Private);

/// Wraps a handler that takes a call, and no identity.
macro_rules! open {
    ($call:pat => $handled:expr) => {
        |$call: Call| Box::pin(async move { $handled.await })
    };
}

/// Wraps a handler that takes a call and whom its token speaks for.
macro_rules! known {
    ($call:ident, $identity:ident => $handled:expr) => {
        |$call: Call, $identity: Identity| Box::pin(async move { $handled.await })
    };
}

/// Every route of the server. The methods of one pattern stand one after the other, in the order of `Allow`.
#[rustfmt::skip]
static ROUTES: &[Route] = &[
    probe("/health/live", open!(_ => health::live())),
    probe("/health/ready", open!(c => health::ready(&c.context.readiness, &c.context.database, &c.context.tail))),
    probe("/health/db", open!(c => health::db(&c.context.database))),
    probe("/metrics", open!(c => metrics::page(&c.context))),

    public(Get, "/openapi.json", PUBLIC, open!(c => openapi::document(c.query()))),
    public(GetOnly, "/public/ws", CONNECT, open!(c => ws::upgrade(&c.context, &c.peer, &c.quota, true, c.request))).if_opened(),
    public(Get, "/public/v1/events", PUBLIC, open!(c => page::get(&c.context, &Viewer::Public, &c.quota, c.query()))),
    public(GetOnly, "/public/v1/events/stream", CONNECT, open!(c => sse::stream(&c.context, Viewer::Public, &c.quota, &c.request))).if_opened(),
    public(Get, "/public/v1/trades", PUBLIC, open!(c => trading::public_trades(&c.context, c.quota.requester(), c.query()))),
    public(Get, "/public/v1/snapshots", PUBLIC, open!(c => trading::public_snapshots(&c.context, c.quota.requester(), c.query()))),

    upgrade(Read, "/ws", CONNECT, open!(c => ws::upgrade(&c.context, &c.peer, &c.quota, false, c.request))),
    right(Read, Get, "/v1/events", PRIVATE, known!(c, who => page::get(&c.context, &Viewer::Known(who), &c.quota, c.query()))),
    right(Write, Post, "/v1/events", Rate::InHandler, known!(c, who => append::post(&c.context, &who, &c.quota, c.request))),
    right(Read, GetOnly, "/v1/events/stream", CONNECT, known!(c, who => sse::stream(&c.context, Viewer::Known(who), &c.quota, &c.request))),

    token(Get, "/v1/me", PRIVATE, known!(c, who => me::get(&who, c.query()))),
    right(Administer, Get, "/v1/revocations", PRIVATE, known!(c, who => revocations::page(&c.context, &who, c.query()))),
    right(Administer, Post, "/v1/revocations", PRIVATE, known!(c, who => revocations::post(&c.context, &who, c.request))),

    right(Chat, Post, "/v1/chat", Rate::InHandler, known!(c, who => chat::say(&c.context, &who, &c.quota, c.request))),
    right(Chat, Get, "/v1/conversations", PRIVATE, known!(c, who => chat::conversations(&c.context, &who, c.query()))),
    right(Chat, Get, "/v1/conversations/{id}/utterances", PRIVATE, known!(c, who => chat::utterances(&c.context, &who, c.id()?, c.query()))),
    right(Chat, Post, "/v1/conversations/{id}/close", PRIVATE, known!(c, who => chat::close(&c.context, &who, c.id()?, c.query()))),

    right_to_all(Read, Get, "/v1/trades", PRIVATE, known!(c, who => trading::trades(&c.context, &who, c.query()))),
    right(Write, Post, "/v1/trades", PRIVATE, known!(c, who => trading::open_trade(&c.context, &who, c.request))),
    right_to_all(Read, Get, "/v1/trades/{id}", PRIVATE, known!(c, who => trading::trade(&c.context, &who, c.id()?, c.query()))),
    right(Write, Post, "/v1/trades/{id}/close", PRIVATE, known!(c, who => trading::close_trade(&c.context, &who, c.id()?, c.request))),
    right_to_all(Read, Get, "/v1/orders", PRIVATE, known!(c, who => trading::orders(&c.context, &who, c.query()))),
    right(Write, Post, "/v1/orders", PRIVATE, known!(c, who => trading::place_order(&c.context, &who, c.request))),
    right(Write, Patch, "/v1/orders/{id}", PRIVATE, known!(c, who => trading::report_order(&c.context, &who, c.id()?, c.request))),
    right_to_all(Read, Get, "/v1/snapshots", PRIVATE, known!(c, who => trading::snapshots(&c.context, &who, c.query()))),
    right(Write, Post, "/v1/snapshots", PRIVATE, known!(c, who => trading::take_snapshot(&c.context, &who, c.request))),
    right_to_all(Read, Get, "/v1/config", PRIVATE, known!(c, who => trading::settings(&c.context, &who, c.query()))),
    right(Administer, Put, "/v1/config/{key}", PRIVATE, known!(c, who => trading::put_setting(&c.context, &who, &c.key()?, c.request))),
];

/// One row of the table.
#[derive(Debug)]
pub(super) struct Route {
    verb: Verb,
    /// `{id}` stands for a UUID in its usual form, `{key}` for any text without a slash.
    pattern: &'static str,
    pub(super) needs: Need,
    pub(super) counts_as: Rate,
    pub(super) handler: Handler,
    /// The route is only there with `ROWCAST_PUBLIC_STREAM=on`.
    if_opened: bool,
}

/// The methods of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    /// GET, and HEAD for the head of the same answer.
    Get,
    /// GET without HEAD: a stream, or an upgrade.
    GetOnly,
    Post,
    Put,
    Patch,
}

/// The condition under which a route is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// None. The answer tells nothing new, so the request is neither limited nor logged.
    Probe,
    /// None; the request is limited by address.
    Public,
    /// A token, whatever its role.
    Token,
    /// A token whose role may do this, at least with what is its own.
    Right(Action),
    /// A token whose role may do this with all rows, since these rows have no owner.
    RightToAll(Action),
    /// A token whose role may do this. It may come after the upgrade, so the handler asks for it.
    RightAfterUpgrade(Action),
}

/// The quota that a request uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rate {
    Unlimited,
    /// That of the client's address, before anything else is looked at.
    Address(Class),
    /// That of the token's subject.
    Subject(Class),
    /// The handler counts, once it has read how much is asked for.
    InHandler,
}

type Handled = BoxFuture<'static, Result<Response<Outgoing>, Problem>>;

/// The function that answers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Handler {
    /// Called without a token.
    Open(fn(Call) -> Handled),
    /// Called with the identity that the token speaks for, which may do what the route needs.
    Known(fn(Call, Identity) -> Handled),
}

const fn route(verb: Verb, pattern: &'static str, needs: Need, counts_as: Rate, handler: Handler) -> Route {
    Route { verb, pattern, needs, counts_as, handler, if_opened: false }
}

const fn probe(pattern: &'static str, handler: fn(Call) -> Handled) -> Route {
    route(Get, pattern, Need::Probe, Rate::Unlimited, Handler::Open(handler))
}

const fn public(verb: Verb, pattern: &'static str, counts_as: Rate, handler: fn(Call) -> Handled) -> Route {
    route(verb, pattern, Need::Public, counts_as, Handler::Open(handler))
}

const fn upgrade(action: Action, pattern: &'static str, counts_as: Rate, handler: fn(Call) -> Handled) -> Route {
    route(GetOnly, pattern, Need::RightAfterUpgrade(action), counts_as, Handler::Open(handler))
}

const fn token(verb: Verb, pattern: &'static str, counts_as: Rate, handler: fn(Call, Identity) -> Handled) -> Route {
    route(verb, pattern, Need::Token, counts_as, Handler::Known(handler))
}

const fn right(
    action: Action,
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    handler: fn(Call, Identity) -> Handled,
) -> Route {
    route(verb, pattern, Need::Right(action), counts_as, Handler::Known(handler))
}

const fn right_to_all(
    action: Action,
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    handler: fn(Call, Identity) -> Handled,
) -> Route {
    route(verb, pattern, Need::RightToAll(action), counts_as, Handler::Known(handler))
}

impl Route {
    const fn if_opened(self) -> Self {
        Self { if_opened: true, ..self }
    }
}

impl Verb {
    fn methods(self) -> &'static [Method] {
        match self {
            Self::Get => &[Method::GET, Method::HEAD],
            Self::GetOnly => &[Method::GET],
            Self::Post => &[Method::POST],
            Self::Put => &[Method::PUT],
            Self::Patch => &[Method::PATCH],
        }
    }
}

impl Need {
    /// Refuses an identity whose role does not allow it.
    pub(super) fn check(self, identity: &Identity) -> Result<(), Problem> {
        match self {
            Self::Probe | Self::Public | Self::Token => Ok(()),
            Self::Right(action) | Self::RightAfterUpgrade(action) => authenticate::permit(identity, action),
            Self::RightToAll(action) => {
                authenticate::permit(identity, action)?;
                if identity.role().extent(action) < Extent::All {
                    return Err(Problem::forbidden("The role of the token does not allow this."));
                }
                Ok(())
            }
        }
    }
}

/// The address of a request: the pattern of the table that its path fits.
#[derive(Debug)]
pub(super) struct Address {
    pattern: &'static str,
    pub(super) parameter: Parameter,
}

impl Address {
    /// The address at this path, if there is one. The public streams are only there if they are opened.
    pub(super) fn of(path: &str, streams: &StreamConfig) -> Option<Self> {
        let there = ROUTES.iter().filter(|route| streams.public || !route.if_opened);
        there.filter_map(|route| Some(Self { pattern: route.pattern, parameter: fit(route.pattern, path)? })).next()
    }

    /// The route of this address for a method.
    pub(super) fn route(&self, method: &Method) -> Option<&'static Route> {
        self.routes().find(|route| route.verb.methods().contains(method))
    }

    /// The `Allow` header of this address.
    pub(super) fn allow(&self) -> HeaderValue {
        let methods: Vec<&str> = self.routes().flat_map(|route| route.verb.methods()).map(Method::as_str).collect();
        // Names of methods and commas always make a header.
        HeaderValue::try_from(methods.join(", ")).unwrap_or(HeaderValue::from_static(""))
    }

    /// Probes come every few seconds and tell nothing new.
    pub(super) fn is_probe(&self) -> bool {
        self.routes().any(|route| route.needs == Need::Probe)
    }

    fn routes(&self) -> impl Iterator<Item = &'static Route> {
        let pattern = self.pattern;
        ROUTES.iter().filter(move |route| route.pattern == pattern)
    }
}

/// The parameter of a path, if the path fits a pattern.
fn fit(pattern: &str, path: &str) -> Option<Parameter> {
    let mut parameter = Parameter::None;
    let mut parts = path.split('/');
    for expected in pattern.split('/') {
        let part = parts.next()?;
        match expected {
            "{id}" => parameter = Parameter::Id(path::id(part)?),
            "{key}" if !part.is_empty() => parameter = Parameter::Key(part.to_owned()),
            word if word == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(parameter)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::auth::Role;

    const API_SPEC: &str = include_str!("../../docs/03_API_SPEC.md");

    /// Every operation of the table, as `GET /v1/events`.
    fn operations() -> BTreeMap<String, &'static Route> {
        let mut all = BTreeMap::new();
        for route in ROUTES {
            for method in route.verb.methods() {
                let name = format!("{method} {}", route.pattern);
                assert!(all.insert(name.clone(), route).is_none(), "{name} stands twice in the table of routes");
            }
        }
        all
    }

    /// Every operation that `docs/openapi.json` describes, under the same names.
    fn described(document: &Value) -> BTreeMap<String, &Value> {
        let mut all = BTreeMap::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters") {
                all.insert(format!("{} {path}", method.to_ascii_uppercase()), operation);
            }
        }
        all
    }

    /// The operations of a list of routes in Markdown that are built: `GET POST /a`, `/b`. HEAD is not listed there.
    fn listed(markdown: &str) -> BTreeSet<String> {
        let (_, section) = markdown.split_once("\n## Routes\n").unwrap();
        let (section, _) = section.split_once("\n## ").unwrap();
        let mut all = BTreeSet::new();
        for row in section.lines().filter(|line| line.starts_with("| `") && line.contains("| built |")) {
            let mut methods: Vec<&str> = Vec::new();
            for span in row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2) {
                let (path, before) =
                    span.split(' ').collect::<Vec<_>>().split_last().map(|(p, m)| (*p, m.to_vec())).unwrap();
                if !before.is_empty() {
                    methods = before;
                }
                all.extend(methods.iter().map(|method| format!("{method} {path}")));
            }
        }
        all
    }

    /// Fails if an operation is in one of two lists alone.
    fn compare(table: &BTreeSet<String>, document: &BTreeSet<String>, name: &str) {
        let missing: Vec<_> = table.difference(document).collect();
        assert!(missing.is_empty(), "{name} does not describe these routes of src/http/routes.rs: {missing:?}");
        let unknown: Vec<_> = document.difference(table).collect();
        assert!(
            unknown.is_empty(),
            "{name} describes these routes, which src/http/routes.rs does not have: {unknown:?}"
        );
    }

    #[test]
    fn every_route_is_described_in_the_openapi_document_and_no_other() {
        let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
        let described = described(&document).into_keys().collect();
        compare(&operations().into_keys().collect(), &described, "docs/openapi.json");
    }

    #[test]
    fn every_route_is_listed_in_the_interface_and_no_other() {
        let operations = operations().into_keys().filter(|name| !name.starts_with("HEAD "));
        compare(&operations.collect(), &listed(API_SPEC), "the table of routes in docs/03_API_SPEC.md");
    }

    #[test]
    fn the_openapi_document_says_which_routes_need_a_token_and_of_which_roles() {
        let document: Value = serde_json::from_str(openapi::DOCUMENT).unwrap();
        let described = described(&document);
        for (name, route) in operations() {
            let Some(operation) = described.get(&name) else { continue };
            let may = |role: Role| match route.needs {
                Need::Probe | Need::Public => false,
                Need::Token => true,
                Need::Right(action) | Need::RightAfterUpgrade(action) => role.may(action),
                Need::RightToAll(action) => role.extent(action) == Extent::All,
            };
            let security = match route.needs {
                Need::Probe | Need::Public => json!([]),
                Need::RightAfterUpgrade(_) => json!([{"bearer": []}, {}]),
                Need::Token | Need::Right(_) | Need::RightToAll(_) => json!([{"bearer": []}]),
            };
            let roles: Vec<String> = Role::ALL.into_iter().filter(|role| may(*role)).map(|r| r.to_string()).collect();
            let roles = if roles.is_empty() { Value::Null } else { json!(roles) };
            assert_eq!((&operation["security"], &operation["x-roles"]), (&security, &roles), "{name}");
        }
    }

    #[test]
    fn a_handler_has_an_identity_where_the_route_needs_a_token() {
        for route in ROUTES {
            let known = matches!(route.handler, Handler::Known(_));
            let needs_one = matches!(route.needs, Need::Token | Need::Right(_) | Need::RightToAll(_));
            assert_eq!(known, needs_one, "{}", route.pattern);
            assert!(known || !matches!(route.counts_as, Rate::Subject(_) | Rate::InHandler), "{}", route.pattern);
            assert_eq!(route.needs == Need::Probe, route.counts_as == Rate::Unlimited, "{}", route.pattern);
        }
    }

    #[test]
    fn the_routes_of_one_address_stand_together_and_no_path_has_two_addresses() {
        let mut patterns: Vec<&str> = ROUTES.iter().map(|route| route.pattern).collect();
        patterns.dedup();
        for (at, pattern) in patterns.iter().enumerate() {
            assert!(!patterns[..at].contains(pattern), "the routes of {pattern} do not stand together");
            let path = pattern.replace("{id}", &Uuid::nil().to_string()).replace("{key}", "risk.limit");
            let fitting: Vec<_> = patterns.iter().filter(|other| fit(other, &path).is_some()).collect();
            assert_eq!(fitting, [pattern]);
        }
    }

    #[test]
    fn a_path_fits_one_pattern_or_none() {
        let id = "4c0c4b2e-55b1-4a57-9d7e-1b1f4f6f7a10";
        let uuid = Parameter::Id(Uuid::try_parse(id).unwrap());
        for (path, parameter) in [
            ("/v1/trades".to_owned(), Some(Parameter::None)),
            (format!("/v1/trades/{id}"), Some(uuid.clone())),
            (format!("/v1/trades/{id}/close"), Some(uuid.clone())),
            (format!("/v1/conversations/{id}/utterances"), Some(uuid)),
            ("/v1/config/risk.limit".to_owned(), Some(Parameter::Key("risk.limit".to_owned()))),
            ("/v1/trades/".to_owned(), None),
            ("/v1/trades/x".to_owned(), None),
            ("/v1/trades//close".to_owned(), None),
            (format!("/v1/trades/{id}/open"), None),
            (format!("/v1/orders/{id}/close"), None),
            ("/v1/config/".to_owned(), None),
            ("/v1/config/a/b".to_owned(), None),
            ("v1/trades".to_owned(), None),
            ("/".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(ROUTES.iter().find_map(|route| fit(route.pattern, &path)), parameter, "{path}");
        }
    }
}
