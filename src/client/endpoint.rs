//! The parts of a request for a stream: the server, where in the stream to begin, and which events are wanted.

use std::fmt;
use std::str::FromStr;

use tokio_tungstenite::tungstenite::http::Uri;

use crate::journal::Cursor;

/// The address of a server's stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
    public: bool,
}

/// A text that is no address of a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadEndpoint(&'static str);

impl Endpoint {
    /// True if the server speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// True if this is the public stream, which needs no token.
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// The host, an IPv6 address without its brackets.
    pub fn host(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of the `Host` header.
    pub(super) fn authority(&self) -> String {
        let usual = if self.secure { 443 } else { 80 };
        if self.port == usual { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Path and query of the request.
    pub(super) fn target(&self, start: &Start, selection: &Selection) -> String {
        let mut target = self.path().to_owned();
        let texts = [
            ("type", &selection.types),
            ("level", &selection.level),
            ("symbol", &selection.symbol),
            ("trade_id", &selection.trade_id),
            ("subject", &selection.subject),
        ];
        let wanted = texts.into_iter().filter_map(|(name, value)| Some((name, value.clone()?)));
        let mut separator = '?';
        for (name, value) in start.parameter().into_iter().chain(wanted) {
            target.push(separator);
            target.push_str(name);
            target.push('=');
            encode(&value, &mut target);
            separator = '&';
        }
        target
    }

    /// Path and query of the request for a snapshot of these tables.
    pub(super) fn snapshot_target(&self, tables: &[String]) -> String {
        let mut target = if self.public { "/public/v1/snapshot" } else { "/v1/snapshot" }.to_owned();
        for (index, table) in tables.iter().enumerate() {
            target.push_str(if index == 0 { "?table=" } else { "&table=" });
            encode(table, &mut target);
        }
        target
    }

    fn path(&self) -> &'static str {
        if self.public { "/public/ws" } else { "/ws" }
    }
}

impl FromStr for Endpoint {
    type Err = BadEndpoint;

    fn from_str(text: &str) -> Result<Self, BadEndpoint> {
        let uri: Uri = text.parse().map_err(|_| BadEndpoint("is not a URL like https://rowcast.example"))?;
        let secure = match uri.scheme_str() {
            Some("https" | "wss") => true,
            Some("http" | "ws") => false,
            _ => return Err(BadEndpoint("must begin with http://, https://, ws:// or wss://")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        // A URL ends up in histories and logs, so it must not hold a password.
        if authority.contains('@') {
            return Err(BadEndpoint("must not hold a user or password"));
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(BadEndpoint("names no host"))?.to_owned();
        let port = match authority.strip_prefix(host.as_str()) {
            Some("") => {
                if secure {
                    443
                } else {
                    80
                }
            }
            _ => uri.port_u16().filter(|port| *port > 0).ok_or(BadEndpoint("has no port that can be"))?,
        };
        if uri.query().is_some() {
            return Err(BadEndpoint("must not hold a query: cursor and filters have options of their own"));
        }
        let public = match uri.path() {
            "" | "/" | "/ws" => false,
            "/public/ws" => true,
            _ => return Err(BadEndpoint("must have no path, or /ws, or /public/ws")),
        };
        Ok(Self { secure, host, port, public })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", if self.secure { "wss" } else { "ws" }, self.authority(), self.path())
    }
}

/// The place in the stream at which to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// With the events that come from now on.
    #[default]
    Latest,
    /// With the oldest event that is kept.
    Earliest,
    /// After this cursor.
    After(Cursor),
    /// With the newest events that match, so many.
    Last(u32),
}

impl Start {
    fn parameter(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Latest => None,
            Self::Earliest => Some(("cursor", "earliest".to_owned())),
            Self::After(cursor) => Some(("cursor", cursor.to_string())),
            Self::Last(many) => Some(("last", many.to_string())),
        }
    }
}

/// Which events are wanted, in the words of the interface. The server checks them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// A comma list of exact types and `prefix.*`.
    pub types: Option<String>,
    /// The least level.
    pub level: Option<String>,
    /// The symbol.
    pub symbol: Option<String>,
    /// The trade.
    pub trade_id: Option<String>,
    /// The subject.
    pub subject: Option<String>,
}

/// Writes a value of the query, percent-encoded but for characters without a meaning in a query.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~*,".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_scheme_a_host_and_perhaps_a_known_path() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "ws://127.0.0.1:8080/ws"),
            ("https://rowcast.example/", "wss://rowcast.example/ws"),
            ("ws://[::1]:9/ws", "ws://[::1]:9/ws"),
            ("wss://rowcast.example:8443/public/ws", "wss://rowcast.example:8443/public/ws"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), shown);
        }
        let six: Endpoint = "http://[::1]".parse().unwrap();
        assert_eq!((six.host(), six.port(), six.authority().as_str()), ("::1", 80, "[::1]"));
        let wrong = ["", "rowcast.example", "ftp://h", "http://", "http://u:p@h", "http://h/x", "http://h/ws?token=x"];
        for text in
            wrong.into_iter().chain(["http://h:0", "http://h:65536", "http://h:x", "http://a b", "http://h\r\n"])
        {
            assert!(text.parse::<Endpoint>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_asked_for_stands_encoded_in_the_query() {
        let endpoint: Endpoint = "http://h".parse().unwrap();
        assert_eq!(endpoint.target(&Start::Latest, &Selection::default()), "/ws");
        assert_eq!(endpoint.target(&Start::Last(5), &Selection::default()), "/ws?last=5");
        assert_eq!(endpoint.target(&Start::Earliest, &Selection::default()), "/ws?cursor=earliest");
        let tables = ["shop.orders".to_owned(), "shop.\"a b\"".to_owned()];
        assert_eq!(endpoint.snapshot_target(&tables), "/v1/snapshot?table=shop.orders&table=shop.%22a%20b%22");
        let text = |text: &str| Some(text.to_owned());
        let all = Selection {
            types: text("trade.*,a.b"),
            level: text("warn"),
            symbol: text("A&B=C"),
            trade_id: text("x"),
            subject: text("[1,\"ü\"]\r\n"),
        };
        let start = Start::After("7.9f3a11c2".parse().unwrap());
        assert_eq!(
            endpoint.target(&start, &all),
            "/ws?cursor=7.9f3a11c2&type=trade.*,a.b&level=warn&symbol=A%26B%3DC&trade_id=x\
             &subject=%5B1,%22%C3%BC%22%5D%0D%0A"
        );
    }
}
