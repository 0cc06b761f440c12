//! What browsers load: the dashboard at `/`, the client library, and the set of files with their hash below `/assets/`. The same for
//! everybody, since no data is in it: the dashboard asks for data with the token that it is given.

use hyper::header::{
    ACCEPT_ENCODING, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH, VARY,
};
use hyper::{HeaderMap, Response, StatusCode};

use crate::application::Parameter;
use crate::http::api::page_files::{File, PageFiles};
use crate::http::request::call::Call;
use crate::http::request::headers::listed;
use crate::http::request::query::Query;
use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;

/// A file at a stable address: a browser asks each time whether its copy is the newest.
const REVALIDATED: &str = "no-cache";
/// A file with a hash in its address: it never changes.
const IMMUTABLE: &str = "public, max-age=31536000, immutable";

/// What the dashboard may do. Scripts and styles come as files of this server, connections go to it alone, and no text becomes
/// markup: with trusted types a browser refuses `innerHTML` and its like.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; form-action 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// The dashboard.
pub(in crate::http) async fn index(call: &Call) -> Result<Response<Outgoing>, Problem> {
    let mut response = respond(call, PageFiles::embedded().index(call.context.streams.public), REVALIDATED)?;
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // A page that opens the dashboard gets no hold on its window.
    let opener = HeaderName::from_static("cross-origin-opener-policy");
    headers.insert(opener, HeaderValue::from_static("same-origin"));
    Ok(response)
}

/// A file of the client library at its stable address.
pub(in crate::http) async fn client_file(call: &Call) -> Result<Response<Outgoing>, Problem> {
    let path = call.request.uri().path();
    let file = PageFiles::embedded().client_file(path.trim_start_matches('/')).ok_or_else(Problem::not_found)?;
    respond(call, file, REVALIDATED).map(for_every_page)
}

/// A file of the set, by hash and name.
pub(in crate::http) async fn asset(call: &Call) -> Result<Response<Outgoing>, Problem> {
    let Parameter::Key(path) = &call.parameter else { return Err(Problem::not_found()) };
    let file = PageFiles::embedded().asset(path).ok_or_else(Problem::not_found)?;
    respond(call, file, IMMUTABLE).map(for_every_page)
}

/// Lets pages of every origin load a script. The same files are public in the repository, and a page whose origin may not connect is told
/// so by the client, which it must have loaded.
fn for_every_page(mut response: Response<Outgoing>) -> Response<Outgoing> {
    response.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

fn respond(call: &Call, file: &File, kept: &'static str) -> Result<Response<Outgoing>, Problem> {
    Query::parse(call.query())?.none()?;
    let headers = call.request.headers();
    let is_compressed = accepts_gzip(headers);
    // The two forms are different bytes, so they have different tags.
    let tag = format!("\"{}{}\"", file.hash, if is_compressed { "-gzip" } else { "" });
    let is_known = listed(headers, &IF_NONE_MATCH).any(|known| known == "*" || known.trim_start_matches("W/") == tag);
    let body = match (is_known, is_compressed) {
        (true, _) => whole(""),
        (false, true) => whole(file.compressed.clone()),
        (false, false) => whole(file.plain.clone()),
    };
    let mut response = Response::new(body);
    if is_known {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(file.kind));
    }
    let headers = response.headers_mut();
    if is_compressed && !is_known {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    // Hex digits and quotes always make a header.
    headers.insert(ETAG, HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\"")));
    Ok(response)
}

/// True if the client takes gzip: named, or by a star, with a weight that is not zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let weights = |name: &'static str| {
        listed(headers, &ACCEPT_ENCODING).find_map(|item| {
            let (coding, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.trim().parse().ok());
            coding.trim().eq_ignore_ascii_case(name).then(|| weight.unwrap_or(0.0_f32))
        })
    };
    weights("gzip").or_else(|| weights("*")).is_some_and(|weight| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gzip_is_sent_to_whoever_takes_it() {
        for (accepted, expected) in [
            ("gzip", true),
            ("gzip, deflate, br, zstd", true),
            ("br;q=1.0, GZIP ; q=0.3", true),
            ("*", true),
            ("*;q=0.1", true),
            ("identity", false),
            ("gzip;q=0", false),
            ("gzip;q=0.0, *", false),
            ("*;q=0", false),
            ("x-gzip", false),
            ("", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(accepted));
            assert_eq!(accepts_gzip(&headers), expected, "{accepted:?}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()), "without the header");
    }
}
