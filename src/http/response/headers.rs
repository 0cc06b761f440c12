//! The headers that every response carries.

use hyper::HeaderMap;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};

use crate::http::response::request_id::{RequestId, X_REQUEST_ID};

/// Adds the headers that every response carries. A header that the handler has set stays.
pub(in crate::http) fn add_common_headers(headers: &mut HeaderMap, id: &RequestId) {
    headers.insert(&X_REQUEST_ID, id.header());
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // Data is no page: should a browser ever show it as one, nothing in it runs. A page sets its own.
    let data = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(data);
    let same = HeaderValue::from_static("same-origin");
    headers.entry(HeaderName::from_static("cross-origin-resource-policy")).or_insert(same);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
