//! Responders that are slow, fail, panic or talk nonsense, and one that talks long.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowcast::chat::{Answering, Kind, Question, Responder, Turn, Unanswered};
use serde_json::json;

use super::{ChatServer, GAPLESS, user};
use crate::support::PATIENCE;

/// Does as it is told, and remembers what it was asked.
#[derive(Debug, Default)]
struct Told(Mutex<Vec<Question>>);

impl Responder for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    fn answer(&self, question: Question) -> Answering {
        self.0.lock().unwrap().push(question.clone());
        Box::pin(async move {
            match question.text.as_str() {
                "fail" => Err(Unanswered("as told".to_owned())),
                "panic" => panic!("as told"),
                "never" => std::future::pending().await,
                "blank" => Ok(" \n".to_owned()),
                "nul" => Ok("a\0b".to_owned()),
                "endless" => Ok("x".repeat(1_000_000)),
                "long" => Ok("a word ".repeat(2_000)),
                other => Ok(format!("<{other}>")),
            }
        })
    }
}

#[tokio::test]
async fn what_a_user_says_is_kept_when_no_answer_comes() {
    let told = Arc::new(Told::default());
    let chat = ChatServer::start_with(Arc::clone(&told) as Arc<dyn Responder>, Duration::from_millis(300)).await;
    for (place, (text, outcome)) in (1..).zip([
        ("fail", "failed"),
        ("panic", "failed"),
        ("never", "timeout"),
        ("blank", "failed"),
        ("nul", "failed"),
        ("endless", "failed"),
    ]) {
        let said = chat.say("ann", text).await;
        assert_eq!((&said["outcome"], &said["answer"]), (&json!(outcome), &json!([])), "{text}");
        assert_eq!(
            (&said["utterance"]["outcome"], &said["utterance"]["position"]),
            (&json!(outcome), &json!(place)),
            "{text}"
        );
    }
    // A retry does not ask again.
    let key = [("idempotency-key", "k")];
    let first = chat.post(user("ann"), &key, &json!({ "text": "fail" })).await;
    let asked = told.0.lock().unwrap().len();
    let again = chat.post(user("ann"), &key, &json!({ "text": "fail" })).await;
    assert_eq!((first.status, &first.body), (again.status, &again.body));
    assert_eq!(told.0.lock().unwrap().len(), asked);
    // And afterwards it goes on.
    let well = chat.say("ann", "well").await;
    assert_eq!((&well["answer"][0]["text"], &well["answer"][0]["position"]), (&json!("<well>"), &json!(9)));
    assert_eq!(chat.number(GAPLESS).await, 0);
    chat.stop().await;
}

#[tokio::test]
async fn a_slow_responder_holds_nothing_that_others_need() {
    let told = Arc::new(Told::default());
    let chat = ChatServer::start_with(Arc::clone(&told) as Arc<dyn Responder>, PATIENCE * 2).await;
    // More slow ones than the pool has connections.
    let names: Vec<_> = (0..40).map(|n| format!("slow-{n}")).collect();
    let slow = futures_util::future::join_all(names.iter().map(|name| chat.say(name, "never")));
    let others = async {
        crate::support::until("all are asked", || async { told.0.lock().unwrap().len() == 40 }).await;
        for n in 0..5 {
            assert_eq!(chat.say("ann", &format!("{n}")).await["outcome"], "answered");
        }
        let open = "select count(*) from pg_stat_activity
                     where state like 'idle in transaction%' and datname = current_database()";
        assert_eq!(chat.number(open).await, 0);
    };
    tokio::select! {
        _ = slow => panic!("there is no answer"),
        () = others => {}
    }
    chat.stop().await;
}

#[tokio::test]
async fn a_long_answer_is_several_events_and_the_last_is_final() {
    let chat = ChatServer::start_with(Arc::new(Told::default()), PATIENCE).await;
    let said = chat.say("ann", "long").await;
    let parts = said["answer"].as_array().unwrap();
    let whole: String = parts.iter().map(|part| part["text"].as_str().unwrap()).collect();
    assert_eq!(whole, "a word ".repeat(2_000));
    let finals: Vec<_> = parts.iter().map(|part| part["final"].as_bool().unwrap()).collect();
    assert_eq!(finals, [false, false, false, true]);
    assert!(parts.iter().all(|part| part["answers"] == said["utterance"]["id"]));
    let path = "/v1/events?cursor=0&type=chat.utterance.added&wait=5";
    let events = chat.get(user("ann"), path).await.json();
    let told: Vec<_> = events["events"].as_array().unwrap().iter().map(|e| e["payload"].clone()).collect();
    assert_eq!((&told[0], &told[1..]), (&said["utterance"], parts.as_slice()));
    chat.stop().await;
}

#[tokio::test]
async fn a_responder_is_told_what_was_said_before_in_this_conversation_alone() {
    let told = Arc::new(Told::default());
    let chat = ChatServer::start_with(Arc::clone(&told) as Arc<dyn Responder>, PATIENCE).await;
    let first = chat.say("ann", "one").await;
    chat.say("bob", "elsewhere").await;
    chat.say("ann", "two").await;
    let history = |n: usize| told.0.lock().unwrap()[n].history.clone();
    let turn = |speaker, text: &str| Turn { speaker, text: text.to_owned() };
    assert_eq!((history(0), history(1)), (vec![], vec![]));
    assert_eq!(history(2), [turn(Kind::User, "one"), turn(Kind::Bot, "<one>")]);
    chat.close(user("ann"), &first["conversation"]["id"]).await;
    chat.say("ann", "three").await;
    assert_eq!(history(3), []);
    for n in 0..12 {
        chat.say("ann", &n.to_string()).await;
    }
    let last = history(15);
    assert_eq!((last.len(), &last[19]), (20, &turn(Kind::Bot, "<10>")));
    chat.stop().await;
}

#[tokio::test]
async fn what_is_said_is_kept_when_the_one_who_said_it_is_gone() {
    let told = Arc::new(Told::default());
    let chat = ChatServer::start_with(Arc::clone(&told) as Arc<dyn Responder>, Duration::from_millis(300)).await;
    let body = json!({ "text": "never" });
    let leaving = chat.post(user("ann"), &[], &body);
    let asked = crate::support::until("the responder is asked", || async { !told.0.lock().unwrap().is_empty() });
    tokio::select! {
        _ = leaving => panic!("it answered"),
        () = asked => {}
    }
    crate::support::until("it is kept", || async {
        chat.number("select count(*) from chat.utterances where outcome = 'timeout'").await == 1
    })
    .await;
    chat.stop().await;
}
