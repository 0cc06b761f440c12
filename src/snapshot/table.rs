//! The published tables as the database describes them, and what a viewer may read of each.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use tokio_postgres::{Client, Row};

use super::error::SnapshotError;
use crate::journal::Owners;
use crate::tail::pages::View;
use crate::view::{PUBLIC, Taxonomy, field_texts};

/// The view is the interface; see `docs/04_DB_SCHEMA.md`.
const SQL: &str = "select source, name, prefix, columns, json_types, has_owner, public_safe, has_map, has_state, state_key, \
                   removed_types, has_reader from rowcast.live_tables order by name";

/// What names a row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowKey {
    /// The subject of its events.
    Subject,
    /// These fields of the payload.
    Fields(Vec<String>),
}

impl Serialize for RowKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Subject => serializer.serialize_str("subject"),
            Self::Fields(fields) => fields.serialize(serializer),
        }
    }
}

/// A column, and the JSON that its values become.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Column {
    /// Its name, under which it stands in a payload.
    pub name: String,
    /// `string`, `number`, `boolean`, `array`, `object`, or `any` for JSON itself.
    pub r#type: String,
}

/// A published table as a viewer may know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// Its name with its schema, quoted as in SQL where that is needed.
    pub table: String,
    /// What the types of its events begin with.
    pub prefix: String,
    /// The columns in its payloads.
    pub columns: Vec<Column>,
    /// What names a row; null if the rows cannot be read.
    pub key: Option<RowKey>,
    /// The types of the events that remove a row.
    pub removes: Vec<String>,
}

/// A published table as the database describes it.
#[derive(Debug, Clone)]
pub(super) struct LiveTable {
    pub(super) source: u32,
    pub(super) name: String,
    pub(super) prefix: String,
    columns: Vec<Column>,
    pub(super) has_owner: bool,
    public_safe: bool,
    has_map: bool,
    /// `None` if nothing names its rows.
    key: Option<RowKey>,
    removes: Vec<String>,
    /// False if it was published without the function that reads its rows, or that may not be called.
    has_reader: bool,
}

/// All published tables.
pub(super) async fn all(client: &Client) -> Result<Vec<LiveTable>, tokio_postgres::Error> {
    let rows = client.query_typed(SQL, &[]).await?;
    // Whoever may append events can publish a table with settings of his own making. It must not hide the tables of others.
    Ok(rows.iter().filter_map(|row| LiveTable::from_row(row).ok()).collect())
}

