//! The values of a statement that is built piece by piece.

use postgres_types::{ToSql, Type};

/// The values of a statement, by their numbers.
#[derive(Default)]
pub(super) struct Values(Vec<(Box<dyn ToSql + Sync + Send>, Type)>);

impl Values {
    /// Adds a value and returns its placeholder, as `$3`.
    pub(super) fn push(&mut self, value: impl ToSql + Sync + Send + 'static, kind: Type) -> String {
        self.0.push((Box::new(value), kind));
        format!("${}", self.0.len())
    }

    /// All of them, as `query_typed` takes them.
    pub(super) fn all(&self) -> Vec<(&(dyn ToSql + Sync), Type)> {
        self.0.iter().map(|(value, kind)| (value.as_ref() as &(dyn ToSql + Sync), kind.clone())).collect()
    }
}
