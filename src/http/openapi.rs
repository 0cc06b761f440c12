//! `GET /openapi.json`: this interface for machines, as `docs/openapi.json` has it.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use super::problem::Problem;
use super::query::Query;
use super::respond::{Outgoing, json_text};

/// The description, as it is served. Tests hold it to the routes and to what they answer.
const DOCUMENT: &str = include_str!("../../docs/openapi.json");

/// The description. It tells nothing that is not in the sources, and changes only with the binary.
pub(super) fn document(query: Option<&str>) -> Result<Response<Outgoing>, Problem> {
    Query::parse(query)?.none()?;
    let mut response = json_text(DOCUMENT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use hyper::Method;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::DOCUMENT;
    use crate::auth::{Action, Role};
    use crate::config::{ServerConfig, Source, StreamConfig};
    use crate::http::chat::Place;
    use crate::http::router::{Endpoint, Need};
    use crate::http::trading::Route;

    /// The endpoints one after the other. One that is new has no place here, and this does not compile.
    fn next(endpoint: Endpoint) -> Option<Endpoint> {
        let nobody = Uuid::nil();
        Some(match endpoint {
            Endpoint::Live => Endpoint::Ready,
            Endpoint::Ready => Endpoint::Database,
            Endpoint::Database => Endpoint::Metrics,
            Endpoint::Metrics => Endpoint::Description,
            Endpoint::Description => Endpoint::Socket,
            Endpoint::Socket => Endpoint::Events,
            Endpoint::Events => Endpoint::Stream,
            Endpoint::Stream => Endpoint::Me,
            Endpoint::Me => Endpoint::Revocations,
            Endpoint::Revocations => Endpoint::PublicSocket,
            Endpoint::PublicSocket => Endpoint::PublicEvents,
            Endpoint::PublicEvents => Endpoint::PublicStream,
            Endpoint::PublicStream => Endpoint::Chat(Place::Say),
            Endpoint::Chat(Place::Say) => Endpoint::Chat(Place::Conversations),
            Endpoint::Chat(Place::Conversations) => Endpoint::Chat(Place::Utterances(nobody)),
            Endpoint::Chat(Place::Utterances(_)) => Endpoint::Chat(Place::Close(nobody)),
            Endpoint::Chat(Place::Close(_)) => Endpoint::Trading(Route::Trades),
            Endpoint::Trading(Route::Trades) => Endpoint::Trading(Route::Trade),
            Endpoint::Trading(Route::Trade) => Endpoint::Trading(Route::Close),
            Endpoint::Trading(Route::Close) => Endpoint::Trading(Route::Orders),
            Endpoint::Trading(Route::Orders) => Endpoint::Trading(Route::Order),
            Endpoint::Trading(Route::Order) => Endpoint::Trading(Route::Snapshots),
            Endpoint::Trading(Route::Snapshots) => Endpoint::Trading(Route::Config),
            Endpoint::Trading(Route::Config) => Endpoint::Trading(Route::Setting),
            Endpoint::Trading(Route::Setting) => Endpoint::Trading(Route::PublicTrades),
            Endpoint::Trading(Route::PublicTrades) => Endpoint::Trading(Route::PublicSnapshots),
            Endpoint::Trading(Route::PublicSnapshots) => return None,
        })
    }

    fn open_streams() -> StreamConfig {
        let settings = [
            ("DATABASE_URL", "postgres://h/d"),
            ("ROWCAST_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
            ("ROWCAST_PUBLIC_STREAM", "on"),
        ];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
        ServerConfig::read(&Source::new(settings, []).unwrap()).unwrap().streams
    }

    /// What the document says of each path: the endpoint that is there, and the path item.
    fn described(document: &Value) -> Vec<(Option<Endpoint>, &str, &Value)> {
        let streams = open_streams();
        let at = |path: &str| {
            let path = path.replace("{id}", &Uuid::nil().to_string()).replace("{key}", "key");
            Endpoint::at(&path, &streams)
        };
        document["paths"].as_object().unwrap().iter().map(|(path, item)| (at(path), path.as_str(), item)).collect()
    }

    /// The methods of a path item, sorted, with what is said of each.
    fn operations(item: &Value) -> Vec<(Method, &Value)> {
        let methods = item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters");
        methods.map(|(name, operation)| (name.to_ascii_uppercase().parse().unwrap(), operation)).collect()
    }

    #[test]
    fn every_route_and_method_is_described_and_no_other() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        let described = described(&document);
        let mut endpoint = Some(Endpoint::Live);
        while let Some(one) = endpoint {
            let times = described.iter().filter(|(at, ..)| *at == Some(one)).count();
            assert_eq!(times, 1, "{one:?} is described so many times");
            endpoint = next(one);
        }
        for (endpoint, path, item) in described {
            assert!(endpoint.is_some(), "{path} is described and not there");
            let mut said: Vec<String> = operations(item).iter().map(|(method, _)| method.to_string()).collect();
            let mut allowed: Vec<&str> = endpoint.unwrap().allow().split(", ").collect();
            said.sort_unstable();
            allowed.sort_unstable();
            assert_eq!(said, allowed, "{path}");
        }
    }

    #[test]
    fn whoever_needs_a_token_is_told_so_and_which_roles_will_do() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        for (endpoint, path, item) in described(&document) {
            for (method, operation) in operations(item) {
                let action = match endpoint.unwrap().needs(&method) {
                    Need::Nothing | Need::Public => {
                        assert_eq!((&operation["security"], operation.get("x-roles")), (&json!([]), None), "{path}");
                        continue;
                    }
                    Need::Token => None,
                    Need::Right(action) => Some(action),
                };
                // A browser says who it is after the upgrade.
                let security = if path == "/ws" { json!([{"bearer": []}, {}]) } else { json!([{"bearer": []}]) };
                assert_eq!(operation["security"], security, "{method} {path}");
                // Rows of trading belong to nobody, so whoever reads own rows alone has none there.
                let all = matches!(endpoint, Some(Endpoint::Trading(_))) && action == Some(Action::Read);
                let may = |role: &Role| action.is_none_or(|action| role.may(action) && !(all && *role == Role::User));
                let roles: Vec<String> = Role::ALL.iter().filter(|role| may(role)).map(Role::to_string).collect();
                assert_eq!(operation["x-roles"], json!(roles), "{method} {path}");
            }
        }
    }

    #[test]
    fn the_document_is_of_this_version() {
        let document: Value = serde_json::from_str(DOCUMENT).unwrap();
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }
}
