//! The bell: when an insert into the journal says `NOTIFY rowcast`, and when it must not.

mod hushed_bell;

use std::future::poll_fn;
use std::io::Cursor;

use futures_util::SinkExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_postgres::error::SqlState;
use tokio_postgres::{AsyncMessage, Client, NoTls};

use crate::support::{TestDb, migrated_database};

/// Hears every bell. A test ends its wait with a sentinel of its own, so silence is known and not waited for.
struct BellListener {
    heard: UnboundedReceiver<String>,
    client: Client,
}

impl BellListener {
    async fn start(db: &TestDb) -> BellListener {
        let (client, mut connection) = tokio_postgres::connect(&db.url, NoTls).await.unwrap();
        let (send, heard) = unbounded_channel();
        tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let AsyncMessage::Notification(bell) = message {
                    send.send(bell.payload().to_owned()).ok();
                }
            }
        });
        client.batch_execute("listen rowcast").await.unwrap();
        BellListener { heard, client }
    }

    /// The payloads of all bells committed until now.
    async fn bells(&mut self) -> Vec<String> {
        self.client.batch_execute("notify rowcast, 'sentinel'").await.unwrap();
        let mut bells = Vec::new();
        loop {
            match self.heard.recv().await.unwrap() {
                sentinel if sentinel == "sentinel" => return bells,
                bell => bells.push(bell),
            }
        }
    }
}

struct ListenedDatabase {
    db: TestDb,
    listener: BellListener,
    client: Client,
}

impl ListenedDatabase {
    async fn start() -> ListenedDatabase {
        let db = migrated_database().await;
        let listener = BellListener::start(&db).await;
        let client = db.client().await;
        ListenedDatabase { db, listener, client }
    }

    async fn bells_after(&mut self, sql: &str) -> Vec<String> {
        self.client.batch_execute(sql).await.unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        self.listener.bells().await
    }

    async fn newest(&self) -> String {
        let row = self.client.query_one("select max(seq)::text from rowcast.events", &[]).await.unwrap();
        row.get(0)
    }

    /// Sets the deadline of the hush to so many milliseconds from now, as a tail does.
    async fn hush_for(&self, milliseconds: i64) {
        let sql = format!(
            "select setval('rowcast.hush_deadline', (extract(epoch from clock_timestamp()) * 1000)::bigint + {milliseconds})"
        );
        self.db.client().await.batch_execute(&sql).await.unwrap();
    }

    async fn hush_is_over(&self) -> bool {
        let sql = "select last_value < extract(epoch from clock_timestamp()) * 1000 from rowcast.hush_deadline";
        self.db.client().await.query_one(sql, &[]).await.unwrap().get(0)
    }

    async fn end_hush(&self) {
        self.db.client().await.batch_execute("select setval('rowcast.hush_deadline', 0)").await.unwrap();
    }
}

const ROW: &str = "insert into rowcast.events (type) values ('bell.test');";
const NO_ROW: &str = "insert into rowcast.events (type) select 'bell.test' where false;";

#[tokio::test]
async fn a_row_rings_with_its_seq() {
    let mut listened = ListenedDatabase::start().await;
    assert_eq!(listened.bells_after(ROW).await, ["1"]);
    assert_eq!(listened.bells_after(ROW).await, ["2"]);
}

#[tokio::test]
async fn many_rows_of_one_statement_ring_once() {
    let mut listened = ListenedDatabase::start().await;
    assert_eq!(listened.bells_after("insert into rowcast.events (type) values ('a'), ('b'), ('c')").await.len(), 1);
    let select = "insert into rowcast.events (type) select 'a' from generate_series(1, 100000)";
    assert_eq!(listened.bells_after(select).await, ["4"], "its first row rings");
}

#[tokio::test]
async fn copy_rings_once() {
    let mut listened = ListenedDatabase::start().await;
    let sink = listened.client.copy_in("copy rowcast.events (type) from stdin").await.unwrap();
    futures_util::pin_mut!(sink);
    sink.send(Cursor::new(b"a.b\n".repeat(50_000))).await.unwrap();
    sink.close().await.unwrap();
    assert_eq!(listened.listener.bells().await, ["1"]);
    let empty = listened.client.copy_in::<_, &[u8]>("copy rowcast.events (type) from stdin").await.unwrap();
    futures_util::pin_mut!(empty);
    empty.close().await.unwrap();
    assert!(listened.listener.bells().await.is_empty());
}

#[tokio::test]
async fn many_statements_of_one_transaction_ring_once() {
    let mut listened = ListenedDatabase::start().await;
    let many = format!("do $$ begin for i in 1 .. 20000 loop {ROW} end loop; end $$");
    assert_eq!(listened.bells_after(&many).await, ["1"]);
    let also = format!("begin; {ROW} {ROW} savepoint s; {ROW} release s; {ROW} commit");
    assert_eq!(listened.bells_after(&also).await, ["20001"]);
}

