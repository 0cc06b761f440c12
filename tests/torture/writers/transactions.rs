//! The pieces of work of a writer: each is one kind of transaction, entered into the ledger before it is begun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::SinkExt;
use tokio::task::JoinHandle;
use tokio_postgres::Client;

use super::{Failed, Writer, insert, one, seqs, touched};
use crate::support::connector;
use crate::torture::ledger::Fate;

impl Writer {
    /// While nothing may commit.
    pub(super) async fn in_vain(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("in vain");
        seqs(client, &format!("begin; {}; rollback", insert(work, self.dice.within(1..4)))).await?;
        tokio::time::sleep(self.dice.millis(1..5)).await;
        Ok(())
    }

    pub(super) async fn single(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("single");
        self.at_once(client, work, 1, &one(work)).await
    }

    pub(super) async fn multi_row(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("multi-row");
        let rows = if self.dice.one_in(40) { 700 } else { self.dice.within(2..20) };
        self.at_once(client, work, u32::try_from(rows).unwrap(), &insert(work, rows)).await
    }

    pub(super) async fn batch(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("batch");
        let rows = self.dice.within(2..12);
        let mut told = seqs(client, "begin").await?;
        for _ in 0..rows {
            told.extend(seqs(client, &one(work)).await?);
        }
        self.commit(client, work, u32::try_from(rows).unwrap(), told).await
    }

    pub(super) async fn held(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("held");
        let told = seqs(client, &format!("begin; {}", insert(work, 2))).await?;
        self.hold().await;
        self.commit(client, work, 2, told).await
    }

    pub(super) async fn rolled_back(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("rolled back");
        seqs(client, &format!("begin; {}", insert(work, 3))).await?;
        if self.dice.one_in(2) {
            self.hold().await;
        }
        seqs(client, "rollback").await.map(drop)
    }

    pub(super) async fn savepoint(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("savepoint");
        let (kept, lost) = (one(work), insert(work, 4));
        // The seqs of the rows that are rolled back are not returned.
        let mut told = seqs(client, &format!("begin; {kept}; savepoint a")).await?;
        seqs(client, &format!("{lost}; rollback to savepoint a")).await?;
        if self.dice.one_in(2) {
            self.hold().await;
        }
        told.extend(seqs(client, &kept).await?);
        self.commit(client, work, 2, told).await
    }

    pub(super) async fn nested_savepoints(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("nested savepoints");
        let row = one(work);
        let mut told = seqs(client, &format!("begin; savepoint a; {row}; savepoint b")).await?;
        seqs(client, &format!("{row}; savepoint c; {row}; release savepoint c; rollback to savepoint b")).await?;
        told.extend(seqs(client, &format!("{row}; release savepoint a; {row}")).await?);
        self.commit(client, work, 3, told).await
    }

    pub(super) async fn caught_exception(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("caught exception");
        let sql = format!(
            "do $$ begin
                 begin perform set_config('a.b', 'c', true); insert into rowcast.events (type, payload)
                     values ('torture.row', '{{\"op\":{work}}}'); raise 'no';
                 exception when others then insert into rowcast.events (type, payload)
                     values ('torture.row', '{{\"op\":{work}}}'); end;
             end $$"
        );
        self.at_once(client, work, 1, &sql).await
    }

    pub(super) async fn copy(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("copy");
        let rows = self.dice.within(1..60);
        let result = async {
            let sql = "copy rowcast.events (type, payload) from stdin";
            let mut sink = Box::pin(client.copy_in::<_, Bytes>(sql).await?);
            for i in 0..rows {
                let line = format!("torture.row\t{{\"op\": {work}, \"i\": {i}}}\n");
                sink.send(Bytes::from(line)).await?;
            }
            self.shared.ledger.set(work, Fate::Unknown(u32::try_from(rows).unwrap()));
            sink.as_mut().finish().await?;
            Ok(Vec::new())
        };
        let result = result.await;
        self.enter(work, u32::try_from(rows).unwrap(), result)
    }

    /// Ends its own backend.
    pub(super) async fn terminated(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("terminated");
        seqs(client, &format!("begin; {}", insert(work, 2))).await?;
        seqs(client, "select null from pg_terminate_backend(pg_backend_pid()); select 1").await.map(drop)
    }

