//! Saying something.

use std::sync::Arc;

use rowcast::auth::Role;
use serde_json::json;
use tokio::task::JoinSet;

use super::{ChatServer, GAPLESS, Requester, refusal, user};

#[tokio::test]
async fn what_is_said_and_its_answer_are_one_transaction_and_one_response() {
    let chat = ChatServer::start().await;
    let first = chat.say("ann", "Hello").await;
    let id = &first["conversation"]["id"];
    assert_eq!(
        (&first["outcome"], &first["conversation"]["status"], &first["conversation"]["owner"]),
        (&json!("answered"), &json!("open"), &json!("ann"))
    );
    let said = &first["utterance"];
    assert_eq!(
        (&said["position"], &said["text"], &said["speaker"], &said["outcome"], &said["conversation_id"]),
        (&json!(1), &json!("Hello"), &json!("user"), &json!("answered"), id)
    );
    let answer = &first["answer"];
    assert_eq!(answer.as_array().unwrap().len(), 1);
    assert_eq!(
        (&answer[0]["position"], &answer[0]["text"], &answer[0]["speaker"], &answer[0]["name"]),
        (&json!(2), &json!("You said: Hello"), &json!("bot"), &json!("echo"))
    );
    assert_eq!((&answer[0]["answers"], &answer[0]["final"]), (&said["id"], &json!(true)));
    let second = chat.say("ann", "Again").await;
    assert_eq!((&second["conversation"]["id"], &second["utterance"]["position"]), (id, &json!(3)));
    assert_eq!(chat.number("select count(distinct xmin::text) from chat.utterances").await, 2);
    assert_eq!(chat.number("select count(*) from rowcast.events where owner = 'ann'").await, 5);
    assert_eq!(chat.number(GAPLESS).await, 0);
    chat.stop().await;
}

#[tokio::test]
async fn a_hundred_first_messages_at_once_open_one_conversation_and_none_fails() {
    let chat = Arc::new(ChatServer::start().await);
    let mut saying = JoinSet::new();
    for n in 0..100 {
        let chat = Arc::clone(&chat);
        saying.spawn(async move { chat.say("ann", &format!("message {n}")).await["conversation"]["id"].to_string() });
    }
    let mut ids = saying.join_all().await;
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    assert_eq!(chat.number("select count(*) from chat.conversations").await, 1);
    assert_eq!(chat.number("select count(*) from chat.utterances").await, 200);
    assert_eq!(chat.number("select count(*) from chat.speakers").await, 2);
    assert_eq!(chat.number(GAPLESS).await, 0);
    assert_eq!(chat.number("select count(*) from rowcast.events where type = 'chat.conversation.opened'").await, 1);
    Arc::into_inner(chat).unwrap().stop().await;
}

#[tokio::test]
async fn a_retry_says_nothing_twice() {
    let chat = Arc::new(ChatServer::start().await);
    let key = [("idempotency-key", "k-1")];
    let mut saying = JoinSet::new();
    for _ in 0..20 {
        let chat = Arc::clone(&chat);
        saying.spawn(async move { chat.post(user("ann"), &key, &json!({ "text": "Once" })).await });
    }
    let mut answers = saying.join_all().await;
    assert!(answers.iter().all(|a| a.status == 201 && a.body == answers[0].body), "{answers:?}");
    let first = answers.remove(0).json();
    assert_eq!(chat.number("select count(*) from chat.utterances").await, 2);

    // The key belongs to its subject, and to what was said under it.
    let other = chat.post(user("bob"), &key, &json!({ "text": "Mine" })).await;
    assert_eq!((other.status, &other.json()["utterance"]["text"]), (201, &json!("Mine")));
    let reused = chat.post(user("ann"), &key, &json!({ "text": "Else" })).await;
    assert_eq!(refusal(&reused), (422, "idempotency_conflict".to_owned()));
    chat.close(user("ann"), &first["conversation"]["id"]).await;
    let late = chat.post(user("ann"), &key, &json!({ "text": "Once" })).await.json();
    assert_eq!((&late["utterance"], &late["answer"]), (&first["utterance"], &first["answer"]));
    assert_eq!(late["conversation"]["status"], "closed");
    let named = json!({ "text": "Once", "conversation": first["conversation"]["id"] });
    assert_eq!(chat.post(user("ann"), &key, &named).await.status, 201);
    let elsewhere = json!({ "text": "Once", "conversation": "00000000-0000-0000-0000-000000000000" });
    assert_eq!(refusal(&chat.post(user("ann"), &key, &elsewhere).await), (422, "idempotency_conflict".to_owned()));

    for bad in ["", "two words", &"k".repeat(241)] {
        let answer = chat.post(user("ann"), &[("idempotency-key", bad)], &json!({ "text": "x" })).await;
        assert_eq!(refusal(&answer), (400, "bad_request".to_owned()), "{bad}");
    }
    Arc::into_inner(chat).unwrap().stop().await;
}

