//! The parameters of an address: each at most once, percent-encoded UTF-8, and none that the endpoint does not know.

use std::ops::RangeInclusive;

use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, PrimitiveDateTime, UtcOffset};

use crate::journal::tellable;

/// The names and values of an address, in order.
#[derive(Debug, Clone, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the part after `?`.
    pub fn parse(query: Option<&str>) -> Result<Self, BadQuery> {
        Self::parse_allowing(query, None)
    }

    fn parse_allowing(query: Option<&str>, list: Option<&str>) -> Result<Self, BadQuery> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name).ok_or(BadQuery::Encoding)?, decode(value).ok_or(BadQuery::Encoding)?);
            if list != Some(name.as_str()) && pairs.iter().any(|(known, _)| *known == name) {
                return Err(BadQuery::Twice(tellable(&name).to_owned()));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Reads the part after `?`, in which one parameter may come more than once.
    pub fn parse_with_list(query: Option<&str>, list: &str) -> Result<Self, BadQuery> {
        Self::parse_allowing(query, Some(list))
    }

    /// Takes out every value of a parameter, in order.
    pub fn take_all(&mut self, name: &str) -> Vec<String> {
        self.0.extract_if(.., |(known, _)| known == name).map(|(_, value)| value).collect()
    }

    /// Takes out a parameter that is `true` or `false`; false if it is not there.
    pub fn flag(&mut self, name: &'static str) -> Result<bool, BadQuery> {
        Ok(self.one_of(name, &["true", "false"])?.is_some_and(|word| word == "true"))
    }

    /// Takes a parameter out, if it is there.
    pub fn take(&mut self, name: &str) -> Option<String> {
        let at = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.swap_remove(at).1)
    }

    /// Takes out `limit`, the number of items that are asked for; `usual` if it is not given.
    pub fn limit(&mut self, usual: u16, most: u16) -> Result<u16, BadQuery> {
        Ok(self.number("limit", "whole number", 1..=most)?.unwrap_or(usual))
    }

    /// Takes out a number of this kind, if it is there: digits alone, within these bounds.
    pub fn number(
        &mut self,
        name: &'static str,
        kind: &'static str,
        bounds: RangeInclusive<u16>,
    ) -> Result<Option<u16>, BadQuery> {
        let Some(text) = self.take(name) else { return Ok(None) };
        // `parse` would take a sign too.
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && bounds.contains(&number) => Ok(Some(number)),
            _ => Err(BadQuery::Number { name, kind, low: *bounds.start(), high: *bounds.end() }),
        }
    }

    /// Takes out a text, if it is there.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, BadQuery> {
        match self.take(name) {
            Some(text) if text.is_empty() || text.contains('\0') => Err(BadQuery::Text(name)),
            text => Ok(text),
        }
    }

    /// Takes out one of these words, if it is there.
    pub fn one_of(&mut self, name: &'static str, words: &'static [&'static str]) -> Result<Option<String>, BadQuery> {
        match self.take(name) {
            Some(word) if !words.contains(&word.as_str()) => Err(BadQuery::Word { name, words }),
            word => Ok(word),
        }
    }

    /// Takes out a time, if it is there.
    pub fn time(&mut self, name: &'static str) -> Result<Option<OffsetDateTime>, BadQuery> {
        let at = self.take(name).map(|text| OffsetDateTime::parse(&text, &Rfc3339)).transpose();
        // The year 9999 of a zone west of Greenwich ends in the year 10000 of UTC, which cannot be written.
        let utc = |at: OffsetDateTime| at.checked_to_offset(UtcOffset::UTC);
        Ok(at.map_err(|_| BadQuery::Time(name))?.map(|at| utc(at).unwrap_or(PrimitiveDateTime::MAX.assume_utc())))
    }

    /// Fails if a parameter was not taken: a token in an address must not go unnoticed. The error repeats plain names, and never
    /// a value.
    pub fn none(&self) -> Result<(), BadQuery> {
        match self.0.first() {
            Some((name, _)) if is_token(name) => Err(BadQuery::Token(tellable(name).to_owned())),
            Some((name, _)) => Err(BadQuery::Unknown(tellable(name).to_owned())),
            None => Ok(()),
        }
    }

    /// The parameters that were not taken.
    pub fn rest(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// Refuses parameters of every kind.
pub fn no_parameters(query: Option<&str>) -> Result<(), BadQuery> {
    match query {
        Some(query) if !query.is_empty() => Err(BadQuery::NoneTaken),
        _ => Ok(()),
    }
}

/// The error in the parameters of an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadQuery {
    /// An escape is broken, or the bytes are no UTF-8.
    #[error("the address must be percent-encoded UTF-8")]
    Encoding,
    /// A name comes twice.
    #[error("{0} must be given at most once")]
    Twice(String),
    /// The endpoint knows no parameter of this name.
    #[error("{0} is not known")]
    Unknown(String),
    /// The name is one under which a client would send a token.
    #[error("{0} {TOKEN_IN_ADDRESS}")]
    Token(String),
    /// The endpoint takes no parameters at all.
    #[error("This request takes no parameters.")]
    NoneTaken,
    /// A text is empty, or cannot be stored.
    #[error("{0} must be some text without a NUL character")]
    Text(&'static str),
    /// The value is not one of the allowed words.
    #[error("{name} must be one of {}", words.join(", "))]
    #[allow(missing_docs, reason = "the sentence says what each is")]
    Word { name: &'static str, words: &'static [&'static str] },
    /// A time is malformed.
    #[error("{0} must be a time as 2026-01-27T10:00:00Z")]
    Time(&'static str),
    /// A number is malformed or out of its bounds.
    #[error("{name} must be a {kind} from {low} to {high}")]
    #[allow(missing_docs, reason = "the sentence says what each is")]
    Number { name: &'static str, kind: &'static str, low: u16, high: u16 },
}

/// The end of the error for a parameter that may hold a token; its name stands before it.
pub const TOKEN_IN_ADDRESS: &str = "is not taken from the address, which proxies and logs keep: send the token in \
     the header Authorization: Bearer, or for a WebSocket in a browser as the sub-protocols rowcast.v1, bearer.<token>, \
     or as the first message {\"op\":\"auth\",\"token\":\"…\"}";

/// True for a name under which a client would try to send a token.
pub fn is_token(name: &str) -> bool {
    ["token", "access_token", "auth", "authorization", "bearer", "jwt", "apikey", "api_key"]
        .iter()
        .any(|word| name.eq_ignore_ascii_case(word))
}

/// A path without its percent-encoding, for the log, so that redaction finds the secrets in it.
pub fn readable(path: &str) -> String {
    decode(path).unwrap_or_else(|| path.to_owned())
}

/// A segment of a path without its percent-encoding, where `+` stands for itself; `None` if an escape is broken or the bytes are not
/// UTF-8.
pub fn path_segment(text: &str) -> Option<String> {
    decode(&text.replace('+', "%2B"))
}

/// Decodes percent-encoding, and `+` as a space; `None` if an escape is broken or the bytes are not UTF-8.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                rest = tail;
                let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))?;
                u8::from_str_radix(digits, 16).ok()?
            }
            other => *other,
        });
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded_and_taken() {
        let mut query = Query::parse(Some("type=trade.%2A&symbol=BTC%2fUSD+x&&empty=&flag")).unwrap();
        assert_eq!(query.take("type").unwrap(), "trade.*");
        assert_eq!(query.take("type"), None);
        assert_eq!(query.take("symbol").unwrap(), "BTC/USD x");
        let rest: Vec<_> = query.rest().collect();
        assert!(rest.contains(&("empty", "")) && rest.contains(&("flag", "")));
        assert_eq!(Query::parse(None).unwrap().rest().count(), 0);
    }

    #[test]
    fn what_is_no_encoding_or_comes_twice_is_refused() {
        for query in ["a=%", "a=%2", "a=%zz", "a=%+1", "a=%ff", "%c3=1"] {
            assert_eq!(Query::parse(Some(query)).unwrap_err(), BadQuery::Encoding, "{query}");
        }
        let twice = Query::parse(Some("a=1&b=2&%61=3")).unwrap_err();
        assert_eq!(twice.to_string(), "a must be given at most once");
    }

    #[test]
    fn texts_words_and_times_are_taken_or_refused_by_name() {
        let parse = |query: &str| Query::parse(Some(query)).unwrap();
        assert_eq!(parse("key=a").text("key").unwrap().as_deref(), Some("a"));
        assert_eq!(parse("key=a").text("other"), Ok(None));
        for bad in ["key=", "key=a%00"] {
            assert_eq!(parse(bad).text("key"), Err(BadQuery::Text("key")), "{bad}");
        }
        assert_eq!(parse("side=buy").one_of("side", &["buy", "sell"]).unwrap().as_deref(), Some("buy"));
        let bad = parse("side=long").one_of("side", &["buy", "sell"]).unwrap_err();
        assert_eq!(bad.to_string(), "side must be one of buy, sell");
        let at = |text: &str| parse(&format!("since={text}")).time("since");
        assert_eq!(at("2026-01-27T10:00:00%2B02:00"), at("2026-01-27T08:00:00Z"));
        assert!(at("9999-12-31T23:59:59-23:00").is_ok_and(|at| at.is_some()));
        assert_eq!(at("2026-01-27"), Err(BadQuery::Time("since")));
    }
}
