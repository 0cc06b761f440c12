//! Tests of readers, without a socket and without Postgres: the pages are loaded from a journal in memory.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop there")]

mod random_readers;
mod read_states;
mod readers;
mod sync_waits;
mod texts;
mod wakes;

use std::sync::Arc;

use uuid::Uuid;

use super::{Announcer, ReadError, Start, StartPoint};
use crate::config::Secret;
use crate::db::{Connector, Database, DatabaseUrl, Requester};
use crate::journal::{Filter, Level, Owners, StoredEvent};
use crate::tail::pages::tests::{Dice, Journal, event};
use crate::tail::pages::{Limits, PageWriter, Pages};
use crate::view::{Known, Redaction, Views};

/// The announcer and the page writer of a node that reads this journal. Its database cannot be reached.
fn node(journal: &Journal, limits: Limits) -> (Arc<Announcer>, PageWriter<Views>) {
    let unreachable = DatabaseUrl::parse(&Secret::new("postgres://nobody@127.0.0.1:1/none")).unwrap();
    let database = Database::new(Connector::new(unreachable).unwrap(), 1).unwrap();
    let (pages, writer) =
        Pages::new(journal.clone(), Views::new(Redaction::default(), Known { version: 1, ..Known::default() }), limits);
    (Announcer::new(pages, database), writer)
}

/// The point where a reader begins.
async fn start_point(announcer: &Announcer, start: Start, filter: &Filter) -> Result<StartPoint, ReadError> {
    announcer.start_point(&Requester::SERVER, start, filter).await
}

/// A filter of these conditions.
fn filter(pairs: &[(&str, &str)]) -> Arc<Filter> {
    Arc::new(Filter::parse(pairs.iter().copied()).unwrap())
}

/// A random event. Its id depends on the seq and on the history.
fn any_event(seq: i64, history: u64, dice: &mut Dice) -> StoredEvent {
    let maybe = |dice: &mut Dice, name: &str, of: i64| (dice.roll(3) > 0).then(|| format!("{name}{}", dice.seq(of)));
    let kind = dice.pick(&["note.added", "trade.opened", "trade.order.filled", "system.tick"]);
    StoredEvent {
        id: Uuid::from_u128(u128::from(history) * 1_000_003 + u128::try_from(seq).unwrap()),
        kind: (*kind).to_owned(),
        level: if dice.roll(200) == 0 {
            Level::Critical
        } else {
            *dice.pick(&[Level::Debug, Level::Info, Level::Warn])
        },
        symbol: maybe(dice, "s", 4),
        trade_id: (dice.roll(2) == 0).then(|| Uuid::from_u128(u128::from(dice.roll(300)))),
        subject: maybe(dice, "subject ", 500),
        owner: if dice.roll(2) == 0 { maybe(dice, "o", 3) } else { None },
        payload: if dice.roll(50) == 0 { format!(r#"{{"text":"{}"}}"#, "x".repeat(900)) } else { "{}".to_owned() },
        ..event(seq)
    }
}

/// A random filter, for a reader with random rights.
fn any_filter(dice: &mut Dice) -> Filter {
    let trade = Uuid::from_u128(u128::from(dice.roll(300))).to_string();
    let (symbol, subject, owner) =
        (format!("s{}", dice.roll(5)), format!("subject {}", dice.roll(500)), format!("o{}", dice.roll(4)));
    let all = [
        ("type", *dice.pick(&["trade.*", "note.added", "trade.order.*,system.tick", "nothing.*"])),
        ("level", *dice.pick(&["info", "warn", "critical"])),
        ("symbol", symbol.as_str()),
        ("trade_id", trade.as_str()),
        ("subject", subject.as_str()),
        ("owner", owner.as_str()),
    ];
    let chosen = match dice.roll(8) {
        0..=2 => vec![],
        3..=6 => vec![*dice.pick(&all)],
        _ => all.into_iter().filter(|_| dice.roll(3) == 0).collect(),
    };
    Filter::parse(chosen).unwrap().seen_by(any_owners(dice))
}

/// Random owners whose events a reader may see.
fn any_owners(dice: &mut Dice) -> Owners {
    let own = format!("o{}", dice.roll(4));
    match dice.roll(6) {
        0..=2 => Owners::Any,
        3 => Owners::Nobody,
        4 => Owners::NobodyOr(own),
        _ => Owners::Only(own),
    }
}