#[tokio::test]
async fn who_may_chat_and_who_may_not() {
    let chat = ChatServer::start().await;
    for role in [Role::User, Role::Viewer, Role::Operator, Role::Admin] {
        assert_eq!(
            chat.post(Requester(role.as_str(), role), &[], &json!({ "text": "Hi" })).await.status,
            201,
            "{role}"
        );
    }
    let id = "00000000-0000-0000-0000-000000000000";
    let (read, close) = (format!("/v1/conversations/{id}/utterances"), format!("/v1/conversations/{id}/close"));
    for (method, path) in [("POST", "/v1/chat"), ("GET", "/v1/conversations"), ("GET", &read), ("POST", &close)] {
        let engine = chat.ask(Requester("robot", Role::Engine), method, path, &[], b"").await;
        assert_eq!(refusal(&engine), (403, "forbidden".to_owned()), "{path}");
        let nobody = crate::support::raw_http::request(chat.server.address(), method, path, &[], b"").await;
        assert_eq!(refusal(&nobody), (401, "unauthorized".to_owned()), "{path}");
        let wrong = chat.ask(user("ann"), "DELETE", path, &[], b"").await;
        assert_eq!(refusal(&wrong), (405, "method_not_allowed".to_owned()), "{path}");
    }
    for path in ["/v1/conversations/", "/v1/conversations/1/close", "/v1/chat/", &format!("/v1/conversations/{id}")] {
        assert_eq!(chat.get(user("ann"), path).await.status, 404, "{path}");
    }
    chat.stop().await;
}

#[tokio::test]
async fn a_body_that_is_no_message_is_refused() {
    let chat = ChatServer::start().await;
    let json_type = ("content-type", "application/json");
    for (body, expected) in [
        (&b"{}"[..], (422, "invalid_message")),
        (br#"["hello"]"#, (422, "invalid_message")),
        (br#"{"text":1}"#, (422, "invalid_message")),
        (br#"{"text":null}"#, (422, "invalid_message")),
        (br#"{"text":"a","text":"b"}"#, (422, "invalid_message")),
        (br#"{"text":"a","speaker":"bot"}"#, (422, "invalid_message")),
        (br#"{"text":"a","conversation":"mine"}"#, (422, "invalid_message")),
        (br#"{"text":"a""#, (400, "bad_json")),
        (br#"{"text":"a"} x"#, (400, "bad_json")),
        (b"\xff", (400, "bad_json")),
        (b" ", (400, "bad_json")),
    ] {
        let answer = chat.ask(user("ann"), "POST", "/v1/chat", &[json_type], body).await;
        assert_eq!(refusal(&answer), (expected.0, expected.1.to_owned()), "{}", String::from_utf8_lossy(body));
    }
    let plain = chat.ask(user("ann"), "POST", "/v1/chat", &[("content-type", "text/plain")], b"{}").await;
    assert_eq!(refusal(&plain), (415, "unsupported_media_type".to_owned()));
    let asked = chat.ask(user("ann"), "POST", "/v1/chat?text=a", &[json_type], b"{}").await;
    assert_eq!(refusal(&asked), (400, "bad_request".to_owned()));
    assert_eq!(chat.number("select count(*) from chat.speakers").await, 0);
    chat.stop().await;
}

#[tokio::test]
async fn a_named_conversation_must_be_ones_own() {
    let chat = ChatServer::start().await;
    let id = chat.say("ann", "Hello").await["conversation"]["id"].clone();
    let into = |text: &str| json!({ "text": text, "conversation": id });
    assert_eq!(chat.post(user("ann"), &[], &into("There")).await.json()["utterance"]["position"], 3);
    for who in [user("bob"), Requester("root", Role::Admin)] {
        assert_eq!(refusal(&chat.post(who, &[], &into("Mine?")).await), (404, "not_found".to_owned()));
    }
    assert_eq!(chat.number("select count(*) from chat.utterances").await, 4);
    chat.stop().await;
}

#[tokio::test]
async fn what_looks_like_a_secret_is_hidden_alike_in_answers_and_events() {
    let chat = ChatServer::start().await;
    let secret = "my password is here: password=hunter2hunter2";
    let said = chat.say("ann", secret).await;
    let hidden = json!("[redacted]");
    assert_eq!((&said["utterance"]["text"], &said["answer"][0]["text"]), (&hidden, &hidden));
    let path = format!("/v1/conversations/{}/utterances", said["conversation"]["id"].as_str().unwrap());
    let page = chat.get(user("ann"), &path).await;
    let events = chat.get(user("ann"), "/v1/events?cursor=0&type=chat.utterance.added&wait=5&limit=2").await;
    assert!(!page.body.contains("hunter2") && !events.body.contains("hunter2"), "{} {}", page.body, events.body);
    let payloads: Vec<_> = events.json()["events"].as_array().unwrap().iter().map(|e| e["payload"].clone()).collect();
    assert_eq!(page.json()["items"].as_array().unwrap(), &payloads);
    // The table keeps what was said.
    assert_eq!(chat.number("select count(*) from chat.utterances where text like '%hunter2%'").await, 2);
    chat.stop().await;
}
