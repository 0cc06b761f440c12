//! One reading of some tables: the transaction in which their rows and the seqs of their events are seen at one moment.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use postgres_types::Type;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryStream};

use super::block::RowBlock;
use super::error::SnapshotError;
use super::overlay::Overlay;
use super::row_writer::RowWriter;
use super::table::LiveTable;
use crate::db::{DatabaseError, Lane, MisroutedConnections, Requester};
use crate::journal::{Cursor, Filter, JournalIdentity, Owners};
use crate::session::{Announcer, ReadError, SendBudget, Start, StartPoint, Step, StreamReader};
use crate::tail::pages::{Position, View};
use crate::view::PUBLIC;

/// How long a reading waits for the safe head, and so for the transactions that were in flight.
pub(super) const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a reading waits for a lock before it gives all of its own back. Only what wants a whole table, as `TRUNCATE`, makes it wait.
/// Shorter than the second after which Postgres looks for a deadlock, which a writer would pay for.
const LOCK_LIMIT: Duration = Duration::from_millis(500);
/// How long Postgres may take to find the next row.
const ROW_LIMIT: Duration = Duration::from_secs(60);
/// How long Postgres may take for each statement before the rows.
const STATEMENT_LIMIT: Duration = Duration::from_secs(10);
/// Postgres ends the transaction if this server says nothing for so long: it may be frozen. Longer than [`HEAD_LIMIT`].
const IDLE_LIMIT: Duration = Duration::from_secs(20);
/// The rows of the first batch of a table.
const FIRST_BATCH: usize = 100;
/// The most events beyond the safe head that a reading takes into account, and the most bytes of changes that it folds in.
const SEEN_LIMIT: i64 = 1_000_000;
const OVERLAY_BYTES: usize = 16 << 20;
/// How long the transaction is begun anew because a table was locked or truncated while it began.
const MOMENT_LIMIT: Duration = Duration::from_secs(10);
/// Every statement has the snapshot of the first one, whatever the database's defaults are.
const BEGIN: &str = "begin isolation level repeatable read read only";
/// The end of the transaction. The functions of the tables' owners may have changed settings of the session or taken its locks: a rollback undoes
/// the one, and the others are given back.
const END: &str = "rollback; select pg_catalog.pg_advisory_unlock_all()";
/// The budget of one step through the events behind the rows.
const STEP_BUDGET: SendBudget = SendBudget { events: 1024, bytes: 1 << 20 };

/// A part of a snapshot on its way.
#[derive(Debug)]
pub(super) enum Part {
    /// The cursor from which the events go on. It comes first.
    Begin(Cursor),
    /// Rows.
    Rows(RowBlock),
    /// The snapshot is complete.
    End,
    /// There is no snapshot, or no rest of it.
    Failed(SnapshotError),
}

/// What is to be read, and for whom.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) announcer: Arc<Announcer>,
    pub(super) tables: Vec<LiveTable>,
    pub(super) owners: Owners,
    pub(super) view: View,
    pub(super) requester: Requester,
    /// How long the transaction may wait for the client, in sum.
    pub(super) client_limit: Duration,
}

/// The way of the parts to whoever takes them.
struct Output {
    parts: mpsc::Sender<Part>,
    /// How long the transaction may still wait for the client.
    patience: Duration,
}

impl Output {
    async fn send(&mut self, part: Part) -> Result<(), SnapshotError> {
        let begun = Instant::now();
        match timeout(self.patience, self.parts.send(part)).await {
            Ok(Ok(())) => {
                self.patience = self.patience.saturating_sub(begun.elapsed());
                Ok(())
            }
            _ => Err(SnapshotError::ClientStalled),
        }
    }

    async fn send_block(&mut self, block: Option<RowBlock>) -> Result<(), SnapshotError> {
        match block {
            Some(block) => self.send(Part::Rows(block)).await,
            None => Ok(()),
        }
    }
}

/// Gives an error to a statement that takes too long.
async fn limited<T, E: Into<SnapshotError>>(
    limit: Duration,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T, SnapshotError> {
    match timeout(limit, statement).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(DatabaseError::Slow(limit).into()),
    }
}

