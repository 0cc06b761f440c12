//! The outside of a token: its size, its three parts, and what its header says.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::json;
use super::rejection::Reason;

/// The longest token, in bytes. One with a name and a dozen roles has about a thousand.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// The members that a header must not hold: keys and URLs of keys, since a token must not choose its key; critical extensions
/// (`crit`), since none is supported; other encodings of the payload (`b64`, `zip`).
const REFUSED_MEMBERS: &[&str] = &["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip"];
/// The types of token that let somebody in. Others, such as logout tokens, may be signed by the same issuer
/// for the same audience.
const ACCEPTED_TYPES: &[&str] = &["jwt", "at+jwt"];

/// A token taken apart. Nothing in it is believed yet.
pub(super) struct Parts<'a> {
    /// The text that the signature is over.
    pub(super) signed: &'a [u8],
    pub(super) signature: Vec<u8>,
    pub(super) claims: Vec<u8>,
    pub(super) header: Header,
}

/// The members of a header that are used.
pub(super) struct Header {
    pub(super) algorithm: String,
    pub(super) kid: Option<String>,
}

impl<'a> Parts<'a> {
    /// Takes a token apart. The decoder takes each value in one form only: no padding, no blanks, no stray bits at the
    /// end. So one token cannot be written in two ways.
    pub(super) fn of(token: &'a str) -> Result<Self, Reason> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err("it is too long");
        }
        let (signed, signature) = token.rsplit_once('.').ok_or("it does not have three parts")?;
        let (header, claims) = signed.split_once('.').ok_or("it does not have three parts")?;
        if claims.contains('.') {
            return Err("it does not have three parts");
        }
        if signature.is_empty() {
            return Err("it is not signed");
        }
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part is not base64url");
        Ok(Self {
            signed: signed.as_bytes(),
            header: Header::parse(&decode(header)?)?,
            claims: decode(claims)?,
            signature: decode(signature)?,
        })
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        let header = json::object(bytes).ok_or("its header is not an object")?;
        if REFUSED_MEMBERS.iter().any(|name| header.contains_key(*name)) {
            return Err("its header holds what is not taken from a token");
        }
        let text = |name: &str, why: Reason| match header.get(name) {
            None => Ok(None),
            Some(value) => value.as_str().map(Some).ok_or(why),
        };
        let kind = text("typ", "typ is not a text")?.unwrap_or("JWT").to_ascii_lowercase();
        if !ACCEPTED_TYPES.contains(&kind.strip_prefix("application/").unwrap_or(&kind)) {
            return Err("it is a token of another kind");
        }
        let algorithm = text("alg", "alg is not a text")?.ok_or("alg is missing")?.to_owned();
        let kid = text("kid", "kid is not a text")?.map(str::to_owned);
        Ok(Self { algorithm, kid })
    }
}
