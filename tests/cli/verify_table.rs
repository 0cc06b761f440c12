//! `rowcast verify --table`: it says that rows and events make each later snapshot, and it can say that they do not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinSet;
use tokio_postgres::Client;

use crate::support::{TestDb, migrated_database, run, text};

const TABLES: &str = "
    create schema shop;
    create table shop.orders (id int primary key, customer text, status text not null, total numeric(12,2));
    select rowcast.publish('shop.orders', owner_column => 'customer');
    create table shop.notes (id int primary key, body text, secret text);";

/// A map of notes, with what it makes of an update.
fn map(of_update: &str) -> String {
    format!(
        "create function shop.note_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
         language plpgsql as $$
         begin
             if op = 'delete' then
                 type := 'shop.notes.deleted';
                 payload := jsonb_build_object('id', old -> 'id');
             elsif op = 'update' then
                 {of_update}
             else
                 type := 'shop.notes.changed';
                 payload := new - 'secret';
             end if;
         end $$;
         select rowcast.publish('shop.notes', map => 'shop.note_events', state_key => '{{id}}')"
    )
}

/// The whole row, as it must be.
const WHOLE: &str = "type := 'shop.notes.changed'; payload := new - 'secret';";

async fn shop(of_update: &str) -> TestDb {
    let db = migrated_database().await;
    let client = db.client().await;
    client.batch_execute(TABLES).await.unwrap();
    client.batch_execute(&map(of_update)).await.unwrap();
    client
        .batch_execute("insert into shop.notes select n, 'note ' || n, 's' from generate_series(1, 50) n")
        .await
        .unwrap();
    db
}

/// Changes both tables until told to stop.
async fn write(client: Client, number: usize, stop: Arc<AtomicBool>) {
    for turn in 0.. {
        let id = number * 100 + turn % 20;
        let note = turn % 50 + 1;
        let end = ["commit", "rollback", "commit"][turn % 3];
        let sql = format!(
            "begin;
             insert into shop.orders values ({id}, 'c{}', 'new', {turn}) on conflict (id) do update set total = excluded.total;
             update shop.notes set body = 'turn {turn}', secret = 'x' where id = {note};
             delete from shop.orders where id = {};
             {end}",
            turn % 3,
            number * 100 + (turn * 7) % 20
        );
        if client.batch_execute(&sql).await.is_err() {
            // Two writers have met in a deadlock.
            client.batch_execute("rollback").await.unwrap();
        }
        if stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

/// Runs it beside writers. Returns its exit code and both outputs.
async fn verify_beside_writers(db: &TestDb, args: &[&str]) -> (Option<i32>, String, String) {
    let (stop, mut writers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for number in 1..=3 {
        writers.spawn(write(db.client().await, number, Arc::clone(&stop)));
    }
    let answer = run(&[&["verify"], args].concat(), &[("DATABASE_URL", &db.url)]).await;
    stop.store(true, Ordering::SeqCst);
    writers.join_all().await;
    (answer.status.code(), text(&answer.stdout), text(&answer.stderr))
}

/// A number in the line `compared`, behind this word.
fn number(out: &str, before: &str) -> u64 {
    let (head, _) = out.split_once(before).unwrap_or_else(|| panic!("{before} is missing: {out}"));
    head.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn rows_and_events_make_each_later_snapshot_while_writers_go_on() {
    let db = shop(WHOLE).await;
    let (code, out, err) =
        verify_beside_writers(&db, &["--table", "shop.orders", "--table", "shop.notes", "--seconds", "3"]).await;
    assert_eq!(code, Some(0), "{out}{err}");
    let (rows, snapshots, events) = (number(&out, " rows"), number(&out, " snapshots"), number(&out, " events"));
    assert!(rows > 100 && snapshots >= 3 && events > 20, "{out}");
    assert!(
        out.ends_with("\nequal      rows and events made each later snapshot, and the table at the end\n"),
        "{out}"
    );
    assert!(!err.contains("\u{1b}["), "no progress where nobody watches: {err}");
}

#[tokio::test]
async fn a_map_that_leaves_a_field_out_of_an_update_is_found() {
    let db = shop("type := 'shop.notes.changed'; payload := jsonb_build_object('id', new -> 'id');").await;
    let (code, out, err) = verify_beside_writers(&db, &["--table", "shop.notes", "--seconds", "2"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    let (_, difference) = out.split_once("\ndifferent  shop.notes ").unwrap_or_else(|| panic!("{out}"));
    assert!(difference.contains(": folded {\"id\": ") && difference.contains("in the snapshot {\"id\": "), "{out}");
    assert!(!out.contains("\nequal"), "{out}");
}

#[tokio::test]
async fn a_map_that_is_silent_about_a_change_that_matters_is_found() {
    let db = shop("null;").await;
    let (code, out, err) = verify_beside_writers(&db, &["--table", "shop.notes", "--seconds", "2"]).await;
    assert_eq!(code, Some(1), "{out}{err}");
    assert!(out.contains("\ndifferent  shop.notes ") && out.contains("folded {\"id\": "), "{out}");
}

#[tokio::test]
async fn two_rows_of_one_name_are_found() {
    let db = shop(WHOLE).await;
    let sql = "create or replace function shop.note_events(op text, old jsonb, new jsonb, out type text, out level text, out payload jsonb)
               language sql as $$ select 'shop.notes.changed', 'info', jsonb_set(new - 'secret', '{id}', '1') $$";
    db.client().await.batch_execute(sql).await.unwrap();
    let answer = run(&["verify", "--table", "shop.notes", "--seconds", "0"], &[("DATABASE_URL", &db.url)]).await;
    let out = text(&answer.stdout);
    assert_eq!(answer.status.code(), Some(1), "{out}{}", text(&answer.stderr));
    assert!(out.contains("different  shop.notes 1 at seq ") && out.contains("two rows of the snapshot have"), "{out}");
}

#[tokio::test]
async fn tables_that_have_no_snapshot_are_told_in_the_words_of_the_server() {
    let db = shop(WHOLE).await;
    let plain = "select rowcast.publish('shop.notes', map => 'shop.note_events')";
    db.client().await.batch_execute(plain).await.unwrap();
    for (table, sentence) in [
        ("shop.notes", "shop.notes has a map, and was published without a state_key: publish it again"),
        ("shop.nowhere", "no table shop.nowhere is published for this viewer"),
    ] {
        let answer = run(&["verify", "--table", table], &[("DATABASE_URL", &db.url)]).await;
        let said = text(&answer.stderr);
        assert_eq!((answer.status.code(), answer.stdout.len(), said.lines().count()), (Some(1), 0, 1), "{said}");
        assert!(said.contains(sentence), "{said}");
    }
    for wrong in [
        &["--table", "a.b", "--from", "1"][..],
        &["--table", "a.b", "--table", "a.b"],
        &["--table", "b"],
        &["--table"],
        &["--seconds", "x"],
    ] {
        let answer = run(&[&["verify"], wrong].concat(), &[("DATABASE_URL", &db.url)]).await;
        assert_eq!(answer.status.code(), Some(2), "{wrong:?}: {}", text(&answer.stderr));
    }
    let help = text(&run(&["verify", "--help"], &[]).await.stdout);
    assert!(help.contains("\n  rowcast verify --table shop.orders"), "{help}");
}
