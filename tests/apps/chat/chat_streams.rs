//! Two tabs of each of many users, all at once: each tab has what the table has, and nothing of anybody else.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowcast::auth::Role;
use rowcast::client::{Connector, Item, Options, Selection, Start, Stream, Tokens};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::{ChatServer, GAPLESS, Requester, token, user};
use crate::support::PATIENCE;

const USERS: usize = 50;
const MESSAGES: usize = 6;
/// What ends the stream of a tab in these tests.
const END: &str = "test.end";

/// What a tab makes of its stream: the conversations with their status, and what was said, in the order in which it came.
#[derive(Debug, Default, PartialEq)]
struct Fold {
    conversations: BTreeMap<String, String>,
    utterances: Vec<(String, i64, Value)>,
}

impl Fold {
    fn take(&mut self, kind: &str, subject: &str, payload: Value) {
        match kind {
            "chat.conversation.opened" => {
                assert_eq!(self.conversations.insert(subject.to_owned(), "open".to_owned()), None)
            }
            "chat.conversation.closed" => {
                assert_eq!(self.conversations.insert(subject.to_owned(), "closed".to_owned()).as_deref(), Some("open"));
            }
            "chat.utterance.added" => {
                assert_eq!(
                    (payload["conversation_id"].as_str(), self.conversations[subject].as_str()),
                    (Some(subject), "open")
                );
                let place = 1 + self.utterances.iter().filter(|said| said.0 == subject).count();
                assert_eq!(payload["position"], place, "in order, and none is missing");
                self.utterances.push((subject.to_owned(), payload["position"].as_i64().unwrap(), payload));
            }
            other => panic!("{other}"),
        }
    }

    /// The rows of a subject, as the fold of its stream has to be. Within a conversation the order is the position.
    async fn of_table(client: &tokio_postgres::Client, subject: &str) -> Self {
        let conversations = "select c.id::text, c.status from chat.conversations c join chat.speakers s on s.id = c.speaker_id where s.subject = $1";
        let utterances = "select u.conversation_id::text, u.position::bigint, jsonb_strip_nulls(jsonb_build_object(
                'id', u.id, 'conversation_id', u.conversation_id, 'position', u.position, 'speaker', s.kind, 'name', s.name,
                'text', u.text, 'said_at', to_char(u.said_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"'),
                'answers', u.answers, 'final', u.final, 'outcome', u.outcome))::text
             from chat.utterances u join chat.speakers s on s.id = u.speaker_id join chat.conversations c on c.id = u.conversation_id
             join chat.speakers o on o.id = c.speaker_id where o.subject = $1 order by c.opened_at, u.position";
        let rows = client.query(conversations, &[&subject]).await.unwrap();
        let conversations = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        let rows = client.query(utterances, &[&subject]).await.unwrap();
        let object = |text: &str| serde_json::from_str(text).unwrap();
        let utterances = rows.iter().map(|row| (row.get(0), row.get(1), object(row.get(2)))).collect();
        Self { conversations, utterances }
    }
}

/// A tab that is connected, and what it will have seen.
async fn tab(chat: &ChatServer, who: Requester<'_>, start: Start) -> JoinHandle<Fold> {
    let connector = Connector::new(chat.server.url.parse().unwrap(), None).unwrap();
    let selection = Selection { types: Some(format!("chat.*,{END}")), ..Selection::default() };
    let tokens = Tokens::fixed(token(who.0, who.1));
    let mut stream = Stream::new(connector, Options { start, selection, tokens, reconnect: false });
    let (connected, is_connected) = oneshot::channel();
    let running = tokio::spawn(async move {
        let (mut fold, mut connected) = (Fold::default(), Some(connected));
        loop {
            match tokio::time::timeout(PATIENCE * 2, stream.next()).await.expect("nothing comes").unwrap() {
                Item::Connected(_) => connected.take().unwrap().send(()).unwrap(),
                Item::Event(event) if event.kind == END => return fold,
                Item::Event(event) => {
                    let details = event.details().unwrap();
                    let payload = serde_json::from_str(details.payload.get()).unwrap();
                    fold.take(&event.kind, details.subject.as_deref().unwrap(), payload);
                }
                _ => {}
            }
        }
    });
    is_connected.await.unwrap();
    running
}

/// Tells every user's tabs that nothing more comes.
async fn end(chat: &ChatServer) {
    let sql =
        "insert into rowcast.events (type, owner) select $1, subject from chat.speakers where kind = 'user' order by 2";
    chat.db.client().await.query_typed(sql, &[(&END, postgres_types::Type::TEXT)]).await.unwrap();
}

