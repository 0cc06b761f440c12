//! A stream that is cut at any byte, read as browsers read it and as clients do that take the id as soon as its line is there.

use rowcast::auth::Role;

use super::{Api, Stream, bearer, read_more};

const PATH: &str = "/v1/events/stream?cursor=0&type=a.*";

/// What a client has when its connection ends after these bytes.
#[derive(Debug, Default, PartialEq)]
struct Client {
    /// The events it handed out.
    seqs: Vec<i64>,
    /// The last event that is whole but for the blank line, if its id was taken already.
    held: Option<i64>,
    /// What it comes back with.
    last_id: String,
}

/// Reads line by line. `early`: the id counts as soon as its line is there; else with the blank line, as the standard says.
fn read(text: &str, early: bool) -> Client {
    let mut client = Client::default();
    let (mut data, mut id): (Option<&str>, Option<&str>) = (None, None);
    for line in text.split_inclusive('\n') {
        let Some(line) = line.strip_suffix('\n') else { break };
        if line.is_empty() {
            client.seqs.extend(data.take().map(seq_of));
            client.held = None;
            if let Some(id) = id.take() {
                id.clone_into(&mut client.last_id);
            }
        } else if let Some(value) = line.strip_prefix("data: ") {
            data = Some(value);
        } else if let Some(value) = line.strip_prefix("id: ") {
            id = Some(value);
            if early {
                value.clone_into(&mut client.last_id);
                client.held = data.map(seq_of);
            }
        }
    }
    client
}

fn seq_of(data: &str) -> i64 {
    let event: serde_json::Value = serde_json::from_str(data).unwrap();
    event["seq"].as_i64().unwrap()
}

/// The text of a stream up to a comment.
async fn text_upto(api: &Api, last_id: &str, comment: &str) -> String {
    let who = bearer(Role::Viewer, "v");
    let headers = [("authorization", who.as_str()), ("last-event-id", last_id)];
    let mut stream = Stream::open(api.address(), PATH, &headers).await.unwrap();
    let end = format!(": {comment}\n\n");
    loop {
        let text = String::from_utf8(stream.text.clone()).unwrap();
        if text.ends_with(&end) {
            return text;
        }
        assert!(read_more(&mut stream.tcp, &mut stream.raw).await, "the stream ended");
        stream.unwrap_chunks();
    }
}

#[tokio::test]
async fn a_stream_that_is_cut_at_any_byte_resumes_without_loss_and_without_repeating() {
    let api = Api::start(&[]).await;
    // Ends with what is not for this reader, so that the id of the last comment goes beyond its last event.
    api.insert(
        "insert into rowcast.events (type, payload) select (array['a.b', 'a.b', 'c.d'])[1 + i % 3],
                jsonb_build_object('text', E'two\nlines and ž') from generate_series(1, 8) i",
    )
    .await;
    let all = api.seqs("type = 'a.b'").await;
    let text = text_upto(&api, "", "live").await;
    assert_eq!(read(&text, false).seqs, all);
    assert!(text.contains("\nid: 8."), "{text}");

    let mut rests = std::collections::HashMap::new();
    let mut kept_for_them = 0;
    for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
        for early in [false, true] {
            let client = read(&text[..cut], early);
            if !rests.contains_key(&client.last_id) {
                let rest = text_upto(&api, &client.last_id, "live").await;
                rests.insert(client.last_id.clone(), read(&rest, false).seqs);
            }
            let mut seqs = client.seqs;
            // An id is only ever taken with the data in hand: what is held is what the server does not send again.
            seqs.extend(client.held);
            kept_for_them += usize::from(client.held.is_some());
            seqs.extend(&rests[&client.last_id]);
            assert_eq!(seqs, all, "cut after {cut} bytes, early: {early}, in {text}");
        }
    }
    // One place in each event: the id is read, and its blank line is not.
    assert_eq!(kept_for_them, all.len());
    api.stop().await;
}

#[tokio::test]
async fn a_stream_says_at_once_how_long_to_wait_before_coming_back_and_not_the_same_to_all() {
    let api = Api::start(&[]).await;
    let mut pauses = std::collections::HashSet::new();
    for _ in 0..5 {
        let text = text_upto(&api, "", "live").await;
        let pause: u64 = text.strip_prefix("retry: ").unwrap().lines().next().unwrap().parse().unwrap();
        assert!((1_500..=3_000).contains(&pause), "{pause}");
        pauses.insert(pause);
    }
    assert!(pauses.len() > 1, "{pauses:?}");
    api.stop().await;
}