    /// Ends its own connection.
    pub(super) async fn dropped(&mut self, client: &Client, carrier: &JoinHandle<()>) -> Result<(), Failed> {
        let work = self.shared.ledger.open("dropped");
        seqs(client, &format!("begin; {}", insert(work, 2))).await?;
        carrier.abort();
        Err(Failed::Dropped)
    }

    pub(super) async fn bell_off(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("bell off");
        seqs(client, "set rowcast.bell = 'off'").await?;
        self.at_once(client, work, 1, &one(work)).await?;
        seqs(client, "reset rowcast.bell").await.map(drop)
    }

    pub(super) async fn serializable(&mut self, client: &Client) -> Result<(), Failed> {
        let work = self.shared.ledger.open("serializable");
        let sql = format!("begin isolation level serializable; {}", insert(work, 2));
        let told = seqs(client, &sql).await?;
        self.commit(client, work, 2, told).await
    }

    /// At most one at a time holds the stream for seconds; the others are single inserts.
    pub(super) async fn long(&mut self, client: &Client, calm: bool) -> Result<(), Failed> {
        let long = !calm && self.dice.one_in(4) && self.shared.long.fetch_add(1, Ordering::SeqCst) == 0;
        if !long {
            return self.single(client).await;
        }
        let work = self.shared.ledger.open("long");
        let told = seqs(client, &format!("begin; {}", one(work))).await;
        tokio::time::sleep(self.dice.millis(1000..3000)).await;
        let ended = match told {
            Ok(told) => self.commit(client, work, 1, told).await,
            Err(failed) => Err(failed),
        };
        self.shared.long.store(0, Ordering::SeqCst);
        ended
    }

    /// A published table: the events are told at commit. Each carries the number of the work that changed the row.
    pub(super) async fn table(&mut self, client: &Client) -> Result<(), Failed> {
        let shared = Arc::clone(&self.shared);
        let ledger = &shared.ledger;
        let number = self.number;
        if self.dice.one_in(60) {
            // It waits for whoever has written the table, and everyone else then waits for it.
            ledger.open("truncate");
            let sql = "set lock_timeout = '100ms'; truncate torture.things; reset lock_timeout";
            let result = seqs(client, sql).await;
            ledger.truncated.fetch_add(u64::from(result.is_ok()), Ordering::Relaxed);
            seqs(client, "reset lock_timeout").await?;
            return Ok(());
        }
        let work = ledger.open("table");
        seqs(client, "begin").await?;
        let sql = format!("insert into torture.things (writer, op) select {number}, {work} from generate_series(1, 3)");
        let mut rows = touched(client, &sql).await?;
        if self.dice.one_in(2) {
            // An update that changes nothing is no event.
            let sql = format!("update torture.things set op = {work} where writer = {number} and op <> {work}");
            rows += touched(client, &sql).await?;
        }
        if self.dice.one_in(2) {
            self.hold().await;
        }
        if self.dice.one_in(3) {
            let sql = format!("update torture.things set op = {work} where writer = {number} and op <> {work}");
            rows += touched(client, &sql).await?;
            rows += touched(client, &format!("delete from torture.things where writer = {number}")).await?;
        }
        if self.dice.one_in(5) {
            return seqs(client, "rollback").await.map(drop);
        }
        self.commit(client, work, rows, Vec::new()).await
    }

    /// With a key: whatever becomes of the connection, the event is there once.
    pub(super) async fn append_once(&mut self, client: &Client) -> Result<(), Failed> {
        let ledger = &self.shared.ledger;
        let work = ledger.open("dedupe key");
        let sql = format!(
            "select rowcast.append_event('torture.once', '{{\"op\":{work}}}', dedupe_key => 'work {work}') as seq"
        );
        let first = self.at_once(client, work, 1, &sql).await;
        let ambiguous = first.as_ref().is_err_and(|failed| !failed.is_refusal());
        if !ambiguous && !self.dice.one_in(4) {
            return first;
        }
        loop {
            let Ok((client, _carrier)) = connector(&self.shared.url).connect().await else {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            };
            if let Ok(told) = seqs(&client, &sql).await {
                ledger.committed(work, 1, &told);
                return first;
            }
        }
    }
}
