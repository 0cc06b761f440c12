//! The command line: each command as a person or a script meets it, and the client library under `rowcast tail`.

mod append_command;
mod bench;
mod client_library;
mod cluster;
mod dev;
pub(crate) mod doctor;
mod exit_codes;
mod publish_command;
mod tail_command;
mod tail_table;
mod verify;
mod verify_table;
