//! The refusal of a token.

/// The reason for which a token is refused, in words for the log. It repeats nothing of the token.
pub(super) type Reason = &'static str;

/// The error that the sender of a refused token is told. It does not tell the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The token is not good, for whatever reason.
    #[error("unauthorized")]
    Unauthorized,
    /// The token is good, and none of its roles is known.
    #[error("forbidden")]
    Forbidden,
}

/// A refusal with its reason, which is for the log and for tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejection {
    /// The error that the sender is told.
    pub error: TokenError,
    /// The reason, for the log alone.
    pub reason: &'static str,
    /// True if a known key has signed the token, so that its sender has not guessed it. An expired token is an example.
    pub has_valid_signature: bool,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self { error: TokenError::Unauthorized, reason, has_valid_signature: false }
    }
}
