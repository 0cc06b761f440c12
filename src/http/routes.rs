//! The table of routes. A request is led to its handler by it, and so are the `Allow` header, the answers to preflights, the
//! rate that a request counts against and the right that it needs. Tests hold `docs/openapi.json` and the list of routes in
//! `docs/03_API_SPEC.md` to it.

use std::sync::LazyLock;

use hyper::Method;
use hyper::header::HeaderValue;

use crate::application::{Need, Parameter, Rate, Verb};
use crate::auth::{Action, Identity};
use crate::config::StreamConfig;
use crate::http::api::{append, application, health, me, metrics, openapi, pages, revocations};
use crate::http::request::call::Call;
use crate::http::request::path;
use crate::http::request::route::{Handled, Handler, Route};
use crate::http::request::viewer::Viewer;
use crate::http::stream::{durable, page, snapshot, sse, ws};
use crate::limit::Class;

use self::Action::{Administer, Read, Write};
use self::Verb::{Get, GetOnly, Post};

const CONNECT: Rate = Rate::Address(Class::Connect);
const PUBLIC: Rate = Rate::Address(Class::Public);
const PAGES: Rate = Rate::Address(Class::Pages);
const PRIVATE: Rate = Rate::Subject(Class::Private);
const SNAPSHOT: Rate = Rate::Subject(Class::Snapshot);
const PUBLIC_SNAPSHOT: Rate = Rate::Address(Class::Snapshot);

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

/// Every route: those of the server, then those of its applications (`src/http/api/application.rs`). The methods of one pattern
/// stand one after the other, in the order of `Allow`.
static ROUTES: LazyLock<Vec<Route>> =
    LazyLock::new(|| server_routes().into_iter().chain(application::routes()).collect());

#[rustfmt::skip]
fn server_routes() -> Vec<Route> {
    vec![
        probe("/health/live", open!(_ => health::live())),
        probe("/health/ready", open!(c => health::ready(&c.context.readiness, &c.context.database, &c.context.tail))),
        probe("/health/db", open!(c => health::db(&c.context.database))),
        probe("/metrics", open!(c => metrics::page(&c.context))),

        public(Get, "/", PAGES, open!(c => pages::index(&c))),
        public(Get, "/client.js", PAGES, open!(c => pages::client_file(&c))),
        public(Get, "/client.d.ts", PAGES, open!(c => pages::client_file(&c))),
        public(Get, "/react.js", PAGES, open!(c => pages::client_file(&c))),
        public(Get, "/client/{file}", PAGES, open!(c => pages::client_file(&c))),
        public(Get, "/assets/{file}", PAGES, open!(c => pages::asset(&c))),

        public(Get, "/openapi.json", PUBLIC, open!(c => openapi::document(c.query()))),
        public(GetOnly, "/public/ws", CONNECT, open!(c => ws::upgrade(&c.context, &c.peer, &c.quota, true, c.request))).only_if_public(),
        public(Get, "/public/v1/events", PUBLIC, open!(c => page::get(&c.context.announcer, &c.context.tokens, &c.context.shutdown, &Viewer::Public, &c.quota, c.query()))),
        public(GetOnly, "/public/v1/events/stream", CONNECT, open!(c => sse::stream(&c.context, Viewer::Public, &c.quota, &c.request))).only_if_public(),

        public(Get, "/public/v1/stream/events", PUBLIC, open!(c => durable::events_stream(&c, Viewer::Public))),
        public(Get, "/public/v1/stream/tables/{key}", PUBLIC, open!(c => durable::table_stream(&c, Viewer::Public))),

        public(Get, "/public/v1/tables", PUBLIC, open!(c => snapshot::tables(&c.context.snapshots, &Viewer::Public, c.query()))),
        public(GetOnly, "/public/v1/snapshot", PUBLIC_SNAPSHOT, open!(c => snapshot::get(&c.context.snapshots, &c.context.tokens, &Viewer::Public, &c.quota, &c.request))),

        upgrade(Read, "/ws", CONNECT, open!(c => ws::upgrade(&c.context, &c.peer, &c.quota, false, c.request))),
        right(Read, Get, "/v1/events", PRIVATE, known!(c, who => page::get(&c.context.announcer, &c.context.tokens, &c.context.shutdown, &Viewer::Known(who), &c.quota, c.query()))),
        right(Write, Post, "/v1/events", Rate::InHandler, known!(c, who => append::post(&c.context.database, &who, &c.quota, c.request))),
        right(Read, GetOnly, "/v1/events/stream", CONNECT, known!(c, who => sse::stream(&c.context, Viewer::Known(who), &c.quota, &c.request))),

        right(Read, Get, "/v1/stream/events", PRIVATE, known!(c, who => durable::events_stream(&c, Viewer::Known(who)))),
        right(Read, Get, "/v1/stream/tables/{key}", PRIVATE, known!(c, who => durable::table_stream(&c, Viewer::Known(who)))),

        right(Read, GetOnly, "/v1/snapshot", SNAPSHOT, known!(c, who => snapshot::get(&c.context.snapshots, &c.context.tokens, &Viewer::Known(who), &c.quota, &c.request))),
        right(Read, Get, "/v1/tables", PRIVATE, known!(c, who => snapshot::tables(&c.context.snapshots, &Viewer::Known(who), c.query()))),

        token(Get, "/v1/me", PRIVATE, known!(c, who => me::get(&who, c.query()))),
        right(Administer, Get, "/v1/revocations", PRIVATE, known!(c, who => revocations::page(&c.context.database, &c.context.redaction, &who, c.query()))),
        right(Administer, Post, "/v1/revocations", PRIVATE, known!(c, who => revocations::post(&c.context.database, &c.context.tokens.revoked, &c.context.redaction, &who, c.request))),
    ]
}