#[tokio::test]
async fn a_function_that_appends_rings_once() {
    let mut listened = ListenedDatabase::start().await;
    let calls = "select rowcast.append_event('a.b'), rowcast.append_event('a.c')";
    assert_eq!(listened.bells_after(calls).await.len(), 1);
}

#[tokio::test]
async fn no_row_no_bell() {
    let mut listened = ListenedDatabase::start().await;
    assert!(listened.bells_after(NO_ROW).await.is_empty(), "alone");
    let busy = format!("begin; create table public.t (); {NO_ROW} commit");
    assert!(listened.bells_after(&busy).await.is_empty(), "in a transaction that writes elsewhere, in a fresh session");
    assert_eq!(listened.bells_after(ROW).await.len(), 1);
    let after = format!("begin; create table public.u (); {NO_ROW} commit");
    assert!(listened.bells_after(&after).await.is_empty(), "after this session has inserted in another transaction");
}

#[tokio::test]
async fn a_number_that_was_given_up_rings_nothing() {
    let mut listened = ListenedDatabase::start().await;
    let write_elsewhere = format!("begin; create table public.t (); drop table public.t; {NO_ROW} commit");
    let within = format!("begin; savepoint s; {ROW} rollback to s; {NO_ROW} commit");
    for given_up in [format!("begin; {ROW} rollback"), within] {
        assert!(listened.bells_after(&given_up).await.is_empty(), "{given_up}");
        assert!(listened.bells_after(&write_elsewhere).await.is_empty(), "{given_up}");
    }
    assert_eq!(listened.bells_after(ROW).await, [listened.newest().await]);
}

#[tokio::test]
async fn an_owner_who_sets_the_number_rings_and_one_who_sets_the_time_does_not() {
    let mut listened = ListenedDatabase::start().await;
    let number = "insert into rowcast.events (seq, type) overriding system value values (900, 'far.row')";
    assert_eq!(listened.bells_after(number).await.len(), 1);
    let time = "insert into rowcast.events (type, at) values ('bell.test', now())";
    assert!(listened.bells_after(time).await.is_empty());
    assert_eq!(listened.bells_after(&format!("begin; {time}; {ROW} commit")).await.len(), 1);
}

#[tokio::test]
async fn a_session_that_rings_opens_one_partition() {
    let listened = ListenedDatabase::start().await;
    listened.client.batch_execute(&format!("begin; {ROW}")).await.unwrap();
    let opened = "select distinct relation::regclass::text from pg_locks join pg_class c on c.oid = relation \
                   where pid = pg_backend_pid() and c.relkind = 'r' and relation::regclass::text like 'rowcast.events_p%'";
    let opened: Vec<String> = listened.client.query(opened, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(opened, ["rowcast.events_p1"]);
}

#[tokio::test]
async fn rollback_to_a_savepoint_takes_the_marker_along_with_the_bell() {
    let mut listened = ListenedDatabase::start().await;
    let again = format!("begin; savepoint s; {ROW} rollback to s; {ROW} commit");
    assert_eq!(listened.bells_after(&again).await, [listened.newest().await]);
    let caught = format!("begin; do $$ begin {ROW} raise 'x'; exception when others then null; end $$; {ROW} commit");
    assert_eq!(listened.bells_after(&caught).await, [listened.newest().await]);
    let kept = format!("begin; {ROW} savepoint s; {ROW} rollback to s; {ROW} commit");
    assert_eq!(listened.bells_after(&kept).await.len(), 1, "the bell from before the savepoint stands");
}

#[tokio::test]
async fn a_rolled_back_transaction_leaves_the_session_able_to_ring() {
    let mut listened = ListenedDatabase::start().await;
    assert!(listened.bells_after(&format!("begin; {ROW} rollback")).await.is_empty());
    assert_eq!(listened.bells_after(ROW).await, ["2"]);
}

#[tokio::test]
async fn an_insert_keeps_no_advisory_lock() {
    let listened = ListenedDatabase::start().await;
    let locks = "select count(*) from pg_locks where locktype = 'advisory'
                    and database = (select oid from pg_database where datname = current_database())";
    listened.client.batch_execute(&format!("begin; {ROW}")).await.unwrap();
    assert_eq!(listened.client.query_one(locks, &[]).await.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test]
async fn a_transaction_that_rang_cannot_be_prepared_and_a_silent_one_can() {
    let mut listened = ListenedDatabase::start().await;
    let name = format!("bell_{}", uuid::Uuid::new_v4().simple());
    let rang = format!("begin; {ROW} prepare transaction '{name}'");
    let refused = listened.client.batch_execute(&rang).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::FEATURE_NOT_SUPPORTED));
    let silent = format!("begin; set local rowcast.bell = 'off'; {ROW} prepare transaction '{name}'");
    assert!(listened.bells_after(&silent).await.is_empty());
    assert!(listened.bells_after(&format!("commit prepared '{name}'")).await.is_empty());
    assert_eq!(listened.newest().await, "2");
}

