//! The roles: one word for the rights of a subject.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The roles, from the weakest to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees own rows and chats. A valid token without a role has this one.
    User,
    /// Sees every event that is for everyone.
    Viewer,
    /// Sees, appends and trades.
    Engine,
    /// Sees, appends, trades and chats.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them, in order.
    pub const ALL: [Self; 5] = [Self::User, Self::Viewer, Self::Engine, Self::Operator, Self::Admin];

    /// The word in a token.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Viewer => "viewer",
            Self::Engine => "engine",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of a word.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
