//! The opening handshake of WebSocket (RFC 6455, 4.2): checks the headers of an upgrade, and makes its response.

use bytes::Bytes;
use hyper::header::{
    CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use hyper::{HeaderMap, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::http::request::authenticate::{PROTOCOL, offers_protocol};
use crate::http::request::headers::listed;
use crate::http::response::json::{Outgoing, whole};
use crate::http::response::problem::Problem;

/// Checks the request for a WebSocket, and makes the response that grants it.
pub(super) fn accept(version: Version, headers: &HeaderMap) -> Result<Response<Outgoing>, Problem> {
    let upgrades = listed(headers, &UPGRADE).any(|item| item.eq_ignore_ascii_case("websocket"));
    let connection = listed(headers, &CONNECTION).any(|item| item.eq_ignore_ascii_case("upgrade"));
    if !upgrades || !connection {
        return Err(Problem::upgrade_required());
    }
    if version != Version::HTTP_11 {
        return Err(Problem::bad_request("A WebSocket begins with HTTP/1.1."));
    }
    if headers.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) != Some(b"13") {
        return Err(Problem::upgrade_required());
    }
    let mut keys = headers.get_all(SEC_WEBSOCKET_KEY).iter();
    let key = keys.next().filter(|key| is_key(key.as_bytes()) && keys.next().is_none());
    let key = key.ok_or_else(|| Problem::bad_request("Sec-WebSocket-Key must be 16 bytes in base64, once."))?;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes())).map_err(|_| Problem::internal())?;

    let mut response = Response::new(whole(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let response_headers = response.headers_mut();
    response_headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    response_headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response_headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if offers_protocol(headers) {
        response_headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    }
    Ok(response)
}

/// 16 bytes in base64: 22 characters and two of padding.
fn is_key(key: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    matches!(key.split_at_checked(22), Some((letters, b"==")) if letters.iter().all(letter))
}
