//! The table of refusals: every code that a client may be told, with its HTTP status, its close code and a sentence for a
//! person. HTTP, WebSocket, SSE and the applications take their answers from here. Tests hold the tables of
//! `docs/03_API_SPEC.md` to it.

/// A reason for which the server refuses something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// The stable word for programs.
    pub code: &'static str,
    /// The status of an answer over HTTP; none for what only happens to a stream.
    pub status: Option<u16>,
    /// The code under which a stream ends; none for what only happens to a request.
    pub close: Option<u16>,
    /// The sentence for a person, where there is nothing more exact to say.
    pub sentence: &'static str,
}

/// A number of the table, or `-` for none.
macro_rules! number {
    (-) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

macro_rules! table {
    ($($name:ident $code:literal $status:tt $close:tt $sentence:literal)*) => {
        $(pub const $name: &Refusal =
            &Refusal { code: $code, status: number!($status), close: number!($close), sentence: $sentence };)*

        /// All refusals of the table.
        #[cfg(test)]
        pub static REFUSALS: &[&Refusal] = &[$($name),*];
    };
}

table! {
    BAD_REQUEST            "bad_request"            400 4400 "The request makes no sense."
    BAD_JSON               "bad_json"               400 -    "The body is not JSON."
    UNAUTHORIZED           "unauthorized"           401 4401 "The token is not accepted."
    TOKEN_EXPIRED          "token_expired"          -   4401 "The token has expired."
    FORBIDDEN              "forbidden"              403 4403 "The role of the token does not allow this."
    REVOKED                "revoked"                -   4403 "The tokens of this subject were revoked."
    NOT_FOUND              "not_found"              404 -    "There is nothing at this address."
    METHOD_NOT_ALLOWED     "method_not_allowed"     405 -    "This address does not allow this method."
    TIMEOUT                "timeout"                408 4408 "The client took too long."
    STALLED                "stalled"                503 4409 "The stream did not go on for too long; come back with the cursor."
    CURSOR_EXPIRED         "cursor_expired"         410 4410 "Events after this cursor were trimmed."
    OFFSET_GONE            "offset_gone"            410 -    "The offset is of another history of this stream, or of rows that look otherwise now. Begin again at -1."
    CURSOR_INVALID         "cursor_invalid"         400 4411 "The cursor is ahead of the stream or of another history."
    BODY_TOO_LARGE         "body_too_large"         413 -    "The body is too large."
    MESSAGE_TOO_BIG        "message_too_big"        -   1009 "The message is too big."
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" 415 -    "The body is of a kind that is not read here."
    UPGRADE_REQUIRED       "upgrade_required"       426 -    "This address speaks WebSocket, version 13."
    RATE_LIMITED           "rate_limited"           429 4429 "A rate limit is reached; Retry-After says when to come back."
    TOO_MANY_SESSIONS      "too_many_sessions"      503 -    "This server has no room for another session."
    TOO_MANY_CONNECTIONS   "too_many_connections"   503 -    "This server has no room for more connections."
    INVALID_EVENT          "invalid_event"          422 -    "The event cannot be stored."
    RESERVED_TYPE          "reserved_type"          422 -    "Types that begin with trade. order. snapshot. config. or chat. come from their own routes."
    TOO_MANY_EVENTS        "too_many_events"        422 -    "These are too many events at once."
    IDEMPOTENCY_CONFLICT   "idempotency_conflict"   422 -    "Idempotency-Key was used before with another content."
    INVALID_REVOCATION     "invalid_revocation"     422 -    "The revocation cannot be stored."
    INVALID_MESSAGE        "invalid_message"        422 -    "The body must be an object with text, and with conversation if it is to be said in that one."
    INVALID_TEXT           "invalid_text"           422 -    "The text may not be said."
    CONVERSATION_CLOSED    "conversation_closed"    409 -    "The conversation is closed."
    INVALID_TRADE          "invalid_trade"          422 -    "The trade cannot be stored."
    INVALID_ORDER          "invalid_order"          422 -    "The order cannot be stored."
    INVALID_SNAPSHOT       "invalid_snapshot"       422 -    "The snapshot cannot be stored."
    INVALID_SETTING        "invalid_setting"        422 -    "The setting cannot be stored."
    STATE_CONFLICT         "state_conflict"         409 -    "The present state does not allow this."
    NOT_SNAPSHOTTABLE      "not_snapshottable"      409 -    "The rows of this table cannot be read as it is published."
    INTERNAL               "internal"               500 -    "Something went wrong here. The log knows more."
    STARTING               "starting"               503 -    "The server is still starting."
    DRAINING               "draining"               503 -    "The server is shutting down."
    RESTART                "restart"                -   1012 "The server is shutting down."
    TAIL_UNAVAILABLE       "tail_unavailable"       503 -    "The server does not follow the journal at this moment."
    DATABASE_BUSY          "database_busy"          503 1011 "Too many requests wait for the database, or too many of this subject or address."
    DATABASE_READ_ONLY     "database_read_only"     503 -    "The database takes no writes."
    DATABASE_UNAVAILABLE   "database_unavailable"   503 1011 "The database does not answer."
}

/// A reason with a full stop, as the sentences of the table have it.
pub fn sentence(reason: &str) -> String {
    format!("{reason}.")
}

/// The sentence of [`BAD_JSON`] with the place of the error.
pub fn not_json(line: usize, column: usize) -> String {
    format!("The body is not JSON at line {line}, column {column}.")
}

/// The close code of a stream that ends with an error of the server itself, or with a refusal that has no close code.
pub const CLOSE_INTERNAL: u16 = 1011;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const API_SPEC: &str = include_str!("../docs/03_API_SPEC.md");

    /// Pairs of a code and a number from the tables with this header, whose cells are in this order.
    fn documented(header: &str, code: usize, number: usize) -> BTreeSet<(String, u16)> {
        let rows = API_SPEC
            .split(header)
            .skip(1)
            .flat_map(|table| table.lines().skip(2).take_while(|line| line.starts_with('|')));
        let mut pairs = BTreeSet::new();
        for row in rows {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let Ok(number) = cells[number].parse() else { continue };
            pairs.extend(cells[code].split('`').skip(1).step_by(2).map(|code| (code.to_owned(), number)));
        }
        pairs
    }

    #[test]
    fn every_refusal_of_a_request_is_documented_with_its_status_and_no_other() {
        let table = REFUSALS.iter().filter_map(|r| Some((r.code.to_owned(), r.status?)));
        assert_eq!(table.collect::<BTreeSet<_>>(), documented("| code | status | when |", 1, 2));
    }

    #[test]
    fn every_refusal_of_a_stream_is_documented_with_its_close_code_and_no_other() {
        // The codes of RFC 6455 have a row of their own, without words.
        let table = REFUSALS.iter().filter_map(|r| Some((r.code.to_owned(), r.close.filter(|close| *close >= 4000)?)));
        assert_eq!(table.collect::<BTreeSet<_>>(), documented("| close code | codes | meaning |", 2, 1));
    }

    #[test]
    fn a_code_stands_there_once_and_can_be_told() {
        for (at, refusal) in REFUSALS.iter().enumerate() {
            assert!(!REFUSALS[..at].iter().any(|other| other.code == refusal.code), "{} stands twice", refusal.code);
            assert!(refusal.status.is_some() || refusal.close.is_some(), "{} has no number", refusal.code);
            assert!(refusal.sentence.ends_with('.'), "{}: {:?}", refusal.code, refusal.sentence);
        }
    }
}
