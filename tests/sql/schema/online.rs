//! Migrations run while the journal is written. After the first set, which meets an empty database, none does to it what stops its writers for longer than a moment:
//! docs/04_DB_SCHEMA.md says the rule and the way around it.

use super::offline::{migrations, none, number};
use super::statements::{self, Statement, Token};

/// The last migration of the set that makes the journal.
const FIRST_SET: u32 = 12;

/// The table that a statement names, if it is the journal or one of its partitions.
fn journal_in(words: &[String]) -> Option<&str> {
    let named = words.windows(3).find(|w| w[0] == "rowcast" && w[1].is_empty() && is_journal(&w[2]))?;
    Some(&named[2])
}

fn is_journal(table: &str) -> bool {
    table == "events" || table.strip_prefix("events_p").is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
}

/// Builds or checks something for every row while writers wait.
fn stops_writers(statement: &Statement) -> Option<&'static str> {
    let words = statement.words();
    let table = journal_in(&words)?;
    let has = |sought: &[&str]| words.windows(sought.len()).any(|w| w.iter().zip(sought).all(|(a, b)| a == b));
    let creates_index = words[0] == "create" && words[1..].iter().take(2).any(|w| w == "index");
    if creates_index && (table != "events" || !has(&["on", "only"])) {
        return Some("builds an index while writers wait");
    }
    if words[0] != "alter" {
        return None;
    }
    let builds = ["unique", "primary", "exclude", "references"].iter().any(|word| has(&[word]));
    let (checks, later) =
        (words.iter().filter(|w| *w == "check").count(), words.windows(2).filter(|w| *w == ["not", "valid"]));
    let retypes = words.windows(5).any(|w| w[0] == "alter" && changes_type(&w[1..]));
    if builds {
        Some("builds an index, or reads another table, while writers wait")
    } else if checks > later.count() {
        Some("checks every row while writers wait: add it NOT VALID, and validate it in the next migration")
    } else if has(&["set", "not", "null"]) || retypes {
        Some("reads or rewrites every row while writers wait")
    } else {
        None
    }
}

/// Whether these words after `ALTER` go on `[COLUMN] name [SET DATA] TYPE`.
fn changes_type(words: &[String]) -> bool {
    let words = if words[0] == "column" { &words[1..] } else { words };
    words[1] == "type" || (words[1] == "set" && words[2] == "data")
}

/// Takes a lock on the journal that its writers wait for, if only for a moment.
fn locks_out_writers(statement: &Statement) -> bool {
    let words = statement.words();
    let of_trigger = words.iter().take(3).any(|w| w == "trigger");
    journal_in(&words).is_some()
        && (words[0] == "lock"
            || words[0] == "alter"
            || (["create", "drop"].contains(&words[0].as_str()) && of_trigger))
}

/// The statements of a migration that run at once, those inside `DO` too.
fn run_at_once(text: &str) -> Vec<Statement> {
    let mut all = Vec::new();
    for statement in statements::split(text).unwrap_or_default() {
        if statement.words()[0] == "do" {
            for token in &statement.tokens {
                if let Token::Body(body) = token {
                    all.extend(statements::split(&format!("{body};")).unwrap_or_default().into_iter().map(after_begin));
                }
            }
        }
        all.push(statement);
    }
    all
}

/// A statement of a block, without the words of the block before its verb.
fn after_begin(mut statement: Statement) -> Statement {
    let verb = statement.words().iter().position(|w| ["create", "alter", "drop", "lock"].contains(&w.as_str()));
    statement.tokens.drain(..verb.unwrap_or(0));
    statement
}

/// What a migration does to writers of the journal.
fn complaints(name: &str, text: &str) -> Vec<String> {
    let mut said = Vec::new();
    let mut has_limit = false;
    for statement in run_at_once(text) {
        has_limit |= statement.words().starts_with(&["set".to_owned(), "local".to_owned(), "lock_timeout".to_owned()]);
        if let Some(what) = stops_writers(&statement) {
            said.push(format!("{name} line {}: {what}", statement.line));
        } else if locks_out_writers(&statement) && !has_limit {
            said.push(format!(
                "{name} line {}: takes a lock that writers wait for, without SET LOCAL lock_timeout before it",
                statement.line
            ));
        }
        for token in &statement.tokens {
            // A statement that is put together: its table cannot be read here.
            let Token::Quoted(text) = token else { continue };
            let text = text.to_lowercase();
            if text.starts_with("create index")
                || text.starts_with("create unique index")
                || text.starts_with("reindex")
            {
                said.push(format!(
                    "{name} line {}: builds an index of a table that is named elsewhere",
                    statement.line
                ));
            }
        }
    }
    said
}

#[test]
fn no_migration_stops_the_writers_of_the_journal() {
    let files = migrations();
    let later = files.iter().filter(|(name, _)| number(name).is_some_and(|n| n > FIRST_SET));
    none(later.flat_map(|(name, text)| complaints(name, text)).collect());
}

#[test]
fn a_migration_that_stops_the_writers_is_noticed() {
    let limit = "set local lock_timeout = '10s';\n";
    for bad in [
        "create index a on rowcast.events (type);",
        "create unique index if not exists a on rowcast.events (id);",
        "create index a on only rowcast.events_p1 (type);",
        "create index a on rowcast.events_p134217729 using btree (type);",
        "alter table rowcast.events add constraint a unique (seq, id);",
        "alter table rowcast.events add column trade uuid references trading.trades;",
        "alter table rowcast.events add constraint a check (seq > 0);",
        "alter table rowcast.events add constraint a check (seq > 0) not valid, add constraint b check (seq > 1);",
        "alter table rowcast.events alter column symbol set not null;",
        "alter table rowcast.events alter column symbol type varchar(64);",
        "alter table rowcast.events alter type type varchar(64);",
        "alter table only rowcast.events alter symbol set data type varchar(64);",
        "do $$ begin create index a on rowcast.events (type); end $$;",
        "do $$ begin execute 'create index a on ' || name; end $$;",
    ] {
        assert_eq!(complaints("V1", &format!("{limit}{bad}")).len(), 1, "{bad}");
    }
    for good in [
        "create index a on only rowcast.events (type);",
        "create index a on rowcast.event_types (type);",
        "create index a on trading.orders (symbol);",
        "alter table rowcast.events add constraint a check (rowcast.check_event(type, level) and type <> '') not valid;",
        "alter table rowcast.events add column note text;",
        "alter table rowcast.events alter column type drop default;",
        "alter table rowcast.events validate constraint a;",
        "create trigger a after insert on rowcast.events for each statement execute function f();",
        "create function f() returns void language sql as $$ create index a on rowcast.events (type) $$;",
    ] {
        assert_eq!(complaints("V1", &format!("{limit}{good}")), Vec::<String>::new(), "{good}");
    }
    for waits in [
        "alter table rowcast.events add column note text;",
        "create trigger a after insert on rowcast.events for each statement execute function f();",
        "-- destructive: replaced\ndrop trigger a on rowcast.events;",
        "do $$ begin alter table rowcast.events enable always trigger a; end $$;",
    ] {
        assert!(complaints("V1", waits)[0].contains("lock_timeout"), "{waits}");
    }
}
