//! `GET /v1/me`: who the token says one is.

use hyper::Response;
use serde::Serialize;

use super::access::second_text;
use super::problem::Problem;
use super::query::Query;
use super::respond::{Outgoing, json_response};
use crate::auth::{Identity, Role};

/// The claims of a token.
#[derive(Debug, Serialize)]
struct Me {
    subject: String,
    role: Role,
    issued: String,
    expires: String,
}

/// Shows a client the claims of its token.
pub(super) async fn get(identity: &Identity, query: Option<&str>) -> Result<Response<Outgoing>, Problem> {
    Query::parse(query)?.none()?;
    Ok(json_response(&Me {
        subject: identity.subject().to_string(),
        role: identity.role(),
        issued: second_text(identity.issued_at()),
        expires: second_text(identity.expires_at()),
    }))
}
