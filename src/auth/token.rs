//! Minting tokens with the HS256 secret, for people at the command line.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;

use super::{MAX_SUBJECT_BYTES, Role, is_subject};
use crate::clock::Clock;
use crate::config::Secret;

/// The longest life of a token that is minted here.
pub const MAX_TTL: Duration = Duration::from_secs(365 * 24 * 3600);

/// The claims of a token that is minted here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Claims<'a> {
    sub: &'a str,
    role: Role,
    iat: u64,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    aud: Option<&'a str>,
}

/// The reason for which a token cannot be minted.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The subject is empty, too long, not plain text, or one of the server's own.
    #[error("a subject must be 1 to {MAX_SUBJECT_BYTES} bytes without control characters and not begin with rowcast:")]
    Subject,
    /// The life is zero or too long.
    #[error("a token must live at least a second and at most 365 days")]
    Ttl,
    /// The signature failed.
    #[error("the token cannot be signed: {0}")]
    Sign(#[from] jsonwebtoken::errors::Error),
}

/// A token to mint.
#[derive(Debug, Clone, Copy)]
pub struct Mint<'a> {
    /// The subject of the token.
    pub subject: &'a str,
    /// The role of the subject.
    pub role: Role,
    /// The time from its issue to its expiry.
    pub ttl: Duration,
    /// The issuer that the server requires, if it does.
    pub issuer: Option<&'a str>,
    /// The audience that the server requires, if it does.
    pub audience: Option<&'a str>,
}

impl Mint<'_> {
    /// Signs the token with the secret.
    pub fn sign(&self, secret: &Secret, clock: &Clock) -> Result<Secret, MintError> {
        // The server must accept the tokens that it mints.
        if !is_subject(self.subject) {
            return Err(MintError::Subject);
        }
        if self.ttl.as_secs() == 0 || self.ttl > MAX_TTL {
            return Err(MintError::Ttl);
        }
        let iat = clock.unix_seconds();
        let claims = Claims {
            sub: self.subject,
            role: self.role,
            iat,
            exp: iat + self.ttl.as_secs(),
            iss: self.issuer,
            aud: self.audience,
        };
        let key = EncodingKey::from_secret(secret.expose().as_bytes());
        Ok(Secret::new(jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation};
    use std::time::UNIX_EPOCH;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";

    fn mint(subject: &str, ttl: Duration) -> Result<Secret, MintError> {
        let clock = Clock::fixed(UNIX_EPOCH + Duration::from_secs(4_000_000_000));
        let mint = Mint { subject, role: Role::Operator, ttl, issuer: Some("me"), audience: None };
        mint.sign(&Secret::new(SECRET), &clock)
    }

    #[test]
    fn a_token_says_who_what_and_until_when() {
        let token = mint("alice", Duration::from_secs(60)).unwrap();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_issuer(&["me"]);
        let key = DecodingKey::from_secret(SECRET.as_bytes());
        let claims = jsonwebtoken::decode::<serde_json::Value>(token.expose(), &key, &validation).unwrap().claims;
        let expected = serde_json::json!({
            "sub": "alice", "role": "operator", "iat": 4_000_000_000_u64, "exp": 4_000_000_060_u64, "iss": "me"
        });
        assert_eq!(claims, expected);
    }

    #[test]
    fn a_subject_or_life_out_of_bounds_is_refused() {
        let minute = Duration::from_secs(60);
        assert!(mint(&"x".repeat(MAX_SUBJECT_BYTES), MAX_TTL).is_ok());
        for subject in ["", "a\nb", "rowcast:demo", &"x".repeat(MAX_SUBJECT_BYTES + 1)] {
            assert!(matches!(mint(subject, minute), Err(MintError::Subject)));
        }
        for ttl in [Duration::ZERO, Duration::from_millis(999), MAX_TTL + minute] {
            assert!(matches!(mint("alice", ttl), Err(MintError::Ttl)));
        }
    }

    #[test]
    fn roles_are_words_and_ordered() {
        for role in Role::ALL {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
        }
        assert_eq!(Role::parse("root"), None);
        assert!(Role::Admin > Role::Operator && Role::Viewer > Role::User);
    }
}
