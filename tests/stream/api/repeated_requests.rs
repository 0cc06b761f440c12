//! `POST /v1/events` again: a retry writes nothing twice.

use rowcast::auth::Role;

use super::engine;
use super::{Api, bearer, code_of, send};
use crate::support::raw_http::Answer;
use crate::support::until;

fn replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn a_request_that_comes_again_under_its_key_gets_the_first_answer() {
    let api = Api::start(&[]).await;
    let who = engine();
    let key = ("idempotency-key", "8e03978e-40d5-43dd-bc93-6894a57f9324");
    let three = r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}},{"type":"a.one"}]"#;
    let first = api.post(&who, &[key], three).await;
    assert_eq!((first.status, replayed(&first)), (201, false), "{}", first.body);
    // Written otherwise, it is the same content still.
    let spaced = r#" [ {"type":"a.one","payload":{}}, {"payload":{"m":[2],"n":1},"type":"a.two"},{"type":"a.one","level":"info"}]"#;
    for again in [three, spaced] {
        let answer = api.post(&who, &[key], again).await;
        assert_eq!((answer.status, replayed(&answer), &answer.body), (201, true, &first.body));
    }
    for (other, index) in [
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":2,"m":[2]}},{"type":"a.one"}]"#, Some(1)),
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}},{"type":"a.one"},{"type":"a.four"}]"#, None),
        (r#"[{"type":"a.one"},{"type":"a.two","payload":{"n":1,"m":[2]}}]"#, None),
        (r#"[{"type":"a.one"}]"#, None),
        (r#"{"type":"b.other"}"#, Some(0)),
    ] {
        let answer = api.post(&who, &[key], other).await;
        assert_eq!(code_of(&answer), (422, "idempotency_conflict".to_owned()), "{other}");
        if index.is_some() {
            assert_eq!(answer.json()["index"].as_u64(), index, "{other}");
        }
    }
    assert_eq!(api.count().await, 3);

    // Another's key of the same name is another key, and so is a dedupe key of that name, or another request's.
    let other = api.post(&bearer(Role::Operator, "someone else"), &[key], three).await;
    assert_eq!((other.status, replayed(&other)), (201, false));
    let plain = api.post(&who, &[], format!(r#"{{"type":"a.plain","dedupe_key":"{}"}}"#, key.1)).await;
    assert_eq!((plain.status, replayed(&plain)), (201, false));
    let longest = "k".repeat(240);
    for fine in ["!", "\"quoted\"", longest.as_str()] {
        let answer = api.post(&who, &[("idempotency-key", fine)], three).await;
        assert_eq!((answer.status, replayed(&answer)), (201, false), "{fine}: {}", answer.body);
    }
    assert_eq!(api.count().await, 3 + 3 + 1 + 9);
    api.stop().await;
}

#[tokio::test]
async fn a_request_that_was_refused_has_not_used_its_key() {
    let api = Api::start(&[]).await;
    let key = ("idempotency-key", "once");
    let bad = api.post(&engine(), &[key], r#"[{"type":"a.b"},{"type":"A"}]"#).await;
    assert_eq!((bad.status, bad.json()["index"].as_u64()), (422, Some(1)), "{}", bad.body);
    let good = api.post(&engine(), &[key], r#"[{"type":"a.b"},{"type":"a.c"}]"#).await;
    assert_eq!((good.status, replayed(&good), api.count().await), (201, false, 2));
    api.stop().await;
}

#[tokio::test]
async fn a_key_that_is_none_or_stands_beside_another_is_refused() {
    let api = Api::start(&[]).await;
    let (who, body) = (engine(), r#"{"type":"a.b"}"#);
    let long = "k".repeat(241);
    for key in ["", "two words", "k\u{e9}y", "tab\there", long.as_str()] {
        let answer = api.post(&who, &[("idempotency-key", key)], body).await;
        assert_eq!(code_of(&answer), (400, "bad_request".to_owned()), "{key:?}");
    }
    let twice = api.post(&who, &[("idempotency-key", "a"), ("idempotency-key", "a")], body).await;
    assert_eq!(code_of(&twice), (400, "bad_request".to_owned()));
    let both = r#"[{"type":"a.b"},{"type":"a.b","dedupe_key":"d"}]"#;
    let both = api.post(&who, &[("idempotency-key", "a")], both).await;
    assert_eq!(code_of(&both), (400, "bad_request".to_owned()));
    assert_eq!(api.count().await, 0);
    api.stop().await;
}

#[tokio::test]
async fn dedupe_keys_repeat_single_events() {
    let api = Api::start(&[]).await;
    let who = engine();
    let both = r#"[{"type":"a.b","dedupe_key":"x"},{"type":"a.c","dedupe_key":"y"}]"#;
    let first = api.post(&who, &[], both).await;
    let again = api.post(&who, &[], both).await;
    assert_eq!((replayed(&first), replayed(&again), &first.body), (false, true, &again.body));
    // One of them is new: that is no repetition of the request.
    let more = api.post(&who, &[], r#"[{"type":"a.b","dedupe_key":"x"},{"type":"a.d","dedupe_key":"z"}]"#).await;
    assert_eq!((more.status, replayed(&more), &more.json()[0]), (201, false, &first.json()[0]));
    let other = api.post(&who, &[], r#"[{"type":"a.e"},{"type":"a.other","dedupe_key":"x"}]"#).await;
    assert_eq!(code_of(&other), (422, "idempotency_conflict".to_owned()));
    assert_eq!((other.json()["index"].as_u64(), api.count().await), (Some(1), 3));
    // By another subject, and by SQL, these keys are others.
    let stranger = api.post(&bearer(Role::Admin, "x"), &[], both).await;
    assert_eq!((stranger.status, replayed(&stranger)), (201, false));
    api.sql.batch_execute("select rowcast.append_event('b.sql', dedupe_key => 'x')").await.unwrap();
    assert_eq!(api.count().await, 6);
    api.stop().await;
}

#[tokio::test]
async fn of_twenty_at_once_one_is_stored() {
    let api = Api::start(&[]).await;
    let who = engine();
    let body = format!("[{}]", (0..50).map(|n| format!(r#"{{"type":"a.n{n}"}}"#)).collect::<Vec<_>>().join(","));
    let headers = [("idempotency-key", "at-once")];
    let all = futures_util::future::join_all((0..20).map(|_| api.post(&who, &headers, &body))).await;
    assert_eq!(all.iter().filter(|answer| !replayed(answer)).count(), 1);
    for answer in &all {
        assert_eq!((answer.status, &answer.body), (201, &all[0].body));
    }
    assert_eq!(api.count().await, 50);

    // Twenty different requests under one key, each of another length: one wins, whole.
    let body = |n: usize| format!("[{}]", vec![r#"{"type":"b.same"}"#; n].join(","));
    let headers = [("idempotency-key", "one-of-them")];
    let all = futures_util::future::join_all((1..=20).map(|n| api.post(&who, &headers, body(n)))).await;
    let winners: Vec<usize> = (1..=20).filter(|n| all[n - 1].status == 201).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert!(all.iter().all(|answer| answer.status == 201 || code_of(answer).1 == "idempotency_conflict"));
    assert_eq!(api.seqs("type = 'b.same'").await.len(), winners[0]);
    api.stop().await;
}

#[tokio::test]
async fn a_retry_while_the_first_is_still_open_waits_for_it() {
    let api = Api::start(&[]).await;
    let mut holder = api.db.client().await;
    let first = holder.transaction().await.unwrap();
    let once = "select seq from rowcast.append_once('engine-1', 'open', '{a.b}', '{\"{}\"}', '{info}', '{false}', '{null}', \
                '{null}', '{null}', '{null}')";
    let seq: i64 = first.query_one(once, &[]).await.unwrap().get(0);
    let (address, who) = (api.address().to_owned(), engine());
    let retry = tokio::spawn(async move {
        let headers =
            [("authorization", who.as_str()), ("content-type", "application/json"), ("idempotency-key", "open")];
        send(&address, "POST", "/v1/events", &headers, br#"{"type":"a.b"}"#).await
    });
    let waits = "select count(*) from pg_locks l join pg_stat_activity a using (pid)
                  where not l.granted and l.locktype = 'transactionid' and a.datname = current_database()";
    until("the retry waits", || async { api.number(waits).await > 0 }).await;
    first.commit().await.unwrap();
    let answer = retry.await.unwrap();
    assert_eq!((answer.status, replayed(&answer), answer.json()["seq"].as_i64()), (201, true, Some(seq)));
    assert_eq!(api.count().await, 1);
    api.stop().await;
}
