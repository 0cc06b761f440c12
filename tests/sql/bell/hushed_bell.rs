//! The bell while it is hushed or off, and who may hush it.

use tokio_postgres::error::SqlState;

use super::{ListenedDatabase, ROW};

#[tokio::test]
async fn off_silences_the_bell_for_transaction_and_session() {
    let mut listened = ListenedDatabase::start().await;
    let local = format!("begin; set local rowcast.bell = 'off'; {ROW} commit");
    assert!(listened.bells_after(&local).await.is_empty());
    assert_eq!(listened.bells_after(ROW).await.len(), 1);
    assert!(listened.bells_after(&format!("set rowcast.bell = 'off'; {ROW}")).await.is_empty());
    assert_eq!(listened.bells_after(&format!("set rowcast.bell = 'on'; {ROW}")).await.len(), 1);
    assert_eq!(listened.bells_after(&format!("reset rowcast.bell; {ROW}")).await.len(), 1);
}

#[tokio::test]
async fn whoever_saves_its_settings_and_restores_them_rings_again_in_the_next_transaction() {
    let mut listened = ListenedDatabase::start().await;
    let restored = "select set_config('rowcast.bell', current_setting('rowcast.bell'), false);";
    assert_eq!(listened.bells_after(&format!("begin; {ROW} {restored} {ROW} commit")).await.len(), 1);
    assert_eq!(listened.bells_after(ROW).await.len(), 1);
}

#[tokio::test]
async fn a_hushed_bell_is_silent_and_rings_again_afterwards() {
    let mut listened = ListenedDatabase::start().await;
    listened.hush_for(990).await;
    // The deadline may pass on a busy machine: what was silent before it was still in force counts.
    let mut silent = listened.bells_after(ROW).await;
    while listened.hush_is_over().await || !silent.is_empty() {
        listened.hush_for(990).await;
        silent = listened.bells_after(ROW).await;
    }
    listened.end_hush().await;
    assert_eq!(listened.bells_after(ROW).await, [listened.newest().await]);
}

#[tokio::test]
async fn a_hush_that_ends_within_a_transaction_lets_its_next_insert_ring() {
    let mut listened = ListenedDatabase::start().await;
    listened.hush_for(990).await;
    listened.client.batch_execute(&format!("begin; {ROW}")).await.unwrap();
    listened.end_hush().await;
    assert_eq!(listened.bells_after(&format!("{ROW} commit")).await.len(), 1);
}

#[tokio::test]
async fn a_deadline_that_has_passed_silences_nothing() {
    let mut listened = ListenedDatabase::start().await;
    for away in [-1, -1_000_000] {
        listened.hush_for(away).await;
        assert_eq!(listened.bells_after(ROW).await, [listened.newest().await], "{away} ms from now");
    }
}

#[tokio::test]
async fn no_deadline_makes_an_insert_fail() {
    let mut listened = ListenedDatabase::start().await;
    let last = format!("select setval('rowcast.hush_deadline', {})", i64::MAX);
    assert!(listened.bells_after(&format!("{last}; {ROW}")).await.is_empty());
}

#[tokio::test]
async fn the_hush_of_another_database_is_not_ours() {
    let mut listened = ListenedDatabase::start().await;
    let other = ListenedDatabase::start().await;
    other.hush_for(990).await;
    assert_eq!(listened.bells_after(ROW).await, ["1"]);
}

#[tokio::test]
async fn no_login_without_rights_can_take_the_bell_away() {
    let mut listened = ListenedDatabase::start().await;
    let stranger = listened.db.stranger().await;
    let deadline: u32 =
        listened.client.query_one("select 'rowcast.hush_deadline'::regclass::oid", &[]).await.unwrap().get(0);
    for sql in [
        format!("select setval({deadline}::regclass, (extract(epoch from clock_timestamp()) * 1000)::bigint + 990)"),
        format!("select nextval({deadline}::regclass)"),
    ] {
        let refused = stranger.batch_execute(&sql).await.unwrap_err();
        assert_eq!(refused.code(), Some(&SqlState::INSUFFICIENT_PRIVILEGE), "{sql}");
    }
    // Every lock that it can have: the one that was the hush, and that of the sequence, which is taken before rights are looked at.
    stranger.batch_execute("select pg_advisory_lock(32210705904137076)").await.unwrap();
    stranger.batch_execute("begin; savepoint s").await.unwrap();
    assert!(stranger.batch_execute(&format!("select nextval({deadline}::regclass)")).await.is_err());
    stranger.batch_execute("rollback to s").await.unwrap();
    assert_eq!(listened.bells_after(ROW).await, ["1"]);
}

#[tokio::test]
async fn a_reader_and_a_writer_cannot_hush_and_the_server_can() {
    let listened = ListenedDatabase::start().await;
    for (role, may) in [("rowcast_reader", false), ("rowcast_writer", false), ("rowcast_server", true)] {
        let sql = format!("begin; set local role {role}; select setval('rowcast.hush_deadline', 0); commit");
        let said = listened.client.batch_execute(&sql).await;
        assert_eq!(said.is_ok(), may, "{role}");
        listened.client.batch_execute("rollback").await.unwrap();
    }
}
