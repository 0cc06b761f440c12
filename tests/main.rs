//! One integration binary, a module per behaviour, against a real Postgres.

mod schema;
mod support;
