//! Closing conversations, also while somebody talks.

use std::sync::Arc;

use rowcast::auth::Role;
use serde_json::json;
use tokio::task::JoinSet;

use super::{ChatServer, GAPLESS, Requester, refusal, user};

#[tokio::test]
async fn closing_ends_a_conversation_once_and_the_next_message_begins_another() {
    let chat = Arc::new(ChatServer::start().await);
    let first = chat.say("ann", "Hello").await["conversation"]["id"].clone();
    for (who, status) in
        [(user("bob"), 404), (Requester("v", Role::Viewer), 404), (Requester("o", Role::Operator), 404)]
    {
        assert_eq!(chat.close(who, &first).await.status, status);
    }
    let mut closing = JoinSet::new();
    for _ in 0..20 {
        let (chat, first) = (Arc::clone(&chat), first.clone());
        closing.spawn(async move { chat.close(user("ann"), &first).await });
    }
    let closed = closing.join_all().await;
    assert!(closed.iter().all(|a| a.status == 200 && a.body == closed[0].body), "{closed:?}");
    let closed = closed[0].json();
    assert_eq!((&closed["id"], &closed["status"]), (&first, &json!("closed")));
    assert!(closed["closed_at"].as_str() >= closed["opened_at"].as_str());
    assert_eq!(chat.number("select count(*) from rowcast.events where type = 'chat.conversation.closed'").await, 1);

    let into = json!({ "text": "Still there?", "conversation": first });
    assert_eq!(refusal(&chat.post(user("ann"), &[], &into).await), (409, "conversation_closed".to_owned()));
    let second = chat.say("ann", "Hello again").await;
    assert_ne!(second["conversation"]["id"], first);
    assert_eq!(second["utterance"]["position"], 1);
    let by_admin = chat.close(Requester("root", Role::Admin), &second["conversation"]["id"]).await;
    assert_eq!((by_admin.status, &by_admin.json()["owner"]), (200, &json!("ann")));
    Arc::into_inner(chat).unwrap().stop().await;
}

#[tokio::test]
async fn talking_and_closing_at_once_leave_at_most_one_open_and_nothing_behind_a_close() {
    let chat = Arc::new(ChatServer::start().await);
    let mut all = JoinSet::new();
    for n in 0..60 {
        let chat = Arc::clone(&chat);
        all.spawn(async move {
            let id = chat.say("ann", &format!("message {n}")).await["conversation"]["id"].clone();
            if n % 3 == 0 {
                assert_eq!(chat.close(user("ann"), &id).await.status, 200);
            }
        });
    }
    all.join_all().await;
    assert_eq!(chat.number(GAPLESS).await, 0);
    assert_eq!(chat.number("select count(*) from chat.utterances").await, 120);
    assert!(chat.number("select count(*) from chat.conversations where status = 'open'").await <= 1);
    assert!(chat.number("select count(*) from chat.conversations where status = 'closed'").await >= 1);
    // In the stream nothing is said before a conversation is opened or after it is closed.
    let outside = "select count(*) from rowcast.events e
         where e.type = 'chat.utterance.added'
           and (not exists (select from rowcast.events o where o.subject = e.subject and o.type = 'chat.conversation.opened' and o.seq < e.seq)
                or exists (select from rowcast.events c where c.subject = e.subject and c.type = 'chat.conversation.closed' and c.seq < e.seq))";
    assert_eq!(chat.number(outside).await, 0);
    Arc::into_inner(chat).unwrap().stop().await;
}
