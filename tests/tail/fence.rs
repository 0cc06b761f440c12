//! The fence against real writers: what commits comes out once, in order, whoever holds it up.

use std::time::Duration;

use rowcast::tail::StallReason;
use tokio::task::JoinSet;

use super::{INSERT, committed, delivers_the_table, last_value, start_writers};
use crate::support::{in_time, migrated_database, until};
use crate::tail::TailNode;

#[tokio::test]
async fn what_many_writers_commit_comes_out_once_and_in_order() {
    let db = migrated_database().await;
    let node = TailNode::start(&db.url);
    let mut writers = start_writers(&db.url).await;
    let mut reader = node.reader();
    while let Some(done) = writers.join_next().await {
        done.unwrap();
    }
    let client = db.client().await;
    reader.read_to(last_value(&client).await).await;
    let committed = committed(&client).await;
    assert!(committed.len() > 200 && committed.len() < 640);
    assert_eq!(reader.seen, committed);
    node.stop().await;
}

#[tokio::test]
async fn an_open_transaction_delays_the_stream_is_named_and_blocks_no_writer() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    let (holder, writer) = (db.client().await, db.client().await);
    holder.batch_execute(&format!("set application_name = 'the holder'; begin; {INSERT}")).await.unwrap();
    for _ in 0..10 {
        writer.batch_execute(INSERT).await.unwrap();
    }
    let begun = std::time::Instant::now();
    let status = node.is("the blocker is named", |s| {
        s.stalled.as_ref().is_some_and(|s| matches!(&s.reason, StallReason::Transaction(b) if !b.is_empty()))
    });
    let stalled = status.await.stalled.unwrap();
    in_time(begun, Duration::from_secs(3));
    let StallReason::Transaction(blockers) = stalled.reason else { panic!("{stalled:?}") };
    let pid: i32 = holder.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
    assert_eq!((blockers[0].pid, blockers[0].application.as_deref()), (Some(pid), Some("the holder")));
    assert_eq!(blockers[0].state.as_deref(), Some("idle in transaction"));
    assert!(blockers[0].to_string().contains("the holder"), "{}", blockers[0]);
    assert_eq!(node.pages.position().newest_seq(), 0, "nobody can know what becomes of the first seq");

    holder.batch_execute("commit").await.unwrap();
    delivers_the_table(&node, &writer).await;
    node.is("it is over", |s| s.stalled.is_none()).await;
    node.stop().await;
}

#[tokio::test]
async fn a_prepared_transaction_is_named_and_its_end_goes_through() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    let gid = format!("gid of {}", db.name);
    let prepare = format!("set rowcast.bell = 'off'; begin; {INSERT}; prepare transaction '{gid}'");
    client.batch_execute(&prepare).await.unwrap();
    client.batch_execute(&format!("reset rowcast.bell; {INSERT}")).await.unwrap();
    let status = node.is("the blocker is named", |s| {
        s.stalled.as_ref().is_some_and(|s| matches!(&s.reason, StallReason::Transaction(b) if !b.is_empty()))
    });
    let StallReason::Transaction(blockers) = status.await.stalled.unwrap().reason else { unreachable!() };
    assert_eq!((blockers[0].pid, blockers[0].gid.as_deref()), (None, Some(gid.as_str())));
    client.batch_execute(&format!("commit prepared '{gid}'")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn an_idle_blocker_is_ended_where_that_is_wanted() {
    let db = migrated_database().await;
    let mut node = TailNode::start_with(&db.url, Some(Duration::from_millis(1)));
    node.connected().await;
    let (holder, writer) = (db.client().await, db.client().await);
    holder.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    writer.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &writer).await;
    assert_eq!((node.counts.borrow().terminated, holder.is_closed()), (1, true));
    node.stop().await;
}

