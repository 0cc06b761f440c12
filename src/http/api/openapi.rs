//! `GET /openapi.json`: this interface for machines, as `docs/openapi.json` has it.

use hyper::Response;
use hyper::header::{CACHE_CONTROL, HeaderValue};

use crate::http::request::query::Query;
use crate::http::response::json::{Outgoing, json_text};
use crate::http::response::problem::Problem;

/// The description, as it is served. Tests hold it to the table of routes and to what the server answers.
pub(in crate::http) const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

/// The description. It tells nothing that is not in the sources, and changes only with the binary.
pub(in crate::http) async fn document(query: Option<&str>) -> Result<Response<Outgoing>, Problem> {
    Query::parse(query)?.none()?;
    let mut response = json_text(DOCUMENT);
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    Ok(response)
}
