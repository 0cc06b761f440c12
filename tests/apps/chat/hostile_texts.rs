//! Texts that mean harm, and texts that only look as if they did.

use serde_json::json;

use super::{ChatServer, refusal, user};

#[tokio::test]
async fn what_people_write_comes_back_as_it_was() {
    let chat = ChatServer::start().await;
    for text in [
        "<script>alert('x')</script> \"; drop table chat.utterances; --",
        "שלום \u{2067}عربي\u{2069} abc\u{200f}",
        "👩‍👩‍👧‍👦 𝕏 e\u{301} \u{200b}zero\u{200d}width\u{feff}",
        "line\nline\ttab \u{2028} \\u0000 %s $1 {}",
        &"𝕏".repeat(8_192),
        &"x".repeat(10_000),
    ] {
        let said = chat.say("ann", text).await;
        assert_eq!(said["utterance"]["text"], text);
        let heard: String =
            said["answer"].as_array().unwrap().iter().map(|part| part["text"].as_str().unwrap()).collect();
        assert_eq!(heard, format!("You said: {text}"));
    }
    let crlf = chat.say("ann", "a\r\nb").await;
    assert_eq!(crlf["utterance"]["text"], "a\nb");
    chat.stop().await;
}

#[tokio::test]
async fn what_cannot_be_said_is_refused_and_nothing_is_kept() {
    let chat = ChatServer::start().await;
    for text in [
        "",
        " \n\t\u{3000}",
        "\u{200b}\u{feff}\u{2060}",
        "\u{1b}[2J",
        "a\rb",
        "a\u{7f}",
        "a\u{85}b",
        "abc\u{202e}txt.exe",
        "a\u{ffff}",
        &"x".repeat(10_001),
        &"𝕏".repeat(8_193),
        &"x".repeat(1_000_000),
    ] {
        let answer = chat.post(user("ann"), &[], &json!({ "text": text })).await;
        assert_eq!(
            refusal(&answer),
            (422, "invalid_text".to_owned()),
            "{:?}",
            text.chars().take(9).collect::<String>()
        );
    }
    // Half a surrogate pair is no Unicode, and so no JSON; NUL is none to Postgres.
    for body in
        [r#"{"text":"a\u0000b"}"#, r#"{"text":"\ud800"}"#, r#"{"text":"\udc00a"}"#, r#"{"text":"\ud800\ud800"}"#]
    {
        let answer =
            chat.ask(user("ann"), "POST", "/v1/chat", &[("content-type", "application/json")], body.as_bytes());
        assert_eq!(refusal(&answer.await), (400, "bad_json".to_owned()), "{body}");
    }
    let large = chat.post(user("ann"), &[], &json!({ "text": "x".repeat(1 << 20) })).await;
    assert_eq!(refusal(&large), (413, "body_too_large".to_owned()));
    assert_eq!(chat.number("select count(*) from chat.speakers").await, 0);
    chat.stop().await;
}