impl Reading {
    /// Reads the tables, and sends what it finds. Ends early when nobody takes it any more.
    pub(super) async fn run(self, parts: mpsc::Sender<Part>) {
        let mut output = Output { parts: parts.clone(), patience: self.client_limit };
        let failed = tokio::select! {
            read = self.read(&mut output) => read.err(),
            () = parts.closed() => None,
        };
        if let Some(error) = failed {
            // Nobody waits for it if the receiver is gone or full.
            let _not_taken = parts.try_send(Part::Failed(error));
        }
    }

    async fn read(&self, output: &mut Output) -> Result<(), SnapshotError> {
        let (database, mut misrouted) = (self.announcer.database(), MisroutedConnections::default());
        loop {
            self.announcer.known_position().await?;
            let followed = self.announcer.pages().journal().known()?;
            let read = async |client: &mut Client| self.transaction(client, &followed, output).await;
            let read = database.run_proven(Lane::Snapshot, &self.requester, &mut misrouted, read).await?;
            if let Some(read) = read {
                return read;
            }
        }
    }

    /// The transaction. Returns `None` if the connection leads to another journal than the tail of this node follows. After an error
    /// the connection is closed, and the transaction with it.
    ///
    /// All tables are seen at one moment, since every statement has the snapshot of the first one. The functions of one table's owner run
    /// while no cursor of another table is open, and nothing of them stays: whoever fetches from a cursor gives it his rights, and
    /// whoever changes a setting changes what others show.
    async fn transaction(
        &self,
        client: &Client,
        followed: &JournalIdentity,
        output: &mut Output,
    ) -> Result<Option<()>, SnapshotError> {
        let Some((position, seen)) = self.see(client, followed).await? else { return Ok(None) };
        let upto = last_of(&position, &seen);
        let mut overlays = self.overlays(&position, upto, &seen).await?;
        let filter = Filter::default().seen_by(self.owners.clone());
        let start = self.announcer.start_point(&self.requester, Start::After(Cursor::bare(upto)), &filter).await?;
        if start.epoch != position.epoch {
            return Err(other_history());
        }
        output.send(Part::Begin(start.cursor)).await?;
        for (index, overlay) in overlays.iter_mut().enumerate() {
            limited(STATEMENT_LIMIT, self.open(client, index)).await?;
            self.send_rows(client, index, overlay, output).await?;
            limited(STATEMENT_LIMIT, client.batch_execute(&forget())).await?;
        }
        limited(STATEMENT_LIMIT, client.batch_execute(END)).await?;
        output.send(Part::End).await?;
        Ok(Some(()))
    }

    /// Begins the transaction: fixes the moment at which the tables are seen, waits for the events that are seen, and takes the locks of the
    /// tables. Returns the safe head of a moment before, and the seqs of the tables' events beyond it that are seen.
    ///
    /// No table is locked while this waits for writers, who may want a whole one.
    async fn see(
        &self,
        client: &Client,
        followed: &JournalIdentity,
    ) -> Result<Option<(Position, Vec<i64>)>, SnapshotError> {
        let until = Instant::now() + MOMENT_LIMIT;
        let mut tried = SnapshotError::Stalled("The tables are truncated again and again; try again.");
        while Instant::now() < until {
            limited(STATEMENT_LIMIT, client.batch_execute(&format!("{BEGIN}; {}", settings()))).await?;
            // Read before the rows are seen: every event up to the head is among them.
            let position = self.announcer.announced_position();
            let seen = limited(STATEMENT_LIMIT, self.seen_beyond(client, position.head)).await?;
            let (identity, drawn) = limited(STATEMENT_LIMIT, JournalIdentity::of(client)).await?;
            if identity != *followed || identity.is_standby() || drawn < position.head {
                return Ok(None);
            }
            self.wait_for_head(last_of(&position, &seen), position.epoch).await?;
            match self.lock(client).await {
                Ok(()) if !limited(STATEMENT_LIMIT, self.are_rewritten(client)).await? => {
                    return Ok(Some((position, seen)));
                }
                Ok(()) => {}
                Err(locked @ SnapshotError::Stalled(_)) => tried = locked,
                Err(error) => return Err(error),
            }
            limited(STATEMENT_LIMIT, client.batch_execute(END)).await?;
        }
        Err(tried)
    }

    /// Takes the locks of the tables, which are kept to the end. Fails as stalled if somebody else keeps one.
    async fn lock(&self, client: &Client) -> Result<(), SnapshotError> {
        for index in 0..self.tables.len() {
            // Opening a cursor takes the locks of its table.
            let lock = format!("{}; {}", self.open_sql("lock", index, "null"), forget());
            limited(STATEMENT_LIMIT, client.batch_execute(&lock)).await?;
        }
        Ok(())
    }

