//! Settings of the engine, and their history: each version, and who wrote it.

use postgres_types::{ToSql, Type};
use tokio_postgres::{Client, Row};
use uuid::Uuid;

use super::Creation;
use super::error::TradingError;
use super::page::{Page, Select, Window};
use crate::db::Timestamp;

const COLUMNS: &str = "key, value::text as value, version, updated_at, updated_by";

/// The current version of a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct Setting {
    pub(super) key: String,
    /// JSON.
    pub(super) value: String,
    pub(super) version: i32,
    pub(super) updated_at: Timestamp,
    pub(super) updated_by: Option<String>,
}

/// One version of a setting, current or past.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/04_DB_SCHEMA.md says what each column means")]
pub(super) struct PastSetting {
    pub(super) id: Uuid,
    pub(super) key: String,
    pub(super) version: i32,
    /// JSON; `None` if this version is the removal of the setting.
    pub(super) value: Option<String>,
    pub(super) changed_at: Timestamp,
    pub(super) changed_by: Option<String>,
}

impl Setting {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            key: row.try_get("key")?,
            value: row.try_get("value")?,
            version: row.try_get("version")?,
            updated_at: row.try_get("updated_at")?,
            updated_by: row.try_get("updated_by")?,
        })
    }
}

impl PastSetting {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self {
            id: row.try_get("id")?,
            key: row.try_get("key")?,
            version: row.try_get("version")?,
            value: row.try_get("value")?,
            changed_at: row.try_get("changed_at")?,
            changed_by: row.try_get("changed_by")?,
        })
    }
}

/// Makes or changes a setting. Writing the value that it has changes nothing. If `version` is given, the setting must be at that
/// version (at 0, must not exist), or else it is a [`TradingError::State`]: somebody has changed it in between.
pub(super) async fn put(
    client: &Client,
    by: &str,
    key: &str,
    value: &str,
    version: Option<i32>,
) -> Result<(Setting, Creation), TradingError> {
    let sql = format!(
        "insert into trading.config as c (key, value, updated_by)
         select $1, $2::text::jsonb, $3 where coalesce($4, 0) = 0 or exists (select from trading.config where key = $1)
         on conflict (key) do update
             set value = excluded.value, version = c.version + 1, updated_at = greatest(clock_timestamp(), c.updated_at),
                 updated_by = excluded.updated_by
           where ($4 is null or c.version = $4) and c.value::text <> excluded.value::text
         returning {COLUMNS}"
    );
    let values: [(&(dyn ToSql + Sync), Type); 4] =
        [(&key, Type::TEXT), (&value, Type::TEXT), (&by, Type::TEXT), (&version, Type::INT4)];
    if let Some(row) = client.query_typed(&sql, &values).await?.first() {
        let setting = Setting::read(row)?;
        let made = if setting.version == 1 { Creation::New } else { Creation::Existing };
        return Ok((setting, made));
    }
    // No row was written: the setting is at another version, or has this value already.
    let sql =
        format!("select {COLUMNS}, value::text = $2::text::jsonb::text as same from trading.config where key = $1");
    let rows = client.query_typed(&sql, &values[..2]).await?;
    let conflict = |state: String| {
        let reason = "the setting is at another version".to_owned();
        TradingError::State { state, reason }
    };
    let row = rows.first().ok_or_else(|| conflict("0".to_owned()))?;
    let setting = Setting::read(row)?;
    // A retry finds the setting one version after the one that it names.
    let meant = version.is_none_or(|version| [version, version.saturating_add(1)].contains(&setting.version));
    if row.try_get("same")? && meant {
        Ok((setting, Creation::Existing))
    } else {
        Err(conflict(setting.version.to_string()))
    }
}

/// A page of the settings by key, behind the key `after`; with `only`, that setting alone.
pub(super) async fn list(
    client: &Client,
    only: Option<&str>,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Setting>, TradingError> {
    let sql = format!(
        "select {COLUMNS} from trading.config where ($1::text is null or key = $1) and ($2::text is null or key > $2)
          order by key limit $3"
    );
    let most = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let values: [(&(dyn ToSql + Sync), Type); 3] = [(&only, Type::TEXT), (&after, Type::TEXT), (&most, Type::INT8)];
    let rows = client.query_typed(&sql, &values).await?;
    let more = rows.len() > limit;
    let items = rows.iter().take(limit).map(Setting::read).collect::<Result<_, _>>()?;
    Ok(Page { items, more })
}

/// A page of all versions of settings, by the time of the change; with `only`, of that setting alone.
pub(super) async fn history(
    client: &Client,
    only: Option<&str>,
    window: &Window,
) -> Result<Page<PastSetting>, TradingError> {
    let columns = "id, key, version, value::text as value, changed_at, changed_by";
    let mut select = Select::new(columns, "trading.config_history");
    select.text("key", only);
    select.page(client, "changed_at", window, PastSetting::read).await
}
