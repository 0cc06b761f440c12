//! The errors of the trading tables, in sentences that a client may be told.

use tokio_postgres::error::{DbError, SqlState};

/// The reason for which a statement on the trading tables failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum TradingError {
    /// There is no such row.
    #[error("there is no such thing")]
    NotFound,
    /// The present state of the row does not allow the change.
    #[error("{reason}")]
    State {
        /// The present state of the row.
        state: String,
        /// A sentence for the client.
        reason: String,
    },
    /// The client order id was used for another trade or order.
    #[error("client_order_id was used before with another content")]
    Reused,
    /// A value cannot be stored. The sentence names its column and does not repeat the value.
    #[error("{0}")]
    Invalid(String),
    /// The database could not be asked, or failed.
    #[error("the database failed: {}", crate::db::DatabaseError::from(.0))]
    Postgres(#[source] tokio_postgres::Error),
}

impl From<tokio_postgres::Error> for TradingError {
    fn from(error: tokio_postgres::Error) -> Self {
        error.as_db_error().and_then(explain).unwrap_or(Self::Postgres(error))
    }
}

/// The error of a request that an error of Postgres means; `None` if the database itself failed.
fn explain(db: &DbError) -> Option<TradingError> {
    Some(match *db.code() {
        SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE => {
            TradingError::State { state: db.detail()?.to_owned(), reason: db.message().to_owned() }
        }
        SqlState::CHECK_VIOLATION => TradingError::Invalid(constraint_sentence(db.table()?, db.constraint()?)),
        SqlState::FOREIGN_KEY_VIOLATION => TradingError::Invalid("trade_id must name a trade that exists".to_owned()),
        SqlState::NOT_NULL_VIOLATION => TradingError::Invalid(format!("{} must be given", db.column()?)),
        SqlState::UNTRANSLATABLE_CHARACTER | SqlState::CHARACTER_NOT_IN_REPERTOIRE => {
            TradingError::Invalid("a text must not hold a NUL character or an unpaired surrogate".to_owned())
        }
        SqlState::STATEMENT_TOO_COMPLEX => TradingError::Invalid("JSON must be nested less deeply".to_owned()),
        SqlState::PROGRAM_LIMIT_EXCEEDED => TradingError::Invalid("JSON must be smaller".to_owned()),
        ref other if other.code().starts_with("22") => TradingError::Invalid("a value cannot be stored".to_owned()),
        _ => return None,
    })
}

const ABOVE_ZERO: &str = "must be more than 0 and below 1e20, with at most 18 decimal places";
const FROM_ZERO: &str = "must be 0 or more and below 1e20, with at most 18 decimal places";
const SIGNED: &str = "must be between -1e20 and 1e20, with at most 18 decimal places";
const WORDS: &str = "must be 1 to 4000 bytes";

/// The sentence for a constraint that a request has broken.
fn constraint_sentence(table: &str, constraint: &str) -> String {
    let whole = match constraint {
        "orders_limit_has_price" => "limit_price must be given exactly for limit orders",
        "orders_fill_has_price" => "average_price must be given exactly when something was filled",
        "orders_status_fits_fill" => {
            "filled_quantity must fit the status: 0 when new or rejected, all of quantity when filled, less when not"
        }
        "orders_rejected_has_reason" => "reject_reason must be given exactly for rejected orders",
        "trades_closed_has_exit" => "exit_price must be given exactly for closed trades",
        _ => "",
    };
    if !whole.is_empty() {
        return whole.to_owned();
    }
    let column = constraint.strip_prefix(table).and_then(|rest| rest.strip_prefix('_')?.strip_suffix("_check"));
    let limit = match (table, column) {
        (_, Some("symbol")) => "must be 1 to 64 printable ASCII characters without a space",
        (_, Some("client_order_id")) => "must be 1 to 128 bytes",
        ("trades", Some("side")) => "must be long or short",
        ("orders", Some("side")) => "must be buy or sell",
        ("orders", Some("type")) => "must be market or limit",
        ("orders", Some("status")) => "must be new, partially_filled, filled, cancelled or rejected",
        ("orders", Some("filled_quantity")) => "must be 0 up to quantity, with at most 18 decimal places",
        (_, Some("quantity" | "entry_price" | "exit_price" | "limit_price" | "average_price")) => ABOVE_ZERO,
        (_, Some("fees")) => FROM_ZERO,
        (_, Some("equity" | "cash" | "unrealized_profit")) => SIGNED,
        (_, Some("reason" | "close_reason" | "reject_reason")) => WORDS,
        (_, Some("positions")) => "must be an array of at most 128 KiB",
        ("config", Some("key")) => "must be dotted words of a-z, 0-9 and _, at most 128 bytes",
        ("config", Some("value")) => "must be at most 64 KiB",
        _ => return format!("the constraint {constraint} is broken"),
    };
    format!("{} {limit}", column.unwrap_or_default())
}