    /// A query that opens the cursor over the rows of one table.
    fn open_sql(&self, cursor: &str, index: usize, owner: &str) -> String {
        let for_public = self.view == PUBLIC;
        let source = self.tables[index].source;
        format!(
            "select pg_catalog.count(*) from rowcast.read_rows({source}::pg_catalog.oid::pg_catalog.regclass, \
             'rowcast_{cursor}_{index}', {owner}, {for_public}, null)"
        )
    }

    /// Opens the cursor over the rows of one table.
    async fn open(&self, client: &Client, index: usize) -> Result<(), SnapshotError> {
        let owner = match &self.owners {
            Owners::NobodyOr(own) | Owners::Only(own) => Some(own),
            Owners::Any | Owners::Nobody => None,
        };
        // A table without an owner column has no rows of this owner, and its rows are for all who may read it.
        let owner = if self.tables[index].has_owner { owner } else { None };
        client.query_typed_one(&self.open_sql("rows", index, "$1"), &[(&owner, Type::TEXT)]).await?;
        Ok(())
    }

    /// The seqs of the tables' events beyond the head that are seen.
    async fn seen_beyond(&self, client: &Client, head: i64) -> Result<Vec<i64>, SnapshotError> {
        let sql = "select array(select above.seq from (select seq, type from rowcast.events where seq > $1 order by seq limit $2) above \
                          where pg_catalog.regexp_replace(above.type, '[.][^.]*$', '') = any ($3) order by above.seq), \
                   (select pg_catalog.count(*) from (select from rowcast.events where seq > $1 limit $2) above)";
        let prefixes: Vec<&str> = self.tables.iter().map(|table| table.prefix.as_str()).collect();
        let values: [(&(dyn postgres_types::ToSql + Sync), Type); 3] =
            [(&head, Type::INT8), (&SEEN_LIMIT, Type::INT8), (&prefixes, Type::TEXT_ARRAY)];
        let row = client.query_typed_one(sql, &values).await?;
        if row.try_get::<_, i64>(1)? >= SEEN_LIMIT {
            return Err(SnapshotError::Stalled("Too many events wait to be decided; try again."));
        }
        Ok(row.try_get(0)?)
    }

    /// True if a table or a partition has other files than at the moment that is seen. It was truncated before its lock was taken, and would
    /// seem empty; or it was rewritten, which changes nothing, and cannot be told from that.
    async fn are_rewritten(&self, client: &Client) -> Result<bool, SnapshotError> {
        let sql = "select exists (select from pg_catalog.unnest($1) as s (source) \
                    cross join lateral (select s.source union select relid::pg_catalog.oid from pg_catalog.pg_partition_tree(s.source)) as p (relid) \
                    left join pg_catalog.pg_class c on c.oid = p.relid \
                    where coalesce(c.relfilenode, 0) <> coalesce(pg_catalog.pg_relation_filenode(p.relid), 0))";
        let sources: Vec<u32> = self.tables.iter().map(|table| table.source).collect();
        Ok(client.query_typed_one(sql, &[(&sources, Type::OID_ARRAY)]).await?.try_get(0)?)
    }

    /// Waits until the safe head has reached this seq.
    async fn wait_for_head(&self, seq: i64, epoch: u64) -> Result<(), SnapshotError> {
        let mut announced = self.announcer.subscribe();
        let reached = announced.wait_for(|position| position.epoch != epoch || position.head >= seq);
        match timeout(HEAD_LIMIT, reached).await {
            Ok(Ok(position)) if position.epoch == epoch => Ok(()),
            Ok(_) => Err(other_history()),
            Err(_) => Err(SnapshotError::Stalled("A writer holds the journal open for too long.")),
        }
    }

