//! The handlers that answer one document.

pub(in crate::http) mod append;
pub(in crate::http) mod application;
pub(in crate::http) mod health;
pub(in crate::http) mod me;
pub(in crate::http) mod metrics;
pub(in crate::http) mod openapi;
pub(in crate::http) mod page_files;
pub(in crate::http) mod pages;
pub(in crate::http) mod revocations;
