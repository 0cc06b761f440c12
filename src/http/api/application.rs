//! The applications of this server, and the way of a request through one: its body is read and counted, its function is called,
//! and the answer or the error is put into HTTP.

use bytes::Bytes;
use hyper::{Response, StatusCode};

use crate::application::{Answered, Application, ApplicationError, Endpoint, Function, Rate, Request, Status, Tables};
use crate::db::Requester;
use crate::http::request::body::{needs_json, read_body};
use crate::http::request::call::Call;
use crate::http::request::context::Context;
use crate::http::request::idempotency;
use crate::http::request::route::{Handler, Route};
use crate::http::request::viewer::requester;
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::Problem;
use crate::{chat, trading};

/// Every application: its table, and what its functions work on.
static APPLICATIONS: &[&dyn Published] = &[
    &Mounted { application: &chat::APPLICATION, state: |context, by| (context.chat.clone(), tables(context, by)) },
    &Mounted { application: &trading::APPLICATION, state: tables },
];

/// The routes of all applications.
pub(in crate::http) fn routes() -> impl Iterator<Item = Route> {
    APPLICATIONS.iter().flat_map(|application| application.routes())
}

/// True for the type of an event that only the tables of an application write.
pub(in crate::http) fn owns_type(kind: &str) -> bool {
    APPLICATIONS.iter().flat_map(|application| application.types()).any(|own| kind.starts_with(own))
}

fn tables(context: &Context, requester: Requester) -> Tables {
    Tables::new(context.database.clone(), requester, context.redaction.clone())
}

/// An application, whatever its functions work on.
trait Published: Sync {
    fn types(&self) -> &'static [&'static str];
    fn routes(&self) -> Vec<Route>;
}

/// An application, and how its state is made for a request.
struct Mounted<S: 'static> {
    application: &'static Application<S>,
    state: fn(&Context, Requester) -> S,
}

impl<S: Send> Published for Mounted<S> {
    fn types(&self) -> &'static [&'static str] {
        self.application.types
    }

    fn routes(&self) -> Vec<Route> {
        let (endpoints, away) = (self.application.endpoints, self.application.unavailable_message);
        endpoints.iter().map(|endpoint| route(endpoint, self.state, away)).collect()
    }
}

fn route<S: Send>(endpoint: &'static Endpoint<S>, state: fn(&Context, Requester) -> S, away: &'static str) -> Route {
    let Endpoint { verb, pattern, needs, counts_as, .. } = *endpoint;
    let handler = match endpoint.function {
        Function::Open(function) => Handler::open(move |call| {
            Box::pin(async move {
                let state = state(&call.context, call.quota.requester());
                let request = read(endpoint, call, None).await?;
                put_into_http(function(state, request).await, away)
            })
        }),
        Function::Known(function) => Handler::known(move |call, who| {
            Box::pin(async move {
                let state = state(&call.context, requester(&who));
                let request = read(endpoint, call, Some(who.subject())).await?;
                put_into_http(function(state, who, request).await, away)
            })
        }),
    };
    Route::new(verb, pattern, needs, counts_as, handler)
}

/// Reads a request to its end, before its function takes a connection: so a slow client holds none.
async fn read<S>(endpoint: &Endpoint<S>, call: Call, subject: Option<&str>) -> Result<Request, Problem> {
    let Call { quota, parameter, request, .. } = call;
    let (head, body) = request.into_parts();
    let query = head.uri.query();
    let (mut idempotency_key, mut bytes) = (None, Bytes::new());
    if let Some(json_body) = endpoint.body {
        (json_body.parameters)(query)?;
        if json_body.takes_key {
            idempotency_key = idempotency::key(&head.headers)?;
        }
        needs_json(&head.headers)?;
        bytes = read_body(body).await?;
    }
    if let (Rate::Body(class, cost), Some(subject)) = (endpoint.counts_as, subject) {
        quota.spend_of(class, subject, cost(&bytes)).await?;
    }
    Ok(Request { query: query.map(str::to_owned), parameter, idempotency_key, body: bytes })
}

fn put_into_http(answered: Answered, away: &str) -> Result<Response<Outgoing>, Problem> {
    let answer = answered.map_err(|error| problem(error, away))?;
    let mut response = json_text(String::from(answer.document));
    *response.status_mut() = match answer.status {
        Status::Ok => StatusCode::OK,
        Status::Created => StatusCode::CREATED,
    };
    Ok(response)
}

/// The problem that a client is told of an error. `away` says for the log what a lost database has left undone.
fn problem(error: ApplicationError, away: &str) -> Problem {
    match error {
        ApplicationError::Refused { refusal, detail, state } => Problem::because(refusal, detail).in_state(state),
        ApplicationError::Database(error) => Problem::database_away(away, &error),
    }
}

#[cfg(test)]
mod tests {
    use super::APPLICATIONS;
    use crate::http::response::refusals::RESERVED_TYPE;

    #[test]
    fn the_refusal_of_a_reserved_type_names_them_all() {
        for own in APPLICATIONS.iter().flat_map(|application| application.types()) {
            assert!(RESERVED_TYPE.sentence.split(' ').any(|word| word == *own), "{own}: {}", RESERVED_TYPE.sentence);
        }
    }
}
