//! The tail against real writers: what commits comes out once, in order, whatever holds it up.

use std::time::Duration;

use rowcast::db::{Database, Lane};
use rowcast::tail::Reason;
use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::support::{PATIENCE, TestDb, connect, connector, in_time, migrated_database, until};
use crate::tail::Node;

const INSERT: &str = "insert into rowcast.events (type, payload) values ('tail.test', '{\"n\":1}')";

async fn committed(client: &Client) -> Vec<i64> {
    let rows = client.query("select seq from rowcast.events order by seq", &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The last seq that was drawn, by whomever.
async fn last_value(client: &Client) -> i64 {
    let sql = "select case when is_called then last_value else 0 end from rowcast.events_seq_seq";
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Reads all that there is and compares it with the table.
async fn delivers_the_table(node: &Node, client: &Client) {
    let mut reader = node.reader();
    reader.read_to(last_value(client).await).await;
    assert_eq!(reader.seen, committed(client).await);
}

#[tokio::test]
async fn what_many_writers_commit_comes_out_once_and_in_order() {
    let db = migrated_database().await;
    let node = Node::start(&db.url);
    let mut writers = JoinSet::new();
    for n in 0..8 {
        let client = db.client().await;
        writers.spawn(async move {
            for i in 0..40 {
                let end = ["commit", "rollback", "commit"][(n + i) % 3];
                let middle = ["", "savepoint s; insert into rowcast.events (type) values ('x'); rollback to s;"][i % 2];
                client.batch_execute(&format!("begin; {INSERT}; {middle} {INSERT}; {end}")).await.unwrap();
            }
        });
    }
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
    let mut node = Node::start(&db.url);
    node.connected().await;
    let (holder, writer) = (db.client().await, db.client().await);
    holder.batch_execute(&format!("set application_name = 'the holder'; begin; {INSERT}")).await.unwrap();
    for _ in 0..10 {
        writer.batch_execute(INSERT).await.unwrap();
    }
    let begun = std::time::Instant::now();
    let status = node.is("the blocker is named", |s| {
        s.stalled.as_ref().is_some_and(|s| matches!(&s.reason, Reason::Transaction(b) if !b.is_empty()))
    });
    let stalled = status.await.stalled.unwrap();
    in_time(begun, Duration::from_secs(3));
    let Reason::Transaction(blockers) = stalled.reason else { panic!("{stalled:?}") };
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
    let mut node = Node::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    let gid = format!("gid of {}", db.name);
    let prepare = format!("set rowcast.bell = 'off'; begin; {INSERT}; prepare transaction '{gid}'");
    client.batch_execute(&prepare).await.unwrap();
    client.batch_execute(&format!("reset rowcast.bell; {INSERT}")).await.unwrap();
    let status = node.is("the blocker is named", |s| {
        s.stalled.as_ref().is_some_and(|s| matches!(&s.reason, Reason::Transaction(b) if !b.is_empty()))
    });
    let Reason::Transaction(blockers) = status.await.stalled.unwrap().reason else { unreachable!() };
    assert_eq!((blockers[0].pid, blockers[0].gid.as_deref()), (None, Some(gid.as_str())));
    client.batch_execute(&format!("commit prepared '{gid}'")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn an_idle_blocker_is_ended_where_that_is_wanted() {
    let db = migrated_database().await;
    let mut node = Node::start_with(&db.url, Some(Duration::from_millis(1)));
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
    let mut node = Node::start_with(&db.url, Some(Duration::from_millis(1)));
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

/// Its statement took the journal's lock while it was parsed; it will never be allowed to run.
#[tokio::test]
async fn a_reader_who_prepares_an_insert_holds_nothing_back() {
    let db = migrated_database().await;
    let node = Node::start(&db.url);
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
    let node = Node::start(&db.url);
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
    let mut node = Node::start(&db.url);
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

#[tokio::test]
async fn whoever_writes_with_the_bell_off_is_found_within_a_second_or_so() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    client.batch_execute(&format!("set rowcast.bell = 'off'; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn many_bells_are_hushed_and_no_row_is_forgotten_when_it_is_given_back() {
    let db = migrated_database().await;
    let mut nodes = [Node::start(&db.url), Node::start(&db.url)];
    let client = db.client().await;
    for node in &mut nodes {
        node.hears().await;
    }
    for _ in 0..3 {
        let hushed = |nodes: &[Node; 2]| nodes.iter().map(|n| n.counts.borrow().hushes).sum::<u64>();
        let before = hushed(&nodes);
        until("the bell is hushed", || async {
            for _ in 0..20 {
                client.batch_execute(INSERT).await.unwrap();
            }
            hushed(&nodes) > before
        })
        .await;
        for _ in 0..100 {
            client.batch_execute(INSERT).await.unwrap();
        }
        for node in &mut nodes {
            node.is("the hush is given back", |s| !s.hushed).await;
        }
        client.batch_execute(INSERT).await.unwrap();
        for node in &nodes {
            delivers_the_table(node, &client).await;
        }
    }
    assert_eq!(deadline(&client).await, 0, "the last hush was ended, and did not only run out");
    for node in nodes {
        node.stop().await;
    }
}

/// Until when the bell is hushed; 0 when a tail has ended the hush.
async fn deadline(client: &Client) -> i64 {
    client.query_one("select last_value from rowcast.hush_deadline", &[]).await.unwrap().get(0)
}

/// Hushes the bell for almost as long as can be, as a node does that dies then.
const HUSH: &str =
    "select setval('rowcast.hush_deadline', (extract(epoch from clock_timestamp()) * 1000)::bigint + 990)";

#[tokio::test]
async fn a_new_node_ends_the_hush_of_one_that_died_and_tells_the_others() {
    let db = migrated_database().await;
    let client = db.client().await;
    let mut first = Node::start(&db.url);
    first.hears().await;
    client.batch_execute(&format!("{HUSH}; {INSERT}")).await.unwrap();
    assert!(deadline(&client).await > 0);
    let before = first.counts.borrow().polls;
    let second = Node::start(&db.url);
    until("the hush that it found is ended", || async { deadline(&client).await == 0 }).await;
    delivers_the_table(&second, &client).await;
    delivers_the_table(&first, &client).await;
    assert!(first.counts.borrow().polls > before);
    first.stop().await;
    second.stop().await;
}

#[tokio::test]
async fn a_node_polls_on_while_its_hush_runs_out_again_and_again() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    until("the bell is hushed", || async {
        for _ in 0..20 {
            client.batch_execute(INSERT).await.unwrap();
        }
        node.counts.borrow().hushes > 0
    })
    .await;
    // What a tail that is held up looks like from outside: its deadline passes, and it does not know.
    for _ in 0..50 {
        client.batch_execute(&format!("select setval('rowcast.hush_deadline', 1); {INSERT}")).await.unwrap();
    }
    // 0 is what a node sets. A bell that was on its way may let it hush once more before that.
    until("the node has ended the hush", || async { deadline(&client).await == 0 }).await;
    node.is("the hush is ended", |s| !s.hushed).await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn a_lost_connection_loses_nothing_and_is_shown() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    let client = db.client().await;
    node.hears().await;
    for n in 1..=3 {
        client.batch_execute(INSERT).await.unwrap();
        let kill = "select pg_terminate_backend(pid) from pg_stat_activity
                     where pid <> pg_backend_pid() and datname = current_database()";
        client.batch_execute(&format!("{INSERT}; {kill}; {INSERT}")).await.unwrap();
        until("it has connected anew", || async { node.counts.borrow().connections > n }).await;
        delivers_the_table(&node, &client).await;
    }
    assert_eq!(node.counts.borrow().resets, 0);
    node.stop().await;
}

#[tokio::test]
async fn a_long_way_is_jumped_and_every_row_on_it_can_be_read() {
    let db = migrated_database().await;
    let node = Node::start(&db.url);
    let client = db.client().await;
    let rows = "insert into rowcast.events (type) select 'bulk.row' from generate_series(1, 60000)";
    client.batch_execute(&format!("begin; {rows}; rollback; {rows}; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn a_new_node_begins_at_the_head_written_down_while_a_writer_is_in_flight() {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; {INSERT}")).await.unwrap();
    let first = Node::start(&db.url);
    delivers_the_table(&first, &client).await;
    first.stop().await;
    let head = "select head from rowcast.journal_state";
    assert_eq!(client.query_one(head, &[]).await.unwrap().get::<_, i64>(0), 2);

    let holder = db.client().await;
    holder.batch_execute(&format!("begin; {INSERT}")).await.unwrap();
    let mut second = Node::start(&db.url);
    second.connected().await;
    let mut reader = second.reader();
    reader.read_to(2).await;
    assert_eq!(reader.seen, [1, 2]);
    holder.batch_execute("rollback").await.unwrap();
    delivers_the_table(&second, &client).await;
    second.stop().await;
}

/// What a restore from a backup looks like from outside: the same address, another history.
async fn restore_empty(db: &TestDb) {
    let template = migrated_database().await;
    let admin = connect(&db.url.replace(&db.name, "postgres")).await;
    admin.batch_execute(&format!("alter database {} allow_connections false", db.name)).await.unwrap();
    admin.batch_execute(&format!("drop database {} with (force)", db.name)).await.unwrap();
    until("the copy is made", || async {
        let sql = format!("create database {} template {}", db.name, template.name);
        admin.batch_execute(&sql).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn a_restored_database_is_noticed_and_followed() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; {INSERT}; {INSERT}")).await.unwrap();
    delivers_the_table(&node, &client).await;
    drop(client);
    let before = node.pages.position();
    restore_empty(&db).await;
    until("it is noticed", || async { node.pages.position().epoch > before.epoch }).await;
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    assert_eq!((node.counts.borrow().resets, node.pages.position().newest_seq()), (1, 1));
    node.stop().await;
}

/// Ends every other session of the database.
const CUT: &str = "select pg_terminate_backend(pid) from pg_stat_activity \
     where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend'";

#[tokio::test]
async fn numbers_that_a_crash_took_back_and_others_drew_again_are_found() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(&format!("{INSERT}; begin; {}; rollback", [INSERT; 14].join("; "))).await.unwrap();
    delivers_the_table(&node, &client).await;
    // What a crash does, while the tail waits at the state: the sequence is back, and ahead again when it looks.
    let redraw = [INSERT; 20].join("; ");
    let crash = format!(
        "begin; lock table rowcast.journal_state; {CUT}; select setval('rowcast.events_seq_seq', 1); {redraw}; commit"
    );
    client.batch_execute(&crash).await.unwrap();
    let resets = node.counts.wait_for(|c| c.resets == 1);
    tokio::time::timeout(PATIENCE, resets).await.unwrap().unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

#[tokio::test]
async fn requests_that_want_every_connection_of_the_pool_do_not_hold_the_stream_up() {
    let db = migrated_database().await;
    let pool = Database::new(connector(&db.url), 1).unwrap();
    let busy = |pool: &Database| pool.lanes().iter().map(|lane| lane.in_use).sum::<usize>();
    let mut taken = tokio::task::JoinSet::new();
    for lane in [Lane::Write, Lane::Housekeeping, Lane::Housekeeping] {
        let pool = pool.clone();
        taken.spawn(
            async move { pool.run(lane, async |client| client.batch_execute("select pg_sleep(600)").await).await },
        );
    }
    until("every connection is in use", || async { busy(&pool) == 3 }).await;
    let mut node = Node::start_beside(pool, &db.url, None);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    let mut position = node.pages.subscribe();
    tokio::time::timeout(PATIENCE, position.wait_for(|p| p.head == 1)).await.unwrap().unwrap();
    assert_eq!(node.counts.borrow().connections, 1, "the tail waited for the pool and lost its own connection");
    drop(taken);
    node.hears().await;
    delivers_the_table(&node, &client).await;
    node.stop().await;
}

/// A test that panics drops its runtime, which waits for the tail's thread: it must end without having been told to.
#[tokio::test]
async fn whoever_drops_a_tail_ends_it() {
    let db = migrated_database().await;
    let (ended, end) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { Node::start(&db.url).connected().await });
        drop(runtime);
        ended.send(()).unwrap();
    });
    tokio::time::timeout(PATIENCE, end).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_reset_that_fails_halfway_begins_anew() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    client.batch_execute(&format!("begin; {}; rollback", [INSERT; 10].join("; "))).await.unwrap();
    delivers_the_table(&node, &client).await;
    // Another history, whose rows cannot be read just now.
    let other = format!("begin; lock table rowcast.events; {CUT}; select setval('rowcast.events_seq_seq', 3)");
    client.batch_execute(&other).await.unwrap();
    let resets = node.counts.wait_for(|c| c.resets == 1);
    tokio::time::timeout(PATIENCE, resets).await.unwrap().unwrap();
    client.batch_execute(&format!("select setval('rowcast.events_seq_seq', 10); {CUT}; commit")).await.unwrap();
    let mut position = node.pages.subscribe();
    tokio::time::timeout(PATIENCE, position.wait_for(|p| p.head == 10)).await.unwrap().unwrap();
    node.stop().await;
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

#[tokio::test]
async fn a_row_whose_time_nobody_can_write_does_not_stop_the_stream() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    node.connected().await;
    let client = db.client().await;
    // Such as may be there from before the constraint was.
    client.batch_execute("alter table rowcast.events drop constraint events_values_check").await.unwrap();
    for at in ["12345-01-01", "infinity", "-infinity", "4713-01-01 BC", "2026-01-27"] {
        let sql = format!("insert into rowcast.events (type, at) values ('tail.test', '{at}')");
        client.batch_execute(&sql).await.unwrap();
    }
    delivers_the_table(&node, &client).await;
    assert_eq!(node.counts.borrow().connections, 1);
    let rows = rowcast::journal::read_range(&client, 0, 5, rowcast::journal::Budget::of_rows(5)).await.unwrap().events;
    let years: Vec<i32> = rows.iter().map(|row| row.at.year()).collect();
    assert_eq!(years, [9999, 9999, 1, 1, 2026]);
    node.stop().await;
}

#[tokio::test]
async fn a_connection_that_fails_at_once_again_and_again_is_waited_for_ever_longer() {
    let db = migrated_database().await;
    let mut node = Node::start(&db.url);
    node.hears().await;
    let client = db.client().await;
    client.batch_execute(INSERT).await.unwrap();
    delivers_the_table(&node, &client).await;
    // It connects and finds its history, and then cannot read what is new.
    client.batch_execute("alter table rowcast.events alter column trade_id type text").await.unwrap();
    client.batch_execute(INSERT).await.unwrap();
    let connections = |node: &Node| node.counts.borrow().connections;
    let before = connections(&node);
    let begun = std::time::Instant::now();
    until("it tries five times", || async { connections(&node) >= before + 5 }).await;
    // 50, 100, 200, 400 and 800 ms, each at least halved by chance; without the doubling it was 250 at most.
    assert!(begun.elapsed() > Duration::from_millis(600), "{:?}", begun.elapsed());
    client
        .batch_execute("alter table rowcast.events alter column trade_id type uuid using trade_id::uuid")
        .await
        .unwrap();
    delivers_the_table(&node, &client).await;
    node.stop().await;
}