impl LiveTable {
    fn from_row(row: &Row) -> Result<Self, tokio_postgres::Error> {
        let (names, types): (Vec<String>, Vec<String>) = (row.try_get(3)?, row.try_get(4)?);
        let (has_state, fields): (bool, Option<Vec<String>>) = (row.try_get(8)?, row.try_get(9)?);
        Ok(Self {
            source: row.try_get(0)?,
            name: row.try_get(1)?,
            prefix: row.try_get(2)?,
            columns: names.into_iter().zip(types).map(|(name, r#type)| Column { name, r#type }).collect(),
            has_owner: row.try_get(5)?,
            public_safe: row.try_get(6)?,
            has_map: row.try_get(7)?,
            key: has_state.then(|| fields.map_or(RowKey::Subject, RowKey::Fields)),
            removes: row.try_get::<_, Option<Vec<String>>>(10)?.unwrap_or_default(),
            has_reader: row.try_get(11)?,
        })
    }

    /// True if a viewer who sees the events of these owners may know of the table.
    pub(super) fn is_visible(&self, owners: &Owners, view: View) -> bool {
        match owners {
            Owners::Any | Owners::NobodyOr(_) => true,
            Owners::Only(_) => self.has_owner,
            Owners::Nobody => view == PUBLIC && self.public_safe && !self.has_owner,
        }
    }

    /// What the viewer may know of it.
    pub(super) fn describe(&self, view: View, taxonomy: &Taxonomy) -> Description {
        let mut columns = self.columns.clone();
        if view == PUBLIC {
            let shown =
                |column: &Column| taxonomy.types_of(&self.prefix).any(|(_, fields)| fields.contains(&column.name));
            columns.retain(shown);
        }
        Description {
            table: self.name.clone(),
            prefix: self.prefix.clone(),
            columns,
            key: self.key.clone(),
            removes: self.removes.clone(),
        }
    }

    /// Refuses a table whose rows cannot be read for this view, with the sentence that says what to do.
    pub(super) fn check_readable(&self, view: View, taxonomy: &Taxonomy) -> Result<(), SnapshotError> {
        let name = &self.name;
        let refuse = |why: String| SnapshotError::NotSnapshottable(Arc::from(why));
        let Some(key) = &self.key else {
            return Err(refuse(match self.has_map {
                true => format!(
                    "{name} has a map, and was published without a state_key: publish it again with state_key => '{{id}}', if each \
                     event carries the whole row and its fields of that name name the row."
                ),
                false => format!(
                    "Nothing names a row of {name} for good: publish it again with a state_key that holds a primary key, or a \
                     unique index without nulls, that is not deferrable; or publish it again, if it was published before live tables."
                ),
            }));
        };
        if view == PUBLIC {
            self.check_public(key, taxonomy).map_err(refuse)?;
        }
        if !self.has_reader {
            return Err(refuse(format!(
                "The server may not read the rows of {name}: publish it again, and grant usage on its schema to rowcast_snapshots."
            )));
        }
        Ok(())
    }

    /// Checks that the public sees what names a row in every event of the table, and every removal.
    fn check_public(&self, key: &RowKey, taxonomy: &Taxonomy) -> Result<(), String> {
        let name = &self.name;
        let RowKey::Fields(fields) = key else {
            return Err(format!(
                "The public does not see the subjects of {name}: publish it again with a state_key, and list its fields as public."
            ));
        };
        let truncated = format!("{}.truncated", self.prefix);
        for (listed, shown) in taxonomy.types_of(&self.prefix).filter(|(listed, _)| *listed != truncated) {
            if let Some(hidden) = fields.iter().find(|field| !shown.contains(*field)) {
                return Err(format!(
                    "{hidden}, which names the rows of {name}, is no public field of {listed} in rowcast.event_types."
                ));
            }
        }
        let states = if self.has_map { Vec::new() } else { vec![self.type_of("inserted"), self.type_of("updated")] };
        // A map need not make all of the types that remove by default, so one that is listed is enough.
        let removal = self.removes.iter().find(|removal| taxonomy.fields(removal).is_some());
        let needed = states.into_iter().chain(removal.is_none().then(|| self.type_of("deleted"))).chain([truncated]);
        for needed in needed {
            if taxonomy.fields(&needed).is_none() {
                return Err(format!("The public sees no events {needed}: list the type in rowcast.event_types."));
            }
        }
        if !self.has_map && taxonomy.fields(&self.type_of("inserted")) != taxonomy.fields(&self.type_of("updated")) {
            return Err(format!("{0}.inserted and {0}.updated have not the same public fields.", self.prefix));
        }
        Ok(())
    }

    /// The type of an event of this table.
    pub(super) fn type_of(&self, word: &str) -> String {
        format!("{}.{word}", self.prefix)
    }

    /// The last word of a type, if it is one of this table.
    pub(super) fn word_of<'a>(&self, kind: &'a str) -> Option<&'a str> {
        let word = kind.strip_prefix(self.prefix.as_str())?.strip_prefix('.')?;
        (!word.contains('.')).then_some(word)
    }

    /// True for the type of an event that removes a row.
    pub(super) fn removes(&self, kind: &str) -> bool {
        self.removes.iter().any(|removal| removal == kind)
    }

    /// What names this row: its subject, or the texts of the fields of its key.
    pub(super) fn name_row(&self, subject: Option<&str>, payload: &str) -> Option<String> {
        match self.key.as_ref()? {
            RowKey::Subject => subject.map(str::to_owned),
            RowKey::Fields(fields) => field_texts(payload, fields),
        }
    }

