//! Everything that knows how to reach Postgres: where it is, how to log in, how its schema is brought up to date.

pub mod cluster;
