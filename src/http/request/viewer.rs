//! The viewer, for whom events are read, and the events that the viewer may see.

use std::time::{Duration, UNIX_EPOCH};

use crate::auth::{Action, Extent, Identity};
use crate::db::Requester;
use crate::http::request::query::{TOKEN_IN_ADDRESS, is_token};
use crate::journal::{Filter, FilterError, Owners};
use crate::tail::pages::View;
use crate::view::{PRIVATE, PUBLIC, time_text};

/// The requester whose share of the database the statements of an identity use.
pub(in crate::http) fn requester(identity: &Identity) -> Requester {
    Requester::subject(identity.subject())
}

/// The subject of a token, or the public, for whom events are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::http) enum Viewer {
    /// Anybody. Sees the public events.
    Public,
    /// The identity that a token speaks for.
    Known(Identity),
}

impl Viewer {
    /// The view in which its events are rendered.
    pub(in crate::http) fn view(&self) -> View {
        match self {
            Self::Public => PUBLIC,
            Self::Known(_) => PRIVATE,
        }
    }

    /// The name of its view in a `hello`.
    pub(in crate::http) fn view_name(&self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Known(_) => "private",
        }
    }

    /// The identity of its token; none for the public.
    pub(in crate::http) fn identity(&self) -> Option<&Identity> {
        match self {
            Self::Public => None,
            Self::Known(identity) => Some(identity),
        }
    }

    /// True if its role may do this, at least with what is its own.
    pub(in crate::http) fn may(&self, action: Action) -> bool {
        self.identity().is_some_and(|identity| identity.role().may(action))
    }

    /// The owners whose events it may see.
    pub(in crate::http) fn owners(&self) -> Owners {
        let Self::Known(identity) = self else { return Owners::Nobody };
        let (role, subject) = (identity.role(), identity.subject().to_string());
        match (role.may(Action::OthersRows), role.extent(Action::Read)) {
            (true, _) => Owners::Any,
            (false, Extent::All) => Owners::NobodyOr(subject),
            (false, Extent::Own | Extent::No) => Owners::Only(subject),
        }
    }

    /// The filter that the viewer asks for, restricted to the events that it may see. No viewer may filter by owner, and the public may
    /// not filter by fields that are hidden from it, since the result would reveal them.
    pub(in crate::http) fn filter<'a>(
        &self,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Filter, FilterError> {
        let mut kept = Vec::new();
        for (name, value) in pairs {
            let hidden = match self {
                Self::Public => matches!(name, "owner" | "subject" | "trade_id"),
                Self::Known(_) => name == "owner",
            };
            if is_token(name) {
                return Err(FilterError { name: name.to_owned(), reason: TOKEN_IN_ADDRESS });
            }
            if hidden {
                return Err(FilterError { name: name.to_owned(), reason: "is not known" });
            }
            kept.push((name, value));
        }
        Ok(Filter::parse(kept)?.seen_by(self.owners()))
    }
}

/// A second of Unix time as text, and the end of the year 9999 for any later one.
pub(in crate::http) fn second_text(second: u64) -> String {
    time_text(UNIX_EPOCH + Duration::from_secs(second.min(253_402_300_799)))
}
