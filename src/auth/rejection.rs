//! The refusal of a token.

/// The reason for which a token is refused, in words for the log. Nothing of the token itself.
pub(super) type Reason = &'static str;

/// The error that the sender of a refused token is told. It does not tell the reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
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
    /// The sentence that the sender gets.
    pub refused: Refused,
    /// The reason, for the log alone.
    pub why: &'static str,
    /// True if the signature is valid, as that of an expired token: its sender has not guessed it.
    pub genuine: bool,
}

impl From<Reason> for Rejection {
    fn from(why: Reason) -> Self {
        Self { refused: Refused::Unauthorized, why, genuine: false }
    }
}