fn probe(pattern: &'static str, handler: fn(Call) -> Handled) -> Route {
    Route::new(Get, pattern, Need::Probe, Rate::Unlimited, Handler::open(handler))
}

fn public(verb: Verb, pattern: &'static str, counts_as: Rate, handler: fn(Call) -> Handled) -> Route {
    Route::new(verb, pattern, Need::Public, counts_as, Handler::open(handler))
}

fn upgrade(action: Action, pattern: &'static str, counts_as: Rate, handler: fn(Call) -> Handled) -> Route {
    Route::new(GetOnly, pattern, Need::RightAfterUpgrade(action), counts_as, Handler::open(handler))
}

fn token(verb: Verb, pattern: &'static str, counts_as: Rate, handler: fn(Call, Identity) -> Handled) -> Route {
    Route::new(verb, pattern, Need::Token, counts_as, Handler::known(handler))
}

fn right(
    action: Action,
    verb: Verb,
    pattern: &'static str,
    counts_as: Rate,
    handler: fn(Call, Identity) -> Handled,
) -> Route {
    Route::new(verb, pattern, Need::Right(action), counts_as, Handler::known(handler))
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
        let there = ROUTES.iter().filter(|route| streams.public || !route.only_if_public);
        there.filter_map(|route| Some(Self { pattern: route.pattern, parameter: fit(route.pattern, path)? })).next()
    }

    /// The route of this address for a method.
    pub(super) fn route(&self, method: &Method) -> Option<&'static Route> {
        self.routes().find(|route| route.methods().contains(method))
    }

    /// The `Allow` header of this address.
    pub(super) fn allow(&self) -> HeaderValue {
        let methods: Vec<&str> = self.routes().flat_map(Route::methods).map(Method::as_str).collect();
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

/// The parameter of a path, if the path fits a pattern. `{file}` at the end stands for all of the rest, slashes too.
fn fit(pattern: &str, path: &str) -> Option<Parameter> {
    if let Some(folder) = pattern.strip_suffix("{file}") {
        let name = path.strip_prefix(folder)?;
        return (!name.is_empty()).then(|| Parameter::Key(name.to_owned()));
    }
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
    use crate::auth::{Extent, Role};

    const API_SPEC: &str = include_str!("../../docs/03_API_SPEC.md");

    /// Every operation of the table, as `GET /v1/events`.
    fn operations() -> BTreeMap<String, &'static Route> {
        let mut all = BTreeMap::new();
        for route in ROUTES.iter() {
            for method in route.methods() {
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
        for route in ROUTES.iter() {
            let known = matches!(route.handler, Handler::Known(_));
            let needs_one = matches!(route.needs, Need::Token | Need::Right(_) | Need::RightToAll(_));
            assert_eq!(known, needs_one, "{}", route.pattern);
            let of_subject = matches!(route.counts_as, Rate::Subject(_) | Rate::Body(..) | Rate::InHandler);
            assert!(known || !of_subject, "{}", route.pattern);
            assert_eq!(route.needs == Need::Probe, matches!(route.counts_as, Rate::Unlimited), "{}", route.pattern);
        }
    }

    #[test]
    fn the_routes_of_one_address_stand_together_and_no_path_has_two_addresses() {
        let mut patterns: Vec<&str> = ROUTES.iter().map(|route| route.pattern).collect();
        patterns.dedup();
        for (at, pattern) in patterns.iter().enumerate() {
            assert!(!patterns[..at].contains(pattern), "the routes of {pattern} do not stand together");
            let path = pattern.replace("{id}", &Uuid::nil().to_string()).replace("{key}", "risk.limit");
            let path = path.replace("{file}", "0/app.js");
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
            ("/".to_owned(), Some(Parameter::None)),
            ("/assets/0/a/b.js".to_owned(), Some(Parameter::Key("0/a/b.js".to_owned()))),
            ("/assets/".to_owned(), None),
            ("/assets".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(ROUTES.iter().find_map(|route| fit(route.pattern, &path)), parameter, "{path}");
        }
    }
}
