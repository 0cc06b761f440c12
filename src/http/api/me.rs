//! `GET /v1/me`: who the token says one is.

use hyper::Response;
use serde::Serialize;

use crate::auth::{Identity, Role};
use crate::http::request::query::Query;
use crate::http::request::viewer::second_text;
use crate::http::response::json::{Outgoing, json_response};
use crate::http::response::problem::Problem;

/// The claims of a token.
#[derive(Debug, Serialize)]
struct Me {
    subject: String,
    role: Role,
    issued: String,
    expires: String,
}

/// Shows a client the claims of its token.
pub(in crate::http) async fn get(identity: &Identity, query: Option<&str>) -> Result<Response<Outgoing>, Problem> {
    Query::parse(query)?.none()?;
    Ok(json_response(&Me {
        subject: identity.subject().to_string(),
        role: identity.role(),
        issued: second_text(identity.issued_at()),
        expires: second_text(identity.expires_at()),
    }))
}
