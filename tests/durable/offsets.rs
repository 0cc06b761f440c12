//! Offsets: they sort, they end at the same places on every node, and one that leads nowhere is gone.

use rowcast::auth::Role;

use super::{Durable, EVENTS, PUBLIC_EVENTS, at, code_of, next_offset, read_to_end};
use crate::access::public_views::{knows, listed};
use crate::support::{TestServer, run, until};

const ADMIN: Option<(Role, &str)> = Some((Role::Admin, "root"));
/// Events of every size, up to 60 KB, so that pages are cut by bytes too.
const UNEVEN: &str = "insert into rowcast.events (type, public_safe, payload)
    select 'shop.opened', i % 3 <> 0, jsonb_build_object('city', repeat('x', case when i % 97 = 0 then 60000 when i % 5 = 0 then 3000 else i % 60 end))
      from generate_series(1, 2500) i";

#[tokio::test]
async fn offsets_sort_as_their_events_do() {
    let durable = Durable::start(UNEVEN, &[]).await;
    let reading = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    assert!(reading.offsets.len() > 4 && reading.offsets.is_sorted(), "{:?}", reading.offsets);
    let mut distinct = reading.offsets.clone();
    distinct.dedup();
    assert!(reading.offsets.len() - distinct.len() <= 1, "only the tail is told twice: {:?}", reading.offsets);
    assert!(reading.offsets.iter().all(|offset| offset.len() < 64 && !offset.contains([',', '&', '=', '?', '/'])));
    durable.end().await;
}

#[tokio::test]
async fn two_nodes_and_a_restarted_one_answer_with_the_same_pages() {
    let (db, sql) = listed().await;
    // The first node sees the events grow, in its hot tail; the others load them.
    let first = TestServer::ready(&db.url, &[]).await;
    for part in 0..5 {
        sql.batch_execute(&UNEVEN.replace("2500", "500").replace("'city'", &format!("'part', {part}, 'city'")))
            .await
            .unwrap();
    }
    let second = TestServer::ready(&db.url, &[("ROWCAST_PAGE_CACHE", "4MB")]).await;
    knows(&first, &sql).await;
    knows(&second, &sql).await;
    let one = read_to_end(&first, None, PUBLIC_EVENTS, "-1").await;
    first.stop().await.unwrap();
    let third = TestServer::ready(&db.url, &[]).await;
    knows(&third, &sql).await;
    for other in [&second, &third] {
        let other = read_to_end(other, None, PUBLIC_EVENTS, "-1").await;
        let pages = one.bodies.len() - 1;
        assert!(pages > 3);
        assert_eq!((&other.bodies[..pages], &other.offsets[..pages]), (&one.bodies[..pages], &one.offsets[..pages]));
    }
    second.stop().await.unwrap();
    third.stop().await.unwrap();
}

#[tokio::test]
async fn an_offset_below_what_retention_kept_is_gone() {
    let durable =
        Durable::start("insert into rowcast.events (type) select 'a.b' from generate_series(1, 50)", &[]).await;
    let whole = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    let version = whole.last().rsplit('_').next().unwrap();
    let trimmed = run(&["trim", "--before", "31"], &[("DATABASE_URL", &durable.db.url)]).await;
    assert!(trimmed.status.success(), "{trimmed:?}");
    until("the node knows", || async {
        durable.admin(&at(EVENTS, &format!("{:019}_{version}", 0))).await.status == 410
    })
    .await;
    let expired = durable.admin(&at(EVENTS, &format!("{:019}_{version}", 0))).await;
    assert_eq!(code_of(&expired), (410, "cursor_expired".to_owned()));
    assert_eq!(expired.json()["oldest"], 31);
    assert_eq!(read_to_end(&durable.server, ADMIN, EVENTS, "-1").await.seqs(), (31..=50).collect::<Vec<_>>());
    assert_eq!(durable.admin(&at(EVENTS, whole.last())).await.body, "[]");
    durable.end().await;
}

#[tokio::test]
async fn an_offset_of_another_history_is_gone() {
    let durable =
        Durable::start("insert into rowcast.events (type) select 'a.b' from generate_series(1, 50)", &[]).await;
    let tail = next_offset(&durable.admin(EVENTS).await);
    let (seq, rest) = tail.split_once('_').unwrap();
    let (_, version) = rest.split_once('_').unwrap();
    for other in [
        format!("{seq}_00000000_{version}"),
        format!("{:019}_00000000_{version}", 7),
        format!("{:019}_00000000_{version}", 51),
        format!("{}_{rest}", i64::MAX),
    ] {
        for live in ["", "&live=long-poll", "&live=sse"] {
            let answer = durable.admin(&format!("{}{live}", at(EVENTS, &other))).await;
            assert_eq!(code_of(&answer), (410, "offset_gone".to_owned()), "{other} {live}");
        }
    }
    // Another version of the view leads to the same place, under an address that caches keep only briefly.
    let other_version = format!("{}_00000000", tail.rsplit_once('_').unwrap().0);
    let answer = durable.admin(&at(EVENTS, &other_version)).await;
    assert_eq!((answer.status, next_offset(&answer)), (200, tail));
    durable.end().await;
}