#[tokio::test]
async fn an_active_blocker_is_ended_too() {
    let db = migrated_database().await;
    let mut node = TailNode::start_with(&db.url, Some(Duration::from_millis(1)));
    node.connected().await;
    let (holder, writer) = (db.client().await, db.client().await);
    let holding =
        tokio::spawn(async move { holder.batch_execute(&format!("begin; {INSERT}; select pg_sleep(600)")).await });
    until("it has drawn", || async { last_value(&writer).await == 1 }).await;
    writer.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &writer).await;
    assert_eq!(node.counts.borrow().terminated, 1);
    assert!(holding.await.unwrap().is_err());
    node.stop().await;
}

/// Postgres answers with an error then, which is no reason to give the connection up.
#[tokio::test]
async fn a_blocker_whom_this_login_may_not_end_is_named_and_the_tail_stays_connected() {
    let db = migrated_database().await;
    let (holder, writer) = (db.client().await, db.client().await);
    let user = format!("{}_server", db.name);
    let login = format!("create role {user} login password 'x' in role rowcast_server");
    writer.batch_execute(&login).await.unwrap();
    let mut node = TailNode::start_with(&db.url_of(&user, "x"), Some(Duration::from_millis(1)));
    node.connected().await;
    holder.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    writer.batch_execute(INSERT).await.unwrap();
    node.is("the blocker is named", |s| {
        s.stalled.as_ref().is_some_and(|s| matches!(&s.reason, StallReason::Transaction(b) if !b.is_empty()))
    })
    .await;
    holder.batch_execute("commit").await.unwrap();
    delivers_the_table(&node, &writer).await;
    let counts = *node.counts.borrow();
    assert_eq!((counts.terminated, counts.connections), (0, 1));
    node.stop().await;
    writer.batch_execute(&format!("drop role {user}")).await.unwrap();
}

/// Its statement took the journal's lock while it was parsed; it will never be allowed to run.
#[tokio::test]
async fn a_reader_who_prepares_an_insert_holds_nothing_back() {
    let db = migrated_database().await;
    let node = TailNode::start(&db.url);
    let (reader, writer) = (db.client().await, db.client().await);
    let prepare =
        "set role rowcast_reader; begin; prepare p as insert into rowcast.events (type) values ('never.comes')";
    reader.batch_execute(prepare).await.unwrap();
    writer.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &writer).await;
    let safe = writer.query_one("select rowcast.safe_head(), count(*) from rowcast.query_events()", &[]).await.unwrap();
    assert_eq!((safe.get::<_, i64>(0), safe.get::<_, i64>(1)), (1, 1));
    assert!(reader.batch_execute("execute p").await.is_err());
    node.stop().await;
}

/// Every lock that a login without rights can have, which is taken before rights are looked at.
#[tokio::test]
async fn a_login_without_rights_holds_nothing_back_whatever_it_locks() {
    let db = migrated_database().await;
    let node = TailNode::start(&db.url);
    let writer = db.client().await;
    let stranger = db.stranger().await;
    stranger.batch_execute("begin").await.unwrap();
    let relations = "select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
                      where n.nspname like 'rowcast%' and c.relkind in ('r', 'p', 'S')";
    let relations = stranger.query(relations, &[]).await.unwrap();
    assert!(relations.len() > 5);
    for relation in relations {
        let draw = format!("savepoint s; select nextval({}::regclass)", relation.get::<_, u32>(0));
        assert!(stranger.batch_execute(&draw).await.is_err());
        stranger.batch_execute("rollback to s").await.unwrap();
    }
    for named in [
        "lock table rowcast_private.writer_lock in row share mode",
        "prepare p as select from rowcast_private.writer_lock for share",
    ] {
        assert!(stranger.batch_execute(&format!("savepoint s; {named}")).await.is_err());
        stranger.batch_execute("rollback to s").await.unwrap();
    }
    // Other databases of the cluster have the same oids: all are copies of one template.
    let held = "select count(*) from pg_locks where mode = 'RowExclusiveLock' and relation = 'rowcast.events'::regclass
                   and database = (select oid from pg_database where datname = current_database())";
    assert_eq!(writer.query_one(held, &[]).await.unwrap().get::<_, i64>(0), 1, "it does hold the journal's lock");
    writer.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &writer).await;
    assert_eq!(writer.query_one("select rowcast.safe_head()", &[]).await.unwrap().get::<_, i64>(0), 1);
    stranger.batch_execute("rollback").await.unwrap();
    node.stop().await;
}

