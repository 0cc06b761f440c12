//! The rights of each role: one table, which the interface's description repeats and a test compares.

use super::Role;

/// The extent to which a role may do something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The role may not do it.
    No,
    /// The role may do it with the rows of its own subject.
    Own,
    /// The role may do it with all rows.
    All,
}

/// An action that needs a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Read events, trades, orders, snapshots and settings. [`Extent::Own`] is the rows that one owns.
    Read,
    /// Append events; write trades, orders and snapshots.
    Write,
    /// Talk, and read conversations.
    Chat,
    /// See the rows that belong to others.
    OthersRows,
    /// Change settings, revoke tokens.
    Administer,
}

impl Action {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 5] = [Self::Read, Self::Write, Self::Chat, Self::OthersRows, Self::Administer];
}

impl Role {
    /// The extent to which the role may do this.
    pub fn extent(self, action: Action) -> Extent {
        use Extent::{All, No, Own};
        let [read, write, chat, others, administer] = match self {
            Self::User => [Own, No, Own, No, No],
            Self::Viewer => [All, No, Own, No, No],
            Self::Engine => [All, All, No, No, No],
            Self::Operator => [All, All, Own, No, No],
            Self::Admin => [All, All, All, All, All],
        };
        match action {
            Action::Read => read,
            Action::Write => write,
            Action::Chat => chat,
            Action::OthersRows => others,
            Action::Administer => administer,
        }
    }

    /// True if the role may do this at least with its own rows.
    pub fn may(self, action: Action) -> bool {
        self.extent(action) > Extent::No
    }
}
