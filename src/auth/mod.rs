//! Who someone is: tokens and the roles in them.

mod role;
pub mod token;

pub use role::Role;
