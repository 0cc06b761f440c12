//! Lists and their pages.

use rowcast::auth::Role;
use serde_json::{Value, json};

use super::{ChatServer, Requester, refusal, user};

const ROOT: Requester<'static> = Requester("root", Role::Admin);

/// Every item of a list, read in pages of this size.
async fn all(chat: &ChatServer, who: Requester<'_>, path: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut cursor) = (Vec::new(), "0".to_owned());
    loop {
        let mark = if path.contains('?') { '&' } else { '?' };
        let page = chat.get(who, &format!("{path}{mark}limit={limit}&cursor={cursor}")).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let page = page.json();
        let found = page["items"].as_array().unwrap();
        assert!(found.len() <= limit);
        items.extend(found.iter().cloned());
        cursor = page["cursor"].as_str().unwrap().to_owned();
        if page["more"] == json!(false) {
            return items;
        }
        assert_eq!(found.len(), limit);
    }
}

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn conversations_come_newest_first_and_ones_own_alone() {
    let chat = ChatServer::start().await;
    assert_eq!(
        chat.get(user("ann"), "/v1/conversations").await.json(),
        json!({ "items": [], "cursor": "0", "more": false })
    );
    let mut of_ann = Vec::new();
    for n in 0..7 {
        for subject in ["ann", "bob"] {
            let id = chat.say(subject, "Hi").await["conversation"]["id"].clone();
            if n < 6 {
                chat.close(user(subject), &id).await;
            }
            if subject == "ann" {
                of_ann.insert(0, id.as_str().unwrap().to_owned());
            }
        }
    }
    for limit in [1, 3, 7, 200] {
        let found = all(&chat, user("ann"), "/v1/conversations", limit).await;
        assert_eq!(ids(&found), of_ann, "{limit}");
        assert!(found.iter().all(|c| c["owner"] == "ann"));
    }
    let open = all(&chat, user("ann"), "/v1/conversations?status=open", 2).await;
    assert_eq!((ids(&open), open[0].get("closed_at")), (vec![of_ann[0].as_str()], None));
    assert_eq!(all(&chat, user("ann"), "/v1/conversations?status=closed", 4).await.len(), 6);
    // An administrator sees all, or somebody's.
    assert_eq!(all(&chat, ROOT, "/v1/conversations", 5).await.len(), 14);
    assert_eq!(ids(&all(&chat, ROOT, "/v1/conversations?owner=ann", 5).await), of_ann);
    assert_eq!(all(&chat, ROOT, "/v1/conversations?owner=nobody", 5).await, Vec::<Value>::new());
    chat.stop().await;
}

#[tokio::test]
async fn utterances_come_in_order_and_only_to_those_who_may_see_them() {
    let chat = ChatServer::start().await;
    let mut said = Vec::new();
    let mut id = Value::Null;
    for n in 0..5 {
        let exchange = chat.say("ann", &format!("message {n}")).await;
        said.push(exchange["utterance"].clone());
        said.extend(exchange["answer"].as_array().unwrap().clone());
        id = exchange["conversation"]["id"].clone();
        chat.say("bob", "between").await;
    }
    let path = format!("/v1/conversations/{}/utterances", id.as_str().unwrap());
    for limit in [1, 3, 10] {
        assert_eq!(all(&chat, user("ann"), &path, limit).await, said, "{limit}");
    }
    assert_eq!(all(&chat, ROOT, &path, 4).await, said);
    let end = chat.get(user("ann"), &format!("{path}?cursor=10")).await.json();
    assert_eq!(end, json!({ "items": [], "cursor": "10", "more": false }));
    for who in [user("bob"), Requester("v", Role::Viewer), Requester("o", Role::Operator)] {
        assert_eq!(refusal(&chat.get(who, &path).await), (404, "not_found".to_owned()));
    }
    let unknown = "/v1/conversations/00000000-0000-0000-0000-000000000000/utterances";
    assert_eq!(refusal(&chat.get(ROOT, unknown).await), (404, "not_found".to_owned()));
    chat.stop().await;
}

#[tokio::test]
async fn parameters_that_make_no_sense_are_refused() {
    let chat = ChatServer::start().await;
    let id = chat.say("ann", "Hi").await["conversation"]["id"].clone();
    let id = id.as_str().unwrap();
    let list = "/v1/conversations?";
    let read = format!("/v1/conversations/{id}/utterances?");
    for (path, query) in [
        (list, "limit=0"),
        (list, "limit=201"),
        (list, "limit=+5"),
        (list, "limit="),
        (list, "status=gone"),
        (list, "cursor=1"),
        (list, "cursor=-9300000000000000000.00000000-0000-0000-0000-000000000000"),
        (list, "cursor=99999999999999999999.00000000-0000-0000-0000-000000000000"),
        (list, "cursor=%00"),
        (list, "owner=bob"),
        (list, "type=a"),
        (list, "limit=1&limit=2"),
        (list, "limit=%zz"),
        (&read, "cursor=-1"),
        (&read, "cursor=99999999999"),
        (&read, "cursor="),
        (&read, "status=open"),
        (&format!("/v1/conversations/{id}/close?"), "force=1"),
    ] {
        let method = if path.contains("close") { "POST" } else { "GET" };
        let answer = chat.ask(user("ann"), method, &format!("{path}{query}"), &[], b"").await;
        assert_eq!(refusal(&answer), (400, "bad_request".to_owned()), "{path}{query}");
    }
    assert_eq!(refusal(&chat.get(ROOT, "/v1/conversations?owner=%00").await), (400, "bad_request".to_owned()));
    chat.stop().await;
}

#[tokio::test]
async fn a_conversation_from_a_time_that_nobody_can_write_is_listed() {
    let chat = ChatServer::start().await;
    chat.say("ann", "Hi").await;
    let client = chat.db.client().await;
    // Such rows may be there from before the constraints were.
    client
        .batch_execute(
            r#"alter table chat.conversations drop constraint "opened_at must lie in the years 1 to 9999, in UTC",
                                              drop constraint "closed_at must lie in the years 1 to 9999, in UTC";
               insert into chat.conversations (speaker_id, status, opened_at, closed_at)
               select c.speaker_id, 'closed', t.at, t.at from chat.conversations c,
                      (values ('12345-01-01'::timestamptz), ('20000-01-01'), ('1969-01-01'), ('0044-03-15 BC')) t (at)"#,
        )
        .await
        .unwrap();
    let found = all(&chat, user("ann"), "/v1/conversations", 1).await;
    let years: Vec<&str> = found.iter().map(|c| &c["opened_at"].as_str().unwrap()[..4]).collect();
    assert_eq!((years[..2].to_vec(), years[3..].to_vec()), (vec!["9999", "9999"], vec!["1969", "0001"]));
    assert_eq!(years.len(), 5);
    chat.stop().await;
}
