//! One integration binary, a module per behaviour, against a real Postgres.

mod bell;
mod publish;
mod support;