    #[cfg(test)]
    pub(super) fn for_tests(prefix: &str, key: RowKey) -> Self {
        Self {
            source: 1,
            name: prefix.to_owned(),
            prefix: prefix.to_owned(),
            columns: Vec::new(),
            has_owner: false,
            public_safe: true,
            has_map: false,
            key: Some(key),
            removes: vec![format!("{prefix}.deleted")],
            has_reader: true,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop there")]
mod tests {
    use super::*;
    use crate::view::PRIVATE;

    fn taxonomy(types: &[(&str, &[&str])]) -> Taxonomy {
        let owned = |(name, fields): &(&str, &[&str])| {
            ((*name).to_owned(), fields.iter().map(|field| (*field).to_owned()).collect::<Vec<_>>())
        };
        types.iter().map(owned).collect()
    }

    const WHOLE: &[(&str, &[&str])] = &[
        ("t.inserted", &["id", "v"]),
        ("t.updated", &["id", "v"]),
        ("t.deleted", &["id"]),
        ("t.truncated", &[]),
        ("t.items.added", &[]),
    ];

    #[test]
    fn the_public_reads_a_table_only_if_it_sees_the_key_of_every_event_and_every_removal() {
        let table = LiveTable::for_tests("t", RowKey::Fields(vec!["id".to_owned()]));
        let refused = |types: &[(&str, &[&str])]| {
            let error = table.check_readable(PUBLIC, &taxonomy(types)).unwrap_err();
            assert!(matches!(error, SnapshotError::NotSnapshottable(_)));
            error.to_string()
        };
        assert_eq!(table.check_readable(PUBLIC, &taxonomy(WHOLE)), Ok(()));
        for missing in 0..4 {
            let mut types = WHOLE.to_vec();
            let (name, _) = types.remove(missing);
            assert!(refused(&types).contains(name), "{name}");
        }
        for (changed, fields) in [(0, &["v"][..]), (1, &["id"]), (2, &["v"])] {
            let mut types = WHOLE.to_vec();
            types[changed].1 = fields;
            assert!(refused(&types).contains(if changed == 1 { "same public fields" } else { "id, which names" }));
        }
        let by_subject = LiveTable::for_tests("t", RowKey::Subject);
        assert!(by_subject.check_readable(PUBLIC, &taxonomy(WHOLE)).is_err());
        assert_eq!(by_subject.check_readable(PRIVATE, &Taxonomy::default()), Ok(()));
    }

    #[test]
    fn a_table_without_a_key_or_a_function_says_what_to_do() {
        let plain = LiveTable::for_tests("t", RowKey::Subject);
        let said = |table: LiveTable| table.check_readable(PRIVATE, &Taxonomy::default()).unwrap_err().to_string();
        assert!(said(LiveTable { key: None, ..plain.clone() }).contains("not deferrable"));
        assert!(said(LiveTable { key: None, has_map: true, ..plain.clone() }).contains("state_key => '{id}'"));
        assert!(said(LiveTable { has_reader: false, ..plain }).contains("grant usage"));
    }

    #[test]
    fn a_viewer_knows_of_the_tables_whose_events_it_could_see() {
        let own = || "ann".to_owned();
        let mut table = LiveTable::for_tests("t", RowKey::Subject);
        for (owners, view, without_owner, with_owner) in [
            (Owners::Any, PRIVATE, true, true),
            (Owners::NobodyOr(own()), PRIVATE, true, true),
            (Owners::Only(own()), PRIVATE, false, true),
            (Owners::Nobody, PUBLIC, true, false),
        ] {
            table.has_owner = false;
            assert_eq!(table.is_visible(&owners, view), without_owner, "{owners:?}");
            table.has_owner = true;
            assert_eq!(table.is_visible(&owners, view), with_owner, "{owners:?}");
        }
        table.has_owner = false;
        table.public_safe = false;
        assert!(!table.is_visible(&Owners::Nobody, PUBLIC));
    }
}