    /// The changes of each table up to a seq that were committed after the rows were seen.
    async fn overlays(&self, position: &Position, upto: i64, seen: &[i64]) -> Result<Vec<Overlay>, SnapshotError> {
        let mut overlays: Vec<_> = self.tables.iter().map(|_| Overlay::default()).collect();
        if upto <= position.head {
            return Ok(overlays);
        }
        let types: Vec<String> = self.tables.iter().map(|table| table.type_of("*")).collect();
        let filter = Filter::parse([("type", types.join(",").as_str())]).unwrap_or_default();
        let filter = Arc::new(filter.seen_by(self.owners.clone()));
        let start = StartPoint { after: position.head, cursor: Cursor::bare(position.head), epoch: position.epoch };
        let reader = StreamReader::new(&self.announcer, start, filter, self.view);
        let mut reader = reader.on_behalf_of(self.requester.clone());
        let until = Instant::now() + HEAD_LIMIT;
        while !reader.has_passed(upto) {
            match reader.step(STEP_BUDGET) {
                Step::Advanced(runs) => {
                    let events = runs.iter().flat_map(|run| run.objects());
                    let unseen = events.filter(|(at, _)| at.seq <= upto && seen.binary_search(&at.seq).is_err());
                    for (_, object) in unseen {
                        for (table, overlay) in self.tables.iter().zip(&mut overlays) {
                            overlay.apply(table, self.view, &object);
                        }
                    }
                    if overlays.iter().map(Overlay::bytes).sum::<usize>() > OVERLAY_BYTES {
                        return Err(SnapshotError::Stalled(
                            "Too much was changed while the tables were read; try again.",
                        ));
                    }
                }
                Step::CaughtUp => {}
                Step::Idle(_) | Step::Loading | Step::Unavailable(_) => {
                    if tokio::time::timeout_at(until, reader.ready()).await.is_err() {
                        return Err(ReadError::Unavailable("the events behind the rows do not come".to_owned()).into());
                    }
                }
                Step::Failed(error) => return Err(error.into()),
            }
        }
        Ok(overlays)
    }

    /// Sends the rows of one table, with the changes of its overlay.
    async fn send_rows(
        &self,
        client: &Client,
        index: usize,
        overlay: &mut Overlay,
        output: &mut Output,
    ) -> Result<(), SnapshotError> {
        let mut rows =
            RowWriter::new(&self.tables[index], &self.owners, self.view, self.announcer.pages().renderer(), overlay);
        let mut wanted = FIRST_BATCH;
        let mut batch = self.fetch(client, index, wanted).await?;
        loop {
            let next_wanted = rows.batch_size(wanted);
            let next = self.fetch(client, index, next_wanted).await?;
            let mut found = 0;
            let mut messages = pin!(batch);
            while let Some(message) = limited(ROW_LIMIT, messages.try_next()).await? {
                let SimpleQueryMessage::Row(row) = message else { continue };
                found += 1;
                rows.add(&row)?;
                if rows.block.is_full() {
                    output.send_block(rows.block.take(index)).await?;
                }
            }
            if found < wanted {
                break;
            }
            (batch, wanted) = (next, next_wanted);
        }
        for row in rows.overlay.take_rest() {
            rows.block.add(&row);
            if rows.block.is_full() {
                output.send_block(rows.block.take(index)).await?;
            }
        }
        output.send_block(rows.block.take(index)).await
    }

    /// Asks for the next rows of one table.
    async fn fetch(&self, client: &Client, index: usize, rows: usize) -> Result<SimpleQueryStream, SnapshotError> {
        let source = self.tables[index].source;
        let fetch = format!(
            "select subject, owner, type, payload from rowcast.read_rows({source}::pg_catalog.oid::pg_catalog.regclass, \
             'rowcast_rows_{index}', null, false, {rows})"
        );
        limited(ROW_LIMIT, client.simple_query_raw(&fetch)).await
    }
}

/// The seq up to which the rows and the events that are seen belong together.
fn last_of(position: &Position, seen: &[i64]) -> i64 {
    seen.last().copied().unwrap_or(position.head)
}

/// The settings of the transaction. What functions of owners have to say beside their rows is not sent.
fn settings() -> String {
    let (lock, idle) = (LOCK_LIMIT.as_millis(), IDLE_LIMIT.as_millis());
    format!(
        "set local search_path = pg_catalog, pg_temp; set local client_encoding = 'UTF8'; set local jit = off; \
         set local statement_timeout = 0; set local lock_timeout = {lock}; set local idle_in_transaction_session_timeout = {idle}; \
         set local client_min_messages = error"
    )
}

/// Closes every cursor, and gives all settings back the values that they have here.
fn forget() -> String {
    format!("close all; reset all; {}", settings())
}

fn other_history() -> SnapshotError {
    ReadError::Unavailable("the history of the journal changed while the tables were read".to_owned()).into()
}
