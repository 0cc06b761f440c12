//! The chat: an answer that comes in parts is one answer, and grows as they come.

use std::fmt::Write as _;

use super::Dashboard;
use crate::support::{TestServer, migrated_database};

const BUBBLES: &str = "document.querySelectorAll('.bubble:not(.pending)').length";
/// The words of the last thing that was said, without its time.
const LAST: &str = "[...document.querySelectorAll('.bubble')].at(-1)?.querySelector('.said').textContent";
const MORE_FOLLOWS: &str = "[...document.querySelectorAll('.bubble')].at(-1).textContent.includes('more follows')";

/// One more part of an answer to the first message, in a transaction of its own.
fn part(position: u32, is_last: bool) -> String {
    format!(
        "insert into chat.utterances (conversation_id, position, speaker_id, speaker_name, text, owner, answers, final)
         select conversation_id, {position}, speaker_id, speaker_name, 'Part {position}. ', owner, answers, {is_last} from chat.utterances where position = 2"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_in_parts_is_one_answer_that_grows() {
    let db = migrated_database().await;
    let sql = db.client().await;
    let server = TestServer::ready(&db.url, &[]).await;
    let Some(page) = Dashboard::of_admin(server.address(), "chat").await else { return };
    page.says("connection", "live").await;
    page.enter("chat-text", "Hello").await;
    page.until("it is answered", &format!("return {BUBBLES} === 2")).await;
    // The stand-in repeats what was said, and more than 4,000 characters come in parts.
    let long = "a word ".repeat(1300);
    page.browser.run(&format!("document.querySelector('[data-hook=\"chat-text\"]').value = '{long}'")).await;
    page.click("chat-send").await;
    page.until("it is answered", &format!("return {BUBBLES} === 4 && !{MORE_FOLLOWS}")).await;
    assert_eq!(page.browser.run(&format!("return {LAST}")).await, format!("You said: {long}"));
    let parts: i64 = sql.query_one("select count(*) from chat.utterances", &[]).await.unwrap().get(0);
    assert_eq!(parts, 6, "two, and an answer in three parts");

    // Parts that come one after the other, as from a responder that stores each when it has it.
    let mut said = String::new();
    for position in 7..=9 {
        sql.batch_execute(&part(position, position == 9)).await.unwrap();
        write!(said, "Part {position}. ").unwrap();
        page.until("the part is shown with those before it", &format!("return {LAST} === '{said}'")).await;
        page.until("it says if more follows", &format!("return {MORE_FOLLOWS} === {}", position != 9)).await;
        page.until("the parts are one", &format!("return {BUBBLES} === 5")).await;
    }
    page.end(false).await;
    server.stop().await.unwrap();
}
