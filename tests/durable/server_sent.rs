//! Streams of server-sent events: data, and the offset behind it.

use rowcast::auth::Role;

use super::{Durable, EVENTS, PUBLIC_EVENTS, QUICK, Sse, at, code_of, read_to_end};

const ADMIN: Option<(Role, &str)> = Some((Role::Admin, "root"));

fn sse(path: &str, offset: &str) -> String {
    format!("{}&live=sse", at(path, offset))
}

#[tokio::test]
async fn a_stream_of_server_sent_events_is_the_table_and_goes_on() {
    let events = "insert into rowcast.events (type, payload)
                  select 'a.b', jsonb_build_object('text', E'line\\n\\n' || repeat('x', i % 500)) from generate_series(1, 2000) i";
    let durable = Durable::start(events, &[]).await;
    let whole = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    let mut stream = Sse::open(&durable.server, ADMIN, &sse(EVENTS, "-1")).await;
    let (messages, offset) = stream.until_up_to_date().await;
    assert_eq!(messages, whole.messages);
    assert_eq!(offset, whole.last());
    durable.run("insert into rowcast.events (type) values ('a.c')").await;
    let (messages, after) = stream.until_control(|_| true).await;
    assert_eq!((messages.len(), messages[0]["type"].as_str()), (1, Some("a.c")));
    assert!(after["streamNextOffset"].as_str().unwrap() > offset.as_str());
    assert!(after["streamCursor"].as_str().unwrap().parse::<u64>().is_ok());
    // Every control event is a place to go on from.
    let rest = read_to_end(&durable.server, ADMIN, EVENTS, after["streamNextOffset"].as_str().unwrap()).await;
    assert!(rest.messages.is_empty());
    durable.end().await;
}

#[tokio::test]
async fn every_offset_of_a_stream_resumes_it_exactly() {
    let events = "insert into rowcast.events (type, payload)
                  select 'a.b', jsonb_build_object('text', repeat('x', 1000)) from generate_series(1, 300) i";
    let durable = Durable::start(events, &[]).await;
    let whole = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    let mut stream = Sse::open(&durable.server, ADMIN, &sse(EVENTS, "-1")).await;
    let (mut read, mut offsets) = (0, 0);
    loop {
        let (messages, control) = stream.until_control(|_| true).await;
        read += messages.len();
        offsets += 1;
        let rest = read_to_end(&durable.server, ADMIN, EVENTS, control["streamNextOffset"].as_str().unwrap()).await;
        assert_eq!(rest.messages, whole.messages[read..]);
        if control["upToDate"] == true {
            break;
        }
    }
    assert!(offsets > 3, "{offsets}");
    durable.end().await;
}

#[tokio::test]
async fn from_now_on_the_first_control_event_has_the_tail() {
    let durable = Durable::start("insert into rowcast.events (type) values ('a.b')", &[QUICK]).await;
    let whole = read_to_end(&durable.server, ADMIN, EVENTS, "-1").await;
    let path = format!("{EVENTS}?type=a.b");
    let mut stream = Sse::open(&durable.server, ADMIN, &sse(&path, "now")).await;
    let (messages, offset) = stream.until_up_to_date().await;
    assert_eq!((messages.len(), offset.as_str()), (0, whole.last()));
    // What is not for this reader moves the offset with the next heartbeat.
    durable.run("insert into rowcast.events (type) values ('x.y')").await;
    let moved = stream.until_control(|control| control["streamNextOffset"].as_str() > Some(offset.as_str())).await;
    assert!(moved.0.is_empty());
    durable.end().await;
}

#[tokio::test]
async fn a_stream_ends_with_the_access_of_its_client_and_with_the_server() {
    let mut durable = Durable::start("", &[]).await;
    let mut revoked = Sse::open(&durable.server, Some((Role::Viewer, "mallory")), &sse(EVENTS, "now")).await;
    let mut open = Sse::open(&durable.server, ADMIN, &sse(EVENTS, "now")).await;
    revoked.until_up_to_date().await;
    open.until_up_to_date().await;
    durable.sql.batch_execute("insert into rowcast.revocations (subject) values ('mallory')").await.unwrap();
    assert_eq!(revoked.event().await, None);
    durable.server.ask_to_stop();
    assert_eq!(open.event().await, None);
    durable.server.ended().await.unwrap();
}

#[tokio::test]
async fn the_public_has_streams_where_they_are_opened() {
    let closed = Durable::start("", &[]).await;
    assert_eq!(code_of(&closed.public(&sse(PUBLIC_EVENTS, "now")).await), (404, "not_found".to_owned()));
    assert_eq!(closed.public(&at(PUBLIC_EVENTS, "now")).await.status, 200);
    closed.end().await;
    let open = Durable::start("", &[("ROWCAST_PUBLIC_STREAM", "on")]).await;
    let mut stream = Sse::open(&open.server, None, &sse(PUBLIC_EVENTS, "now")).await;
    stream.until_up_to_date().await;
    open.end().await;
}
