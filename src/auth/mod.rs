//! Identities: tokens, the keys that verify them, the roles in them, and revocations.

mod claims;
mod header;
mod identity;
mod json;
mod key;
mod key_set;
mod key_source;
mod keys;
mod rejection;
pub mod revocations;
mod revoked;
mod rights;
mod role;
pub mod token;
mod verify;

pub use header::MAX_TOKEN_BYTES;
pub use identity::{Identity, LEEWAY, MAX_SUBJECT_BYTES, is_subject};
pub use key_source::{FETCH_LIMIT, FetchError, FetchKeys, Fetched, MAX_KEYS_BYTES};
pub use rejection::{Rejection, TokenError};
pub use revoked::{Presence, RevokedSubjects};
pub use rights::{Action, Extent};
pub use role::Role;
pub use verify::Verifier;
