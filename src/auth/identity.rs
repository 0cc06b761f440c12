//! The identity that a checked token speaks for.

use std::sync::Arc;

use super::Role;

/// The difference that the clocks of an issuer and of this machine may have, in seconds.
pub const LEEWAY: u64 = 60;
/// The longest subject, in bytes: it must fit `owner` and the revocations.
pub const MAX_SUBJECT_BYTES: usize = 128;
/// The prefix of subjects that belong to no person: the server itself acts under them.
const RESERVED: &str = "rowcast:";

/// The content of a token that was verified. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    subject: Arc<str>,
    role: Role,
    issued_at: u64,
    expires_at: u64,
}

impl Identity {
    pub(super) fn new(subject: &str, role: Role, issued_at: u64, expires_at: u64) -> Self {
        Self { subject: subject.into(), role, issued_at, expires_at }
    }

    /// The subject of the token.
    pub fn subject(&self) -> &Arc<str> {
        &self.subject
    }

    /// The role of the subject.
    pub fn role(&self) -> Role {
        self.role
    }

    /// The time at which the token was issued (`iat`), in seconds since 1970. Revocations are compared with it.
    pub fn issued_at(&self) -> u64 {
        self.issued_at
    }

    /// The time at which the token says that it expires (`exp`), in seconds since 1970.
    pub fn expires_at(&self) -> u64 {
        self.expires_at
    }

    /// The time at which the token ends, for new requests as for live sessions: `exp` and the leeway.
    pub fn ends_at(&self) -> u64 {
        self.expires_at.saturating_add(LEEWAY)
    }
}

/// True if a text can be a subject.
pub fn is_subject(text: &str) -> bool {
    (1..=MAX_SUBJECT_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) && !text.starts_with(RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_short_plain_and_not_the_servers_own() {
        for good in ["a", "auth0|5f7c", "Zoë", "rowcast", "a rowcast:b", &"x".repeat(128)] {
            assert!(is_subject(good), "{good:?}");
        }
        for bad in ["", "a\0", "a\nb", "a\u{85}b", "\u{7f}", "rowcast:", "rowcast:demo", &"é".repeat(65)] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }

    #[test]
    fn an_identity_ends_a_leeway_after_it_expires() {
        let identity = Identity::new("a", Role::User, 1, 100);
        assert_eq!((identity.expires_at(), identity.ends_at()), (100, 160));
        assert_eq!(Identity::new("a", Role::User, 1, u64::MAX).ends_at(), u64::MAX);
    }
}