/// An owner may disable triggers; then the journal's own lock counts.
#[tokio::test]
async fn without_the_trigger_whoever_writes_holds_the_fence_as_well() {
    let db = migrated_database().await;
    let mut node = TailNode::start(&db.url);
    let (owner, writer) = (db.client().await, db.client().await);
    owner.batch_execute("alter table rowcast.events disable trigger all").await.unwrap();
    writer.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    owner.batch_execute(INSERT).await.unwrap();
    let safe = async || owner.query_one("select rowcast.safe_head()", &[]).await.unwrap().get::<_, i64>(0);
    assert_eq!(safe().await, 0);
    node.is("it waits", |s| s.stalled.is_some()).await;
    assert_eq!(node.pages.position().newest_seq(), 0);
    writer.batch_execute("commit").await.unwrap();
    delivers_the_table(&node, &owner).await;
    assert_eq!(safe().await, 2);
    node.stop().await;
}

/// Numbers whose transaction is open hold the stream back whatever the statement was: a subtransaction's, one of a prepared
/// transaction, one of COPY, one that a function of another owner wrote.
#[tokio::test]
async fn whoever_has_drawn_a_number_holds_the_fence_however_it_was_drawn() {
    let db = migrated_database().await;
    let client = db.client().await;
    let safe = async || client.query_one("select rowcast.safe_head()", &[]).await.unwrap().get::<_, i64>(0);
    let table = "create table public.t (id int primary key); select rowcast.publish('public.t')";
    client.batch_execute(table).await.unwrap();
    let gid = format!("drawn in {}", db.name);
    for (begin, end) in [
        (format!("begin; savepoint s; {INSERT}; release s"), "commit".to_owned()),
        ("begin; select rowcast.append_event('a.b')".to_owned(), "commit".to_owned()),
        ("begin; insert into public.t values (1); set constraints all immediate".to_owned(), "commit".to_owned()),
        (
            format!("set rowcast.bell = 'off'; begin; {INSERT}; prepare transaction '{gid}'"),
            format!("commit prepared '{gid}'"),
        ),
    ] {
        let holder = db.client().await;
        let before = safe().await;
        holder.batch_execute(&begin).await.unwrap();
        client.batch_execute(INSERT).await.unwrap();
        assert_eq!(safe().await, 0, "{begin}: nothing was written down as decided, and somebody holds {}", before + 1);
        holder.batch_execute(&end).await.unwrap();
        assert_eq!(safe().await, before + 2);
    }
}

/// Every 32 numbers `nextval` writes for a moment 32 more than were drawn, which whoever reads the sequence as a table
/// may see. The safe head must never be ahead of what was drawn.
#[tokio::test]
async fn the_safe_head_is_never_ahead_of_the_sequence() {
    let db = migrated_database().await;
    let mut drawers = JoinSet::new();
    for _ in 0..2 {
        let client = db.client().await;
        let draw = "select count(nextval('rowcast.events_seq_seq')) from generate_series(1, 1000000)";
        drawers.spawn(async move { client.batch_execute(draw).await.unwrap() });
    }
    let client = db.client().await;
    let look = "do $$ declare safe bigint; begin
        for i in 1 .. 10000 loop
            safe := rowcast.safe_head();
            if safe > pg_sequence_last_value('rowcast.events_seq_seq') then raise exception 'ahead'; end if;
        end loop; end $$";
    client.batch_execute(look).await.unwrap();
    while let Some(done) = drawers.join_next().await {
        done.unwrap();
    }
}
