//! Long polls: they wait for the first message, end without one, and end with the access of their client.

use std::time::Instant;

use rowcast::auth::Role;

use super::{Durable, EVENTS, MOMENT, QUICK, at, code_of, get, next_offset, read_to_end};
use crate::support::in_time;

const ADMIN: Option<(Role, &str)> = Some((Role::Admin, "root"));

fn poll(offset: &str) -> String {
    format!("{}&live=long-poll", at(EVENTS, offset))
}

#[tokio::test]
async fn a_long_poll_answers_at_once_what_there_is_and_waits_for_what_is_not() {
    let durable = Durable::start("insert into rowcast.events (type) values ('a.b')", &[]).await;
    let first = durable.admin(&poll("-1")).await;
    assert_eq!((first.status, first.json()[0]["type"].as_str()), (200, Some("a.b")));
    assert!(first.headers["stream-cursor"].parse::<u64>().is_ok());
    for (offset, kind) in [("now".to_owned(), "a.c"), (next_offset(&first), "a.c")] {
        let path = poll(&offset);
        let (answer, ()) = tokio::join!(durable.admin(&path), async {
            tokio::time::sleep(MOMENT).await;
            if offset == "now" {
                durable.sql.batch_execute("insert into rowcast.events (type) values ('a.c')").await.unwrap();
            }
        });
        assert_eq!((answer.status, answer.json().as_array().unwrap().len()), (200, 1), "{}", answer.body);
        assert_eq!(answer.json()[0]["type"], kind);
        assert_eq!(answer.headers["stream-up-to-date"], "true");
        let tail = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
        assert_eq!(next_offset(&answer), tail.last());
    }
    durable.end().await;
}

#[tokio::test]
async fn a_long_poll_during_which_nothing_came_says_where_the_tail_is() {
    let durable = Durable::start("insert into rowcast.events (type) values ('a.b')", &[QUICK]).await;
    let tail = next_offset(&durable.admin(EVENTS).await);
    let begun = Instant::now();
    let answer = durable.admin(&poll(&tail)).await;
    assert!(begun.elapsed().as_millis() >= 250, "it waits");
    in_time(begun, std::time::Duration::from_secs(3));
    assert_eq!((answer.status, answer.body.as_str()), (204, ""));
    assert_eq!((next_offset(&answer).as_str(), answer.headers["stream-up-to-date"].as_str()), (tail.as_str(), "true"));
    let cursor: u64 = answer.headers["stream-cursor"].parse().unwrap();
    // A cursor that comes back is answered with a later one, so that no cache answers the same for ever.
    let again = durable.admin(&format!("{}&cursor={cursor}", poll(&tail))).await;
    let next: u64 = again.headers["stream-cursor"].parse().unwrap();
    assert!(next > cursor && next <= cursor + 180, "{cursor} {next}");
    // Events that are not for this reader end no wait, and move the offset.
    let path = format!("{EVENTS}?type=x.y");
    let path = format!("{}&live=long-poll", at(&path, "now"));
    let (answer, ()) = tokio::join!(durable.admin(&path), async {
        durable.sql.batch_execute("insert into rowcast.events (type) values ('a.c')").await.unwrap();
    });
    assert_eq!(answer.status, 204);
    durable.end().await;
}

#[tokio::test]
async fn a_revoked_subject_waits_no_longer() {
    let durable = Durable::start("", &[]).await;
    let path = poll("now");
    let (answer, ()) = tokio::join!(get(&durable.server, Some((Role::Viewer, "mallory")), &path), async {
        tokio::time::sleep(MOMENT).await;
        durable.sql.batch_execute("insert into rowcast.revocations (subject) values ('mallory')").await.unwrap();
    });
    assert_eq!(code_of(&answer), (401, "unauthorized".to_owned()));
    durable.end().await;
}

#[tokio::test]
async fn a_server_that_stops_lets_its_long_polls_go() {
    let mut durable = Durable::start("", &[]).await;
    let path = poll("now");
    let address = durable.server.address().to_owned();
    let bearer = format!("Bearer {}", super::token(Role::Admin, "root"));
    let waiting = tokio::spawn(async move {
        crate::support::raw_http::request(&address, "GET", &path, &[("authorization", &bearer)], b"").await
    });
    tokio::time::sleep(MOMENT).await;
    let begun = Instant::now();
    durable.server.ask_to_stop();
    assert_eq!(waiting.await.unwrap().status, 204);
    in_time(begun, std::time::Duration::from_secs(5));
    durable.server.ended().await.unwrap();
}
