//! `--table` of `tail` and `verify`: the published tables that are meant.

use clap::ArgMatches;

use super::Failure;

/// The most tables at once: as many as a snapshot may have.
const MAX_TABLES: usize = 16;

/// The tables that were given; none if there is no `--table`.
pub(super) fn given(args: &ArgMatches) -> Result<Vec<String>, Failure> {
    let tables: Vec<String> = args.get_many::<String>("table").unwrap_or_default().cloned().collect();
    if tables.len() > MAX_TABLES {
        return Err(Failure::Usage(format!("--table may be given at most {MAX_TABLES} times")));
    }
    if let Some(bare) = tables.iter().find(|table| !table.contains('.')) {
        let bare = bare.escape_debug();
        return Err(Failure::Usage(format!(
            "--table {bare} lacks its schema: write public.{bare}, say, as publish --list does"
        )));
    }
    match (1..tables.len()).find(|at| tables[..*at].contains(&tables[*at])) {
        Some(twice) => Err(Failure::Usage(format!("--table {} is given twice", tables[twice].escape_debug()))),
        None => Ok(tables),
    }
}