#[tokio::test]
async fn a_role_that_may_only_insert_rings() {
    let mut listened = ListenedDatabase::start().await;
    let role = format!("only_insert_{}", uuid::Uuid::new_v4().simple());
    let sql = format!(
        "create role {role}; grant usage on schema rowcast to {role};
         grant insert (type) on rowcast.events to {role}; set role {role}; {ROW}"
    );
    assert_eq!(listened.bells_after(&sql).await, ["1"]);
    let read = listened.client.batch_execute("select last_value from rowcast.events_seq_seq").await.unwrap_err();
    assert_eq!(read.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE));
}

/// The clerk has no right on anything of the journal, and the trigger of the journal looks at the hush as the owner of the
/// function that writes for it.
#[tokio::test]
async fn a_clerk_of_a_published_table_rings_and_can_be_hushed() {
    let mut listened = ListenedDatabase::start().await;
    let clerk = format!("clerk_{}", uuid::Uuid::new_v4().simple());
    let sql = format!(
        "create table public.till (id int primary key); select rowcast.publish('public.till');
         create role {clerk}; grant insert on public.till to {clerk}"
    );
    listened.client.batch_execute(&sql).await.unwrap();
    let row = |id: i32| format!("begin; set local role {clerk}; insert into public.till values ({id}); commit");
    assert_eq!(listened.bells_after(&row(1)).await, ["1"]);
    listened.hush_for(990).await;
    let (silent, over) = (listened.bells_after(&row(2)).await, listened.hush_is_over().await);
    assert!(silent.is_empty() || over);
    listened.end_hush().await;
    assert_eq!(listened.bells_after(&row(3)).await, ["3"]);
}

#[tokio::test]
async fn transactions_of_many_clients_may_share_a_session_as_in_a_pooler() {
    let mut listened = ListenedDatabase::start().await;
    for _ in 0..3 {
        assert_eq!(listened.bells_after(&format!("begin; {ROW} {ROW} commit")).await.len(), 1);
        assert!(
            listened
                .bells_after(&format!("begin; create temp table t () on commit drop; {NO_ROW} commit"))
                .await
                .is_empty()
        );
        listened.client.batch_execute("discard all").await.unwrap();
        assert!(
            listened
                .bells_after(&format!("begin; create temp table t () on commit drop; {NO_ROW} commit"))
                .await
                .is_empty()
        );
    }
}

#[tokio::test]
async fn the_bell_is_deaf_to_the_search_path_of_the_writer() {
    let mut listened = ListenedDatabase::start().await;
    let trap = "create schema trap;
                create function trap.pg_notify(text, text) returns void language plpgsql as $$ begin raise 'trapped'; end $$;
                create function trap.clock_timestamp() returns timestamptz language plpgsql as $$ begin raise 'trapped'; end $$;
                create function trap.current_setting(text, boolean) returns text language plpgsql as $$ begin raise 'trapped'; end $$;
                create function trap.date_part(text, timestamptz) returns float8 language plpgsql as $$ begin raise 'trapped'; end $$;
                create function trap.is(float8, float8) returns boolean language plpgsql as $$ begin raise 'trapped'; end $$;
                create function trap.ring_bell() returns timestamptz language plpgsql as $$ begin raise 'trapped'; end $$;
                create operator trap.< (leftarg = float8, rightarg = float8, function = trap.is);
                set search_path = trap, pg_catalog;";
    assert_eq!(listened.bells_after(&format!("{trap} {ROW}")).await, ["1"]);
}

#[tokio::test]
async fn rows_that_arrive_by_replication_ring_too() {
    let mut listened = ListenedDatabase::start().await;
    let replica = format!("set session_replication_role = replica; {ROW}");
    assert_eq!(listened.bells_after(&replica).await, ["1"]);
}

#[tokio::test]
async fn the_bell_makes_no_serializable_transaction_fail() {
    let mut listened = ListenedDatabase::start().await;
    let (one, two, three) = (listened.db.client().await, listened.db.client().await, listened.db.client().await);
    listened.client.batch_execute(ROW).await.unwrap();
    for client in [&one, &two, &three] {
        client.batch_execute(&format!("begin isolation level serializable; {ROW}")).await.unwrap();
    }
    for client in [&three, &two, &one] {
        client.batch_execute("commit").await.unwrap();
    }
    assert_eq!(listened.listener.bells().await, ["1", "4", "3", "2"]);
}

#[tokio::test]
async fn a_published_table_rings_once_at_commit_and_can_be_prepared_in_silence() {
    let mut listened = ListenedDatabase::start().await;
    let table = "create table public.t (id int primary key); select rowcast.publish('public.t');";
    assert!(listened.bells_after(table).await.is_empty());
    let rows = "insert into public.t select generate_series(1, 1000)";
    assert_eq!(listened.bells_after(rows).await, ["1"]);
    let name = format!("bell_{}", uuid::Uuid::new_v4().simple());
    let silent =
        format!("set rowcast.bell = 'off'; begin; insert into public.t values (0); prepare transaction '{name}'");
    assert!(listened.bells_after(&silent).await.is_empty());
    assert!(listened.bells_after(&format!("commit prepared '{name}'")).await.is_empty());
    assert_eq!(listened.newest().await, "1001");
}