#[tokio::test]
async fn two_tabs_of_fifty_users_have_what_the_table_has_and_nothing_of_another() {
    let chat = Arc::new(ChatServer::start().await);
    let name = |n: usize| format!("user-{n}");
    let mut tabs = Vec::new();
    for n in 0..USERS {
        // One follows from now on, the other reads everything there is.
        tabs.push((n, tab(&chat, user(&name(n)), Start::Latest).await));
        tabs.push((n, tab(&chat, user(&name(n)), Start::Earliest).await));
    }
    let mut talking = JoinSet::new();
    for n in 0..USERS {
        for half in 0..2 {
            let (chat, name) = (Arc::clone(&chat), name(n));
            talking.spawn(async move {
                for m in 0..MESSAGES / 2 {
                    let said = chat.say(&name, &format!("{name}: {half}.{m}")).await;
                    // Some close their conversation in the middle, and their other tab goes on in another.
                    if n % 5 == 0 && half == 0 && m == 0 {
                        assert_eq!(chat.close(user(&name), &said["conversation"]["id"]).await.status, 200);
                    }
                }
            });
        }
    }
    talking.join_all().await;
    end(&chat).await;
    let client = chat.db.client().await;
    let mut seen = 0;
    for (n, tab) in tabs {
        let fold = tab.await.unwrap();
        let mut expected = Fold::of_table(&client, &name(n)).await;
        assert_eq!(expected.utterances.len(), MESSAGES * 2);
        assert!(
            fold.utterances
                .iter()
                .all(|(.., payload)| payload["text"].as_str().unwrap().contains(&format!("{}:", name(n))))
        );
        // Conversations may overlap in time by the clock, never in the stream.
        let mut fold_sorted = Fold { conversations: fold.conversations, utterances: fold.utterances };
        fold_sorted.utterances.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        expected.utterances.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        assert_eq!(fold_sorted, expected, "{}", name(n));
        seen += expected.utterances.len();
    }
    assert_eq!(seen, 2 * USERS * MESSAGES * 2);
    assert_eq!(chat.number(GAPLESS).await, 0);
    assert_eq!(chat.number("select count(*) from chat.conversations").await, i64::try_from(USERS + USERS / 5).unwrap());
    Arc::into_inner(chat).unwrap().stop().await;
}

#[tokio::test]
async fn only_the_owner_and_administrators_see_a_talk_and_the_public_never_does() {
    let chat = ChatServer::start().await;
    let said = chat.say("ann", "Hello").await;
    let path = "/v1/events?cursor=0&wait=5&type=chat.*";
    for who in [user("ann"), Requester("ann", Role::Viewer), Requester("root", Role::Admin)] {
        let events = chat.get(who, path).await.json();
        let kinds: Vec<_> = events["events"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["chat.conversation.opened", "chat.utterance.added", "chat.utterance.added"]);
        let first = &events["events"][0];
        assert_eq!((&first["subject"], &first["payload"]), (&said["conversation"]["id"], &said["conversation"]));
        assert_eq!(events["events"][1]["payload"], said["utterance"]);
        assert_eq!(events["events"][2]["payload"], said["answer"][0]);
    }
    let without_waiting = "/v1/events?cursor=0&type=chat.*";
    for role in [Role::User, Role::Viewer, Role::Engine, Role::Operator] {
        assert_eq!(chat.get(Requester("bob", role), without_waiting).await.json()["events"], json!([]), "{role}");
    }
    let public =
        "select count(*) from rowcast.events e where e.type like 'chat.%' and (e.public_safe or e.owner is null)";
    assert_eq!(chat.number(public).await, 0);
    chat.stop().await;
}

#[tokio::test]
async fn what_is_done_by_hand_is_told_as_well() {
    let chat = ChatServer::start().await;
    let said = chat.say("ann", "Hello").await;
    let client = chat.db.client().await;
    client
        .batch_execute(
            "update chat.utterances set text = 'Goodbye' where position = 2; delete from chat.utterances where position = 2;
             update chat.speakers set name = 'Ann' where subject = 'ann'",
        )
        .await
        .unwrap();
    let events =
        chat.get(user("ann"), "/v1/events?cursor=0&wait=5&type=chat.utterance.changed,chat.utterance.removed").await;
    crate::support::until("both are told", || async {
        let path = "/v1/events?cursor=0&type=chat.utterance.changed,chat.utterance.removed";
        chat.get(user("ann"), path).await.json()["events"].as_array().unwrap().len() == 2
    })
    .await;
    let payload = &events.json()["events"][0]["payload"];
    assert_eq!((&payload["id"], &payload["text"]), (&said["answer"][0]["id"], &json!("Goodbye")));
    chat.stop().await;
}
